"""A few images looked at closely: what was asked about each, what was said, and what becomes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fgvr_kit.asking.engine import ask
from fgvr_kit.pipeline.extract import backends_of
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
    images = workspace.store.images()[:n]
    questions = Questions(workspace, workspace.attributes())
    sizes = workspace.store.sizes()
    exchanges: dict[str, list[Exchange]] = {image.sha256: [] for image in images}
    for is_closed, backend in backends_of(workspace).items():
        requests = [r for r in questions.about(images) if is_closed is None or bool(r.options) == is_closed]
        asked = ask(backend, [], workspace.store)  # reads; nobody is asked
        for request, row in asked.rows(requests):
            names = (
                [a.name for a in workspace.attributes()] if request.attribute is None else [request.attribute]
            )
            values = values_of(request, row, names)
            why = "no reply" if row is None else REASONS.get(row["outcome"], "left out by the model")
            becomes = (
                "; ".join(f"{name} = {said.value}" for name, said in values.items()) or f"nothing: {why}"
            )
            exchanges[request.subject or ""].append(
                Exchange(request.prompt.text, row["text"] if row else "", becomes)
            )
    return [Trial(i.path, *sizes.get(i.sha256, (0, 0)), tuple(exchanges[i.sha256])) for i in images]
