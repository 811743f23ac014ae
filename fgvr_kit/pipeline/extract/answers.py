"""From stored replies to answers: one value for each image and attribute, or the reason why there is none.

Table `answers` is a pure function of replies and corrections: what a person wrote stands, whatever a model says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fgvr_kit.asking import parse
from fgvr_kit.asking.replies import USABLE, Row
from fgvr_kit.backends.base import Request
from fgvr_kit.pipeline.extract.questions import Questions
from fgvr_kit.types import GENERAL, Answer, Image, Outcome

REASONS: dict[Outcome, str] = {
    "refused": "the model refused",
    "cut_off": "cut off at max_tokens",
    "invalid": "empty, or not in the form that was asked for",
}
_AT_ONCE = 64  # images whose replies are read together

Rows = Callable[[Sequence[Request]], Iterable[tuple[Request, Row | None]]]
Corrections = Mapping[tuple[str, str], str]
"""(pixel sha256, attribute) -> the value that a person wrote."""


@dataclass(frozen=True, slots=True)
class Said:
    """One value in a reply."""

    value: str
    reply_id: int
    confidence: float | None = None


@dataclass
class Answers:
    """Reads answers out of stored replies. dropped: reason -> values that are missing because of it."""

    questions: Questions
    rows: Rows
    why_none: str
    """Why a request has no reply at all."""
    corrections: Corrections = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)

    def of(self, images: Sequence[Image], *, sample: int = 0) -> Iterator[Answer]:
        """The answers about these images, read as they are wanted."""
        for start in range(0, len(images), _AT_ONCE):
            some = images[start : start + _AT_ONCE]
            said = self._said(some, sample)
            for image in some:
                yield from self._of_image(image, said[image.id])

    def _of_image(self, image: Image, said: Mapping[str, Said]) -> Iterator[Answer]:
        names = [GENERAL, *(a.name for a in self.questions.attributes_of(image.class_name))]
        for name in names:
            found, written = said.get(name), self.corrections.get((image.sha256, name))
            if written is not None:
                machine, reply_id = (found.value, found.reply_id) if found else (None, None)
                yield Answer(image.id, name, written, reply_id, "human", machine)
            elif found:
                source = "model" if found.confidence is None else "options"
                yield Answer(image.id, name, found.value, found.reply_id, source, None, found.confidence)

    def _said(self, images: Sequence[Image], sample: int) -> dict[int, dict[str, Said]]:
        """Image id -> attribute -> what was said; what is missing is counted."""
        said: dict[int, dict[str, Said]] = {image.id: {} for image in images}
        asked: list[Request] = []
        about: dict[
            int, Image
        ] = {}  # by the request object: equal pixels of two classes have requests of their own
        for image in images:
            for request in self.questions.about([image], sample=sample):
                asked.append(request)
                about[id(request)] = image
        for request, row in self.rows(asked):
            image = about[id(request)]
            wanted = self._joint(image) if request.attribute is None else [request.attribute]
            values = values_of(request, row, wanted)
            said[image.id].update(values)
            absent = [n for n in wanted if n not in values and (image.sha256, n) not in self.corrections]
            if absent:
                self.dropped[self._why_not(row)] += len(absent)
        return said

    def _joint(self, image: Image) -> list[str]:
        """The attributes that are asked together."""
        single = {q.attribute for q in self.questions.of_class(image.class_name)}
        return [a.name for a in self.questions.attributes_of(image.class_name) if a.name not in single]

    def _why_not(self, row: Row | None) -> str:
        return self.why_none if row is None else REASONS.get(row["outcome"], "left out by the model")


def values_of(request: Request, row: Row | None, wanted: Sequence[str]) -> dict[str, Said]:
    """attribute -> value, for those of wanted that the reply to a request holds."""
    if row is None or row["outcome"] not in USABLE:
        return {}
    if request.attribute is None:
        found = parse.answers(row["text"], list(wanted))
        shapes = (request.schema or {}).get("properties", {})
        held = {name: _held_to(shapes.get(name, {}), value) for name, value in found.items()}
        return {name: Said(value, row["id"]) for name, value in held.items() if value}
    text = row["text"]
    value = (parse.option(text, request.options) or "") if request.options else parse.value(text)
    scores = json.loads(row["scores"]) if row["scores"] else {}
    return {request.attribute: Said(value, row["id"], scores.get(value))} if value else {}


def _held_to(shape: Mapping[str, Any], value: str) -> str | None:
    """A value of a closed attribute as one of its options, None where it is none of them."""
    options = shape.get("enum")
    return parse.option(value, options) if options else value
