"""What is asked about an image: the free description, and its attributes one by one or all in one call.

Finedefics (after FineR): blind to the label. No class name reaches a prompt unless [extract] hinted asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgvr_kit.backends.base import Request, labels_of
from fgvr_kit.prompts import Prompt
from fgvr_kit.types import GENERAL, NOT_VISIBLE, Attribute, Image, ImageClass
from fgvr_kit.workspace import Workspace

GENERAL_PROMPT, QUESTION_PROMPT = "extract/general", "extract/question"
CLOSED_PROMPT, JOINT_PROMPT, HINTED_PROMPT = "extract/closed", "extract/joint", "extract/hinted"
CLIP_PROMPT = "extract/clip"
LONGER = 4  # the free description and a joint reply get this many times the tokens of one answer
MAX_VALUE = 200  # characters of one value in the schema


@dataclass(frozen=True, slots=True)
class Question:
    """One request about an image, but for the image. attribute: None where all are asked at once."""

    attribute: str | None
    prompt: Prompt
    max_tokens: int
    schema: Mapping[str, Any] | None = None
    options: tuple[str, ...] = ()


class Questions:
    """The questions of a workspace. Each prompt is rendered once for all the images it is asked about."""

    def __init__(self, workspace: Workspace, attributes: Sequence[Attribute]) -> None:
        self._workspace = workspace
        self._attributes = list(attributes)
        self._classes = workspace.classes()
        self._known: dict[tuple[str | None, str], list[Question]] = {}

    def about(self, images: Iterable[Image], *, sample: int = 0) -> Iterator[Request]:
        """The requests about these images, the free description first; equal pixels are asked about once, unless
        their classes are asked other questions.

        sample: which of several replies; from 1 on they are sampled at [extract] temperature.
        """
        temperature = self._workspace.settings.extract.temperature if sample else 0.0
        seen: set[tuple[str, str | None, str]] = set()
        for image in images:
            place = (image.sha256, *self._place(image.class_name))
            if place in seen:
                continue
            seen.add(place)
            refs = (self._workspace.ref_of(image),)
            for q in self.of_class(image.class_name):
                yield Request(
                    "extract", q.prompt, refs, image.sha256, q.attribute, q.schema, q.options, q.max_tokens,
                    temperature, sample,
                )  # fmt: skip

    def attributes_of(self, class_name: str) -> list[Attribute]:
        """Those that are asked of images of a class: attributes of another superclass are not."""
        parent = self._parent(class_name)
        return [a for a in self._attributes if not a.superclass or a.superclass.casefold() == parent]

    def never_asked(self) -> list[Attribute]:
        """Attributes of a superclass that no class has: misspelt, or of classes that are gone."""
        parents = {self._parent(name) for name in self._classes}
        return [a for a in self._attributes if a.superclass and a.superclass.casefold() not in parents]

    def of_class(self, class_name: str) -> list[Question]:
        place = self._place(class_name)
        if place not in self._known:
            self._known[place] = self._made(place[0], self.attributes_of(class_name))
        return self._known[place]

    def _place(self, class_name: str) -> tuple[str | None, str]:
        """Classes of one place are asked the same."""
        hint = self._hint(class_name) if self._workspace.settings.extract.hinted else None
        return hint, self._parent(class_name)

    def _made(self, hint: str | None, attributes: Sequence[Attribute]) -> list[Question]:
        extract, prompts = self._workspace.settings.extract, self._workspace.prompts
        longer = LONGER * extract.max_tokens
        if hint is None:
            made = [Question(GENERAL, prompts.render(GENERAL_PROMPT), longer)]
        else:
            made = [Question(GENERAL, prompts.render(HINTED_PROMPT, class_name=hint), longer)]
        weighed = [a for a in attributes if a.options and (extract.ask == "single" or extract.closed_by)]
        written = [a for a in attributes if a not in weighed]
        made += [self._closed(a) for a in weighed]
        if extract.ask == "single":
            made += [self._single(a) for a in written]
        elif written:
            pairs = [(a.name, with_options(a)) for a in written]
            prompt = prompts.render(JOINT_PROMPT, attributes=pairs)
            # A value takes about as many tokens as in a call of its own, and its name as many again.
            most = max(longer, extract.max_tokens * len(written) // 2)
            made.append(Question(None, prompt, most, schema_of(written)))
        return made

    def _single(self, attribute: Attribute) -> Question:
        prompt = self._workspace.prompts.render(
            QUESTION_PROMPT, attribute=_in_words(attribute.name), question=attribute.question
        )
        return Question(attribute.name, prompt, self._workspace.settings.extract.max_tokens)

    def _closed(self, attribute: Attribute) -> Question:
        options = options_of(attribute)
        prompt = self._workspace.prompts.render(
            closed_prompt(self._workspace), attribute=_in_words(attribute.name), question=attribute.question,
            options=list(zip(labels_of(len(options)), options, strict=True)),
        )  # fmt: skip
        return Question(attribute.name, prompt, self._workspace.settings.extract.max_tokens, options=options)

    def _parent(self, class_name: str) -> str:
        known = self._classes.get(class_name)
        return known.parent.casefold() if known else ""

    def _hint(self, class_name: str) -> str:
        known = self._classes.get(class_name, ImageClass(class_name, class_name))
        return known.display_name or class_name


def prompts_used(workspace: Workspace, attributes: Sequence[Attribute]) -> list[str]:
    """Names of the prompt files whose words reach the model: for fingerprints."""
    extract = workspace.settings.extract
    names = [HINTED_PROMPT if extract.hinted else GENERAL_PROMPT]
    weighed = [a for a in attributes if a.options and (extract.ask == "single" or extract.closed_by)]
    if weighed:
        names.append(closed_prompt(workspace))
    if len(weighed) < len(attributes):
        names.append(QUESTION_PROMPT if extract.ask == "single" else JOINT_PROMPT)
    return names


def closed_prompt(workspace: Workspace) -> str:
    """The prompt of a closed question: CLIP is given words to compare with, all others are asked."""
    extract = workspace.settings.extract
    room = (extract.closed_by or extract.backend).partition(":")[0]
    return CLIP_PROMPT if room.strip() == "clip" else CLOSED_PROMPT


def options_of(attribute: Attribute) -> tuple[str, ...]:
    """The values of a closed attribute, and "not visible": a value that cannot be seen must not be guessed."""
    if not attribute.options or NOT_VISIBLE in attribute.options:
        return attribute.options
    return (*attribute.options, NOT_VISIBLE)


def schema_of(attributes: Sequence[Attribute]) -> dict[str, Any]:
    """One text an attribute. Bounded and closed: a model would go on inventing keys."""
    properties = {
        a.name: {"type": "string", "enum": list(options_of(a))}
        if a.options
        else {"type": "string", "maxLength": MAX_VALUE}
        for a in attributes
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _in_words(name: str) -> str:
    return name.replace("_", " ")


def with_options(attribute: Attribute) -> str:
    if not attribute.options:
        return attribute.question
    return f"{attribute.question} (one of: {', '.join(options_of(attribute))})"
