"""What two prompts are compared on: which images, which requests, and what their replies are worth.

`Describing` for prompts of extract, whose replies are answers or a free description; `Choosing` for ask/choice.
"""

from __future__ import annotations

import difflib
import random
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence

from fgvr_kit.asking import parse
from fgvr_kit.asking.replies import USABLE, Row
from fgvr_kit.backends.base import Request, labels_of
from fgvr_kit.errors import DatasetError, PromptError, UsageError
from fgvr_kit.pipeline.extract.answers import values_of
from fgvr_kit.pipeline.extract.questions import LONGER, Questions, options_of, schema_of, with_options
from fgvr_kit.pipeline.quality.words import UNSEEN, Words, words_of
from fgvr_kit.prompts import Prompt, PromptTemplate
from fgvr_kit.rehearsal.outcomes import Measure, measure, measure_of_right, nearest_and_apart
from fgvr_kit.rehearsal.scene import verb_of
from fgvr_kit.training.data.examples import shuffled_options
from fgvr_kit.types import GENERAL, Attribute, Image
from fgvr_kit.workspace import Workspace

LEAST_OF_A_CLASS = 4
"""Images of a class that a sample has, where it can: answers are compared inside classes and between them."""

Replies = Mapping[int, Sequence[tuple[Request, Row]]]

_OF_ATTRIBUTE = frozenset({"attribute", "question"})
_COMPARABLE = "extract/general, extract/question, extract/closed, extract/joint and ask/choice"


class Contest(ABC):
    """kind: "general", "question", "closed", "joint", "answers" (question against joint) or "choice".

    attributes: names of those that are asked for; empty where none is.  is_closed: questions with a list of values.
    """

    kind: str
    attributes: tuple[str, ...] = ()
    is_closed: bool = False

    @abstractmethod
    def sample(self, n: int, seed: int) -> list[Image]:
        """Up to n training images."""

    @abstractmethod
    def requests(self, template: PromptTemplate, image: Image) -> list[Request]: ...

    @abstractmethod
    def measure(self, images: Sequence[Image], first: Replies, second: Replies) -> tuple[Measure, ...]: ...

    @abstractmethod
    def mean_words(self, images: Sequence[Image], replies: Replies) -> float: ...


def contest_of(
    workspace: Workspace, first: PromptTemplate, second: PromptTemplate, *, attribute: str | None = None
) -> Contest:
    """Raises PromptError "compare-kind", "compare-unlike" or "compare-same", UsageError "unknown-attribute"."""
    kinds = _kind(first), _kind(second)
    if first.hash == second.hash and first.path.resolve() == second.path.resolve():
        raise PromptError(
            f"{first.name} is compared with itself", code="compare-same", where=str(first.path),
            hint=f"copy it, edit the copy, and name the file: fgvr-kit prompts compare {first.name} draft.md",
        )  # fmt: skip
    kind = kinds[0] if kinds[0] == kinds[1] else "answers"
    if kind == "answers" and set(kinds) != {"question", "joint"}:
        raise PromptError(
            f"{first.name} asks for {_ASKS[kinds[0]]}, {second.name} for {_ASKS[kinds[1]]}",
            code="compare-unlike", where=str(second.path), hint="compare two prompts of one kind",
        )  # fmt: skip
    if kind == "choice":
        return Choosing(workspace)
    attributes = [] if kind == "general" else _attributes(workspace, kind, attribute)
    return Describing(workspace, kind, attributes)


_ASKS = {
    "general": "a free description",
    "question": "one answer",
    "closed": "one of a list of values",
    "joint": "all answers at once",
    "choice": "the class",
}


def _kind(template: PromptTemplate) -> str:
    needs, verb = set(template.needs), verb_of(template)
    # A draft may lie anywhere: options without a question are classes to choose from.
    if verb in ("ask", "extract") and "options" in needs and not needs & _OF_ATTRIBUTE:
        return "choice"
    if verb != "extract" or "class_name" in needs:
        why = (
            "it tells the class, so that its replies cannot be judged by it"
            if verb == "extract"
            else "nothing that could be held against the labels comes back"
        )
        raise PromptError(
            f"there is no measure for {template.name}", code="compare-kind", where=str(template.path), why=why,
            hint=f"these can be compared, and files like them: {_COMPARABLE}",
        )  # fmt: skip
    if "attributes" in needs:
        return "joint"
    if "options" in needs:
        return "closed"
    return "question" if needs & _OF_ATTRIBUTE else "general"


def _attributes(workspace: Workspace, kind: str, wanted: str | None) -> list[Attribute]:
    """Those that both prompts can ask for: with a list of values for "closed", without one for "question"."""
    known = {a.name: a for a in workspace.attributes()}
    fitting = [a for a in known.values() if kind == "joint" or bool(a.options) is (kind == "closed")]
    if wanted is not None:
        name = next((name for name in known if name in (wanted, wanted.replace(" ", "_"))), None)
        if name is None:
            close = difflib.get_close_matches(wanted, known, n=1)
            raise UsageError(
                f"there is no attribute {wanted!r}", code="unknown-attribute",
                where=str(workspace.root / "attributes.csv"),
                hint=f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}",
            )  # fmt: skip
        fitting = [a for a in fitting if a.name == name]
    if not fitting:
        needed = "a list of values" if kind == "closed" else "free answers"
        raise DatasetError(
            f"no attribute with {needed} to ask for", code="compare-attributes",
            where=str(workspace.root / "attributes.csv"),
            hint="column options of attributes.csv holds the values, separated by semicolons",
        )  # fmt: skip
    return fitting


class Describing(Contest):
    """Prompts of extract. Their answers are worth as much as they tell images of one class from those of others."""

    def __init__(self, workspace: Workspace, kind: str, attributes: Sequence[Attribute]) -> None:
        self.kind, self._workspace, self._asked = kind, workspace, list(attributes)
        self.attributes = tuple(a.name for a in attributes)
        self.is_closed = kind == "closed"
        self._questions = Questions(workspace, self._asked)
        self._rendered: dict[tuple[str, str, tuple[str, ...]], Prompt] = {}

    def sample(self, n: int, seed: int) -> list[Image]:
        members = _by_class(self._workspace, seed)
        if self._asked:
            members = {c: some for c, some in members.items() if self._questions.attributes_of(c)}
        members = {c: some for c, some in members.items() if len(some) > 1}
        names = sorted(members)
        random.Random(f"{seed} classes").shuffle(names)
        return _in_turn({c: members[c] for c in names[: max(2, n // LEAST_OF_A_CLASS)]}, n)

    def requests(self, template: PromptTemplate, image: Image) -> list[Request]:
        extract = self._workspace.settings.extract
        refs, longer = (self._workspace.ref_of(image),), LONGER * extract.max_tokens
        if self.kind == "general":
            prompt = self._prompt(template, ())
            return [Request("extract", prompt, refs, image.sha256, GENERAL, max_tokens=longer)]
        attributes = self._questions.attributes_of(image.class_name)
        if "attributes" in template.needs:
            most = max(longer, extract.max_tokens * len(attributes) // 2)
            prompt = self._prompt(template, attributes)
            return [
                Request("extract", prompt, refs, image.sha256, None, schema_of(attributes), max_tokens=most)
            ]
        return [
            Request(
                "extract", self._prompt(template, [a]), refs, image.sha256, a.name,
                options=options_of(a) if self.is_closed else (), max_tokens=extract.max_tokens,
            )
            for a in attributes
        ]  # fmt: skip

    def _prompt(self, template: PromptTemplate, attributes: Sequence[Attribute]) -> Prompt:
        """As extract renders it: rendered once for all images."""
        place = (template.name, template.hash, tuple(a.name for a in attributes))
        if place not in self._rendered:
            given: dict[str, object] = {"attributes": [(a.name, with_options(a)) for a in attributes]}
            if len(attributes) == 1:
                one = attributes[0]
                given |= {
                    "attribute": one.name.replace("_", " "), "question": one.question,
                    "options": list(zip(labels_of(len(options_of(one))), options_of(one), strict=True)),
                }  # fmt: skip
            self._rendered[place] = template.render(**given)
        return self._rendered[place]

    def measure(self, images: Sequence[Image], first: Replies, second: Replies) -> tuple[Measure, ...]:
        said = [[self._words(image, replies) for image in images] for replies in (first, second)]
        classes = [image.class_name for image in images]
        (right_a, apart_a), (right_b, apart_b) = (nearest_and_apart(of, classes) for of in said)
        usable = [[_share(of.values(), (None,)) for of in some] for some in said]
        seen = [[_share(of.values(), (None, UNSEEN)) for of in some] for some in said]
        return (
            measure_of_right("class of the most alike image is right", right_a, right_b),
            measure("more alike within a class than between", apart_a, apart_b),
            measure("usable values", *usable),
            measure("visible values", *seen),
        )

    def mean_words(self, images: Sequence[Image], replies: Replies) -> float:
        values = [v for image in images for v in self._values(image, replies).values() if v is not None]
        return sum(len(value.split()) for value in values) / max(1, len(values))

    def _words(self, image: Image, replies: Replies) -> dict[str, Words | None]:
        """attribute -> words of the value; None where there is no usable one."""
        values = self._values(image, replies)
        return {name: None if value is None else words_of(value) for name, value in values.items()}

    def _values(self, image: Image, replies: Replies) -> dict[str, str | None]:
        wanted = [a.name for a in self._questions.attributes_of(image.class_name)] or [GENERAL]
        found: dict[str, str] = {}
        for request, row in replies[image.id]:
            names = wanted if request.attribute is None else [request.attribute]
            found |= {name: said.value for name, said in values_of(request, row, names).items()}
        return {name: found.get(name) for name in wanted}


class Choosing(Contest):
    """ask/choice: the right class among its look-alikes."""

    kind = "choice"

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._classes = workspace.classes()
        self._negatives = workspace.store.negatives()
        self._prompts: dict[tuple[str, str, tuple[str, ...]], Prompt] = {}
        if not self._negatives:
            raise DatasetError(
                "the training images have no look-alikes yet to choose among", code="no-options",
                where=str(workspace.root), hint="fgvr-kit mine",
            )  # fmt: skip
        self._seed = 0

    def sample(self, n: int, seed: int) -> list[Image]:
        self._seed = seed
        members = _by_class(self._workspace, seed)
        known = {c: [i for i in some if i.id in self._negatives] for c, some in members.items()}
        return _in_turn({c: some for c, some in known.items() if some}, n)

    def requests(self, template: PromptTemplate, image: Image) -> list[Request]:
        shown = tuple(self._classes[name].display_name for name in self._options(image))
        place = (template.name, template.hash, shown)
        if place not in self._prompts:
            self._prompts[place] = template.render(
                options=list(zip(labels_of(len(shown)), shown, strict=True))
            )
        refs = (self._workspace.ref_of(image),)
        most = self._workspace.settings.extract.max_tokens
        return [Request("ask", self._prompts[place], refs, image.sha256, options=shown, max_tokens=most)]

    def _options(self, image: Image) -> list[str]:
        return shuffled_options(image, self._negatives[image.id], seed=self._seed)

    def measure(self, images: Sequence[Image], first: Replies, second: Replies) -> tuple[Measure, ...]:
        right = [[self._is_right(image, replies) for image in images] for replies in (first, second)]
        usable = [
            [float(self._said(replies[i.id]) is not None) for i in images] for replies in (first, second)
        ]
        return measure_of_right("accuracy", *right), measure("usable replies", *usable)

    def mean_words(self, images: Sequence[Image], replies: Replies) -> float:
        return sum(len(row["text"].split()) for i in images for _, row in replies[i.id]) / max(1, len(images))

    def _is_right(self, image: Image, replies: Replies) -> bool:
        return self._said(replies[image.id]) == self._classes[image.class_name].display_name

    def _said(self, replies: Sequence[tuple[Request, Row]]) -> str | None:
        request, row = replies[0]
        return parse.option(row["text"], request.options) if row["outcome"] in USABLE else None


def _share(values: Iterable[Words | None], but_for: Collection[Words | None]) -> float:
    found = [value not in but_for for value in values]
    return sum(found) / max(1, len(found))


def _by_class(workspace: Workspace, seed: int) -> dict[str, list[Image]]:
    """class -> its training images in a seeded order, one of each group first; equal pixels stand once."""
    sides = workspace.store.sides()
    images = {image.sha256: image for image in workspace.store.images("train")}
    found: dict[str, list[Image]] = {}
    # Not the numbers that options are shuffled with: the true class would stand at the same letter every time.
    for sha256 in sorted(images, key=lambda sha256: random.Random(f"sample {seed} {sha256}").random()):
        found.setdefault(images[sha256].class_name, []).append(images[sha256])
    for some in found.values():
        places: dict[str, int] = {}
        order: dict[int, int] = {}
        for image in some:
            group = sides[image.sha256].group if image.sha256 in sides else image.sha256
            order[image.id] = places[group] = places.get(group, -1) + 1
        some.sort(key=lambda image: order[image.id])
    return found


def _in_turn(members: Mapping[str, Sequence[Image]], n: int) -> list[Image]:
    """Up to n images, one of each class in turn."""
    longest = max(map(len, members.values()), default=0)
    turns = [some[place] for place in range(longest) for some in members.values() if place < len(some)]
    return turns[:n]
