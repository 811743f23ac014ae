"""Descriptions that name a class: which do, what the model is told of it, and the text without the name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from fgvr_kit.backends.base import Request, Turn
from fgvr_kit.pipeline.leaks import NameFinder, finder, names_of, redacted
from fgvr_kit.pipeline.spellings import numbered
from fgvr_kit.types import Description, Image, Notice
from fgvr_kit.workspace import Workspace

AGAIN_PROMPT = "describe/again"
RE_ASKED, REDACTED = "model, re-asked", ", redacted"
"""What `source` of a description says: "model", "model, re-asked", "model, redacted", "template", ..."""


class Telltale:
    """Looks for the names of classes in descriptions, and counts what it finds.

    before: how many named their own class, of how many.  first: the first one, for people.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._classes = workspace.classes()
        self._numbers = numbered(self._classes.values())
        self._language = workspace.prompts.words["language"]
        self._finders: dict[str, NameFinder] = {}
        self.before, self.n = 0, 0
        self.first = ""

    @property
    def names(self) -> list[tuple[str, list[str]]]:
        """Everything that the classes are called, for fingerprints."""
        return [(name, names_of(image_class)) for name, image_class in self._classes.items()]

    def matters(self) -> bool:
        """Whether a stored description was changed because of a name, or names its own class as it stands."""
        store = self._workspace.store
        if store.count("descriptions", "source not in ('model', 'template')"):
            return True
        texts = store.descriptions()
        class_of = {image.id: image.class_name for image in store.images()} if texts else {}
        return any(self._own(class_of[i]).find(text) for i, text in texts.items() if i in class_of)

    def found(self, made: Sequence[Description], images: Sequence[Image]) -> dict[int, list[str]]:
        """Image id -> the names of its own class in its description, as they stand there (folded)."""
        class_of = {image.id: image for image in images}
        telling: dict[int, list[str]] = {}
        for description in made:
            image = class_of[description.image_id]
            spans = list(self._own(image.class_name).spans(description.text))
            if spans:
                telling[image.id] = list(dict.fromkeys(span.name for span in spans))
                self.first = self.first or f"{image.path} ({spans[0].name!r})"
        self.before, self.n = len(telling), len(made)
        return telling

    def again(self, request: Request, said: str, names: Sequence[str]) -> Request:
        """The turn in which the model is told which words must go."""
        told = self._again.render(words=names).text
        return replace(request, turns=(*request.turns, Turn(said, told)))

    @cached_property
    def _again(self) -> Any:
        return self._workspace.prompts.get(AGAIN_PROMPT)

    def filtered(
        self, made: Sequence[Description], images: Sequence[Image], leaks: str
    ) -> Iterator[Description]:
        """leaks: as [describe] leaks says; "re-ask" redacts, having asked before."""
        class_of = {image.id: image.class_name for image in images}
        superclass = self._workspace.settings.domain.superclass
        for description in made:
            own = self._own(class_of[description.image_id])
            if leaks == "keep" or own.find(description.text) is None:
                yield description
            elif leaks != "drop":
                text = redacted(description.text, own, superclass)
                yield replace(description, text=text, source=description.source + REDACTED)

    def rows(self, made: Sequence[Description], images: Sequence[Image]) -> dict[str, Any]:
        """Rows of the step's table: how many named their class, before and after, and how many name another."""
        class_of = {image.id: image.class_name for image in images}
        found: dict[str, Any] = {"naming their class": _share(self.before, self.n)}
        if self.before:
            after = sum(self._own(class_of[d.image_id]).find(d.text) is not None for d in made)
            found["still naming it"] = _share(after, len(made))
            found["asked again"] = sum(d.source.startswith(RE_ASKED) for d in made)
            found["redacted"] = sum(d.source.endswith(REDACTED) for d in made)
        everything = finder(self._classes.values(), language=self._language)
        if others := sum(self._names_another(d.text, class_of[d.image_id], everything) for d in made):
            found["naming another class"] = _share(others, len(made))
        return {label: value for label, value in found.items() if value}

    def _names_another(self, text: str, class_name: str, everything: NameFinder) -> bool:
        found = list(everything.spans(text))
        own = {(span.start, span.end) for span in self._own(class_name).spans(text)} if found else set()
        return any((span.start, span.end) not in own for span in found)

    def notices(self, made: Sequence[Description]) -> Iterator[Notice]:
        if self.before and self._workspace.settings.describe.leaks == "keep":
            yield Notice(
                f"{self.before} of {len(made)} descriptions name their own class",
                code="description-names-class",
                where=self.first,
                why="a model trained on them learns to copy the name instead of looking",
                hint="edit prompts/describe/summary.md, or the question whose answers name it, and describe again; "
                'or [describe] leaks = "re-ask"',
            )

    def _own(self, class_name: str) -> NameFinder:
        if class_name not in self._finders:
            self._finders[class_name] = finder(
                [self._classes[class_name]], language=self._language, numbers=self._numbers
            )
        return self._finders[class_name]


def _share(n: int, of: int) -> str:
    return f"{n:,} of {of:,} ({n / of:.1%})" if of else "0"
