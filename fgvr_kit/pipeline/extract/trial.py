"""A few images looked at closely: what was asked about each, what was said, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fgvr_kit.asking.replies import Row
from fgvr_kit.backends.base import Request
from fgvr_kit.pipeline.extract import backends_of, rows_of
from fgvr_kit.pipeline.extract.answers import REASONS, values_of
from fgvr_kit.pipeline.extract.questions import Questions
from fgvr_kit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its reply.  becomes: the answers it gives, or why it gives none."""

    prompt: str
    said: str
    becomes: str


@dataclass(frozen=True, slots=True)
class Trial:
    """An image and all that was asked about it."""

    path: str
    width: int
    height: int
    exchanges: tuple[Exchange, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def trials(workspace: Workspace, n: int) -> list[Trial]:
    """The first n images with the stored replies about them; asks nobody."""
    attributes, sizes = workspace.attributes(), workspace.store.sizes()
    questions, rows = Questions(workspace, attributes), rows_of(workspace, backends_of(workspace))
    names = [attribute.name for attribute in attributes]
    return [
        Trial(
            image.path,
            *sizes.get(image.sha256, (0, 0)),
            tuple(_exchange(request, row, names) for request, row in rows(list(questions.about([image])))),
        )
        for image in workspace.store.images()[:n]
    ]


def _exchange(request: Request, row: Row | None, names: Sequence[str]) -> Exchange:
    values = values_of(request, row, names if request.attribute is None else [request.attribute])
    why = "no reply" if row is None else REASONS.get(row["outcome"], "left out by the model")
    becomes = "; ".join(f"{name} = {said.value}" for name, said in values.items()) or f"nothing: {why}"
    return Exchange(request.prompt.text, row["text"] if row else "", becomes)
