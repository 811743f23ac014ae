"""The prompts in force: where each comes from, whether it was edited, and which steps send it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fgvr_kit.errors import PromptError
from fgvr_kit.rehearsal.steps import steps_using
from fgvr_kit.workspace import Workspace

State = Literal["as shipped", "edited", "own", "broken"]


@dataclass(frozen=True, slots=True)
class Listed:
    """origin: "workspace", "template birds", "shipped".  state: "own" where it replaces nothing.

    hash: "" of a broken one.  steps: that send it as the settings are now.  about: of a broken one, what is wrong.
    """

    name: str
    origin: str
    state: State
    steps: tuple[str, ...]
    about: str
    path: str
    hash: str


def list_prompts(workspace: Workspace) -> list[Listed]:
    return [_listed(workspace, name) for name in workspace.prompts.names()]


def _listed(workspace: Workspace, name: str) -> Listed:
    prompts = workspace.prompts
    found = prompts.find(name)
    assert found is not None, "names() lists what find() finds"
    path = found[1]
    state, steps = _state(path, prompts.beneath(name)), tuple(steps_using(workspace, name))
    origin = prompts.origin(path).label
    try:
        template = prompts.get(name)
    except PromptError as error:
        return Listed(name, origin, "broken", steps, error.message, str(path), "")
    return Listed(name, origin, state, steps, template.about, str(path), template.hash)


def _state(path: Path, beneath: Path | None) -> State:
    if beneath is None:
        return "own"
    return "as shipped" if path.read_bytes() == beneath.read_bytes() else "edited"
