"""prompts compare: two wordings of one prompt on the same labelled images, and whether they differ.

Only training images are asked about: the better prompt is chosen here, and test images must have no say in it. Replies
are rows like all others: what extract has asked already is not asked again, and what is asked here it will not ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgvr_kit.asking.engine import Asked, ask
from fgvr_kit.asking.mending import mend_with
from fgvr_kit.asking.parse import judge
from fgvr_kit.asking.replies import Row
from fgvr_kit.backends.base import Backend, Request
from fgvr_kit.errors import BackendError, DatasetError
from fgvr_kit.pipeline.extract import backends_of
from fgvr_kit.pipeline.planted import planted_names
from fgvr_kit.pipeline.spending import limits_of
from fgvr_kit.pipeline.unanswered import notices_of
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.prompts import PromptTemplate
from fgvr_kit.rehearsal.contest import Contest, contest_of
from fgvr_kit.rehearsal.outcomes import Measure, decide
from fgvr_kit.types import Image, Notice
from fgvr_kit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. replies: on these images, whenever they were asked; calls, tokens, cost: of these replies.

    cost: in USD, None where a price is unknown.  asked_now: replies that were not stored yet.  words: of a value, mean.
    """

    name: str
    path: str
    hash: str
    replies: int
    asked_now: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    words: float


@dataclass(frozen=True, slots=True)
class Compared:
    """a, b: the prompts.  n_images: that both have replies to.  measures: the first one decides.

    attributes: that were asked for.  decision: in words.  notes: must stand beside it.
    """

    kind: str
    backend: str
    n_images: int
    n_classes: int
    attributes: tuple[str, ...]
    a: Side
    b: Side
    measures: tuple[Measure, ...]
    decision: str
    notes: tuple[str, ...]
    notices: tuple[Notice, ...] = ()


def compare(
    workspace: Workspace, first: str, second: str, *, n: int = 40, seed: int = 0, attribute: str | None = None,
    progress: Progress = SILENT,
) -> Compared:  # fmt: skip
    """Ask with both prompts (names, or files) about n training images, and measure.

    Raises PromptError "compare-kind" (no measure makes sense), "compare-unlike" (two kinds), "compare-same";
    UsageError "unknown-attribute"; DatasetError "compare-images" (too few), "compare-attributes" (none fits),
    "no-options"; BackendError "compare-unpaired" when fewer than two images have replies to both.
    """
    templates = workspace.prompts.get(first), workspace.prompts.get(second)
    contest = contest_of(workspace, *templates, attribute=attribute)
    images = contest.sample(n, seed)
    if len(images) < 2:
        raise DatasetError(
            f"{len(images)} training images can be compared on", code="compare-images",
            where=str(workspace.dataset), hint="two classes with two training images each are the least",
        )  # fmt: skip
    backend = _backend(workspace, contest)
    asked: list[Asked] = []
    for template in templates:
        requests = [r for image in images for r in contest.requests(template, image)]
        asked.append(ask(
            backend, requests, workspace.store, progress=progress, what=f"compare {template.name}", judge=judge,
            mend=mend_with(workspace.prompts), limits=limits_of(workspace, backend, asked),
        ))  # fmt: skip
        workspace.spent += asked[-1].charged
    rows = [_rows(contest, one, template, images) for one, template in zip(asked, templates, strict=True)]
    both = [image for image in images if all(image.id in of for of in rows)]
    if len(both) < 2:
        raise _unpaired(backend, asked)
    measures = contest.measure(both, rows[0], rows[1])
    a, b = (
        _side(contest, template, both, of, one)
        for template, of, one in zip(templates, rows, asked, strict=True)
    )
    return Compared(
        contest.kind, backend.spec, len(both), len({image.class_name for image in both}), contest.attributes, a, b,
        measures, decide(measures, a.name, b.name, len(both)), _notes(backend, asked, rows, both),
        (*(notice for one in asked for notice in notices_of(one, False)), *_planted(workspace, contest, first, second)),
    )  # fmt: skip


Replies = Mapping[int, Sequence[tuple[Request, Row]]]


def _backend(workspace: Workspace, contest: Contest) -> Backend:
    """As extract would ask."""
    backends = backends_of(workspace)
    return backends[None] if None in backends else backends[contest.is_closed]


def _rows(contest: Contest, asked: Asked, template: PromptTemplate, images: Sequence[Image]) -> Replies:
    """image id -> its replies, for those images that have all of them."""
    found: dict[int, list[tuple[Request, Row]]] = {}
    for image in images:
        pairs = list(asked.rows(contest.requests(template, image)))
        stored = [(request, row) for request, row in pairs if row is not None]
        if len(stored) == len(pairs):
            found[image.id] = stored
    return found


def _side(
    contest: Contest, template: PromptTemplate, images: Sequence[Image], replies: Replies, asked: Asked
) -> Side:
    rows = [row for image in images for _, row in replies[image.id]]
    costs = [row["cost"] for row in rows]
    return Side(
        name=template.name,
        path=str(template.path),
        hash=template.hash,
        replies=len(rows),
        asked_now=asked.n_new,
        calls=_sum(rows, "calls"),
        input_tokens=_sum(rows, "input_tokens"),
        output_tokens=_sum(rows, "output_tokens"),
        cost=None if None in costs else round(sum(costs), 6),
        words=contest.mean_words(images, replies),
    )


def _sum(rows: Sequence[Row], column: str) -> int:
    return sum(row[column] or 0 for row in rows)


def _notes(
    backend: Backend, asked: Sequence[Asked], rows: Sequence[Replies], images: Sequence[Image]
) -> tuple[str, ...]:
    notes: dict[str, Any] = dict.fromkeys(note for one in asked for note in one.notes)
    said = [[row["text"] for image in images for _, row in of[image.id]] for of in rows]
    if said[0] == said[1]:
        why = "a recording says the same whatever it is asked" if backend.per_subject else "word for word"
        notes[f"both prompts got the same replies: {why}"] = None
    return tuple(notes)


def _planted(workspace: Workspace, contest: Contest, *prompts: str) -> Iterator[Notice]:
    """As extract warns: a prompt that names a class gets the name back, and so tells the classes apart best."""
    found = planted_names(workspace, prompts)
    if not contest.attributes:  # their questions are not sent
        found = [plant for plant in found if plant.where != "attributes.csv"]
    if found:
        yield Notice(
            f"{len(found)} {'place' if len(found) == 1 else 'places'} in these prompts and their words name a class",
            code="prompt-names-class",
            where=found[0].where,
            why=f"{found[0].found!r} tells the model what it is to find out: the measures are not to be trusted",
            hint="say what is seen instead of what it is called; fgvr-kit prompts lint finds names",
        )


def _unpaired(backend: Backend, asked: Sequence[Asked]) -> BackendError:
    error = next((error for one in asked for error in one.errors.values()), None)
    return BackendError(
        f"{backend.spec} answered both prompts about fewer than two images", code="compare-unpaired",
        why=error.message if error else None, hint=error.hint if error else "try another model",
    )  # fmt: skip
