"""What a prompt is rendered of: an image, an attribute, and what is known of both, looked up when needed.

It holds for every prompt and for drafts of prompts; the tests hold it against what the steps really send.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

from fgvr_kit import plugins
from fgvr_kit.backends.base import labels_of
from fgvr_kit.errors import PromptError, UsageError
from fgvr_kit.evaluation.protocols import LETTERS, choice_questions
from fgvr_kit.pipeline.called import image_called
from fgvr_kit.pipeline.describe import TEMPLATE, is_seen
from fgvr_kit.pipeline.extract.questions import Questions, options_of, schema_of, with_options
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.pipeline.mine.texts import variables_of
from fgvr_kit.prompts import PromptTemplate
from fgvr_kit.settings import plugin_section
from fgvr_kit.training.data.examples import shuffled_options
from fgvr_kit.types import GENERAL, Attribute, Image
from fgvr_kit.workspace import Workspace

IN_A_GUESS = 4  # photographs that guess/superclass is sent, one each of so many classes

_WITHOUT_IMAGE = frozenset({"discover", "describe", "mend", "mine"})
_OF_CLASS = ("name", "synonyms", "scientific", "common", "parent")
_OF_IMAGE = frozenset({"general", "answers", "class_name", "words", *_OF_CLASS})
_OF_ATTRIBUTE = frozenset({"attribute", "question"})


class Scene:
    """A prompt, and the image and attribute that it is rendered for: those wanted, or the first that fit."""

    def __init__(
        self, workspace: Workspace, template: PromptTemplate, image: str | None, attribute: str | None
    ) -> None:
        self.workspace, self.template = workspace, template
        self._wanted_image, self._wanted_attribute = image, attribute
        self.verb = verb_of(template)

    @property
    def needs_image(self) -> bool:
        return self.verb not in {*_WITHOUT_IMAGE, "guess"} or bool(_OF_IMAGE & set(self.template.needs))

    @property
    def is_sent(self) -> bool:
        return self.verb != "mine" and self.template.name not in (TEMPLATE, "extract/clip")

    @property
    def needs_attribute(self) -> bool:
        return bool(_OF_ATTRIBUTE & set(self.template.needs))

    def variables(self) -> dict[str, Any]:
        """Of those that the template needs, the ones that a step could give it."""
        return {need: _GIVEN[need](self) for need in self.template.needs if need in _GIVEN}

    def pictures(self) -> list[Image]:
        if self.verb == "guess":
            return self.one_each
        return [self.image] if self.verb not in _WITHOUT_IMAGE else []

    @cached_property
    def image(self) -> Image:
        if self._wanted_image is not None:
            return image_called(self.workspace, self._wanted_image)
        store, needs = self.workspace.store, self.template.needs
        images = store.images()
        if not images:
            raise self.workspace.no_images()
        have: Mapping[int, Any] = {}
        if "general" in needs or "answers" in needs:
            have = store.answers()
        elif self.verb == "ask" and "options" in needs:
            have = store.options() or store.negatives()
        return next((image for image in images if image.id in have), images[0])

    @cached_property
    def attribute(self) -> Attribute:
        attributes = {attribute.name: attribute for attribute in self.workspace.attributes()}
        wanted = self._wanted_attribute
        if wanted is None:
            closed = "options" in self.template.needs
            fitting = (a for a in attributes.values() if bool(a.options) is closed)
            return next(fitting, next(iter(attributes.values())))
        if found := attributes.get(wanted) or attributes.get(wanted.replace(" ", "_")):
            return found
        close = [name for name in attributes if wanted.casefold() in name.casefold()]
        close = close or difflib.get_close_matches(wanted, attributes, n=1)
        raise UsageError(
            f"there is no attribute {wanted!r}",
            code="unknown-attribute",
            where=str(self.workspace.root / "attributes.csv"),
            hint=f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(attributes)}",
        )

    @cached_property
    def answers(self) -> dict[str, str]:
        if found := self.workspace.store.answers().get(self.image.id):
            return found
        raise self.lacks("has no answers yet", "fgvr-kit attributes extract")

    @cached_property
    def one_each(self) -> list[Image]:
        first: dict[str, Image] = {}
        for image in self.workspace.store.images("train"):
            first.setdefault(image.class_name, image)
        names, n = sorted(first), IN_A_GUESS
        chosen = names if len(names) <= n else [names[i * len(names) // n] for i in range(n)]
        return [first[name] for name in chosen]

    @property
    def display_name(self) -> str:
        return self.workspace.classes()[self.image.class_name].display_name

    def values(self) -> list[tuple[str, str]]:
        """(attribute in words, value) pairs in the order of attributes.csv, as `describe` tells them."""
        order = [a.name for a in self.workspace.attributes() if a.name in self.answers]
        pairs = [(name.replace("_", " "), self.answers[name]) for name in order]
        return [p for p in pairs if is_seen(p[1])] if self.template.name == TEMPLATE else pairs

    def seeds(self) -> list[str]:
        """Those that are shown: none that names a class."""
        names = finder(self.workspace.classes().values(), language=self.workspace.prompts.words["language"])
        written = (" ".join(seed.split()) for seed in self.workspace.settings.discover.seeds)
        return [seed for seed in written if seed and not names.find(seed)]

    def questions(self) -> list[tuple[str, str]]:
        """(name, question) of what is asked of the image at once."""
        asked = Questions(self.workspace, self.workspace.attributes()).attributes_of(self.image.class_name)
        return [(a.name, with_options(a)) for a in asked]

    def options(self) -> list[tuple[str, str]]:
        """Letters and values of a closed question, or letters and class names for this image."""
        if self.verb == "mend":
            return []
        if not self.needs_attribute:
            return self._classes_to_choose()
        if not self.attribute.options:
            raise PromptError(
                f"attribute {self.attribute.name!r} has no list of values to choose from",
                code="prompt-lacks",
                where=str(self.workspace.root / "attributes.csv"),
                hint="write its values into column options; or --raw shows the file as it is",
            )
        return list(zip(labels_of(len(options_of(self.attribute))), options_of(self.attribute), strict=True))

    def _classes_to_choose(self) -> list[tuple[str, str]]:
        """In the order in which evaluation (of a training image: training) shows them."""
        store, image = self.workspace.store, self.image
        if image.id in store.options():
            asked = next(q for q in choice_questions(self.workspace) if q.image.id == image.id)
            names = list(asked.options)
        elif negatives := store.negatives().get(image.id):
            names = shuffled_options(image, negatives, seed=_seed_of_training(self.workspace))
        else:
            raise self.lacks("has no options yet", "fgvr-kit mine")
        classes = self.workspace.classes()
        return [(letter, classes[name].display_name) for letter, name in zip(LETTERS, names, strict=False)]

    def lacks(self, what: str, command: str) -> PromptError:
        return PromptError(
            f"{self.image.path} {what}, which prompt {self.template.name} is made of",
            code="prompt-lacks",
            where=str(self.workspace.root),
            hint=f"{command}; or --raw shows the file as it is",
        )


def _of_class(variable: str, scene: Scene) -> Any:
    """What a prompt of mine/ is given of the picture's class."""
    return variables_of(scene.workspace.classes()[scene.image.class_name])[variable]


_GIVEN: dict[str, Callable[[Scene], Any]] = {
    "n_attributes": lambda scene: scene.workspace.settings.discover.n_attributes,
    "seeds": Scene.seeds,
    "attributes": Scene.questions,
    "schema": lambda scene: json.dumps(schema_of(scene.workspace.attributes()), ensure_ascii=False),
    "attribute": lambda scene: scene.attribute.name.replace("_", " "),
    "question": lambda scene: scene.attribute.question,
    "general": lambda scene: scene.answers.get(GENERAL, ""),
    "answers": Scene.values,
    "sentences": lambda scene: scene.workspace.settings.describe.sentences,
    "options": Scene.options,
    "n_images": lambda scene: len(scene.one_each),
    **{name: partial(_of_class, name) for name in _OF_CLASS},
    "class_name": lambda scene: scene.display_name,
    "words": lambda scene: [scene.display_name],
}
"""Variable -> what a step gives for it. The words of [domain] come with the template."""


def verb_of(template: PromptTemplate) -> str:
    """What a prompt is for: "extract". A file from elsewhere is taken for one of extract, unless its folder tells."""
    known = {"align", "ask", "describe", "discover", "extract", "guess", "mend", "mine"}
    folders = (template.name.partition("/")[0], template.path.parent.name)
    return next((folder for folder in folders if folder in known), "extract")


def _seed_of_training(workspace: Workspace) -> int:
    recipe = workspace.settings.train.recipe
    section = plugin_section(workspace.settings, recipe, plugins.load("recipes", recipe).Settings)
    return int(getattr(section, "seed", 0))
