"""What nearly every command begins with: its voice, and the workspace it works in."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fgvr_kit.cli.options import ROOT
from fgvr_kit.cli.output import Output
from fgvr_kit.errors import PartlyDone
from fgvr_kit.types import Notice

if TYPE_CHECKING:
    from fgvr_kit.workspace import Workspace


@contextmanager
def working(
    command: str, choices: Mapping[str, Any] | None = None, *, keep: bool = True
) -> Iterator[tuple[Output, Workspace]]:
    """As `opened`, for a command that writes: one at a time in a workspace.

    Raises PartlyDone at the end when something was not answered and the same command would go on.
    """
    with opened(command, choices, keep=keep) as (out, workspace), workspace.busy():
        yield out, workspace
        if unanswered := [notice for notice in out.notices if notice.code == "requests-unanswered"]:
            raise PartlyDone(
                "; ".join(notice.message for notice in unanswered),
                code="partly-done",
                why=unanswered[0].why,
                hint=unanswered[0].hint,
            )


@contextmanager
def opened(
    command: str, choices: Mapping[str, Any] | None = None, *, keep: bool = True
) -> Iterator[tuple[Output, Workspace]]:
    """The command's output and its workspace, closed at the end.

    choices: "section.key" -> what a flag said, or None. They win over --set. When the command has succeeded, a
    choice that fgvr.toml has no value for yet is written there, so that the next command (and status) need not
    be told again.  keep: False for a command that only looks.
    """
    from fgvr_kit.workspace import Workspace

    chosen = {key: value for key, value in (choices or {}).items() if value not in (None, "")}
    overrides = overrides_of(chosen)
    with Output(command) as out, Workspace.find(ROOT.workspace, overrides) as workspace:
        yield out, workspace
        if keep:
            kept = workspace.keep(chosen)
            if kept:
                out.say("kept in fgvr.toml: " + ", ".join(kept))
            for notice in _not_kept(
                workspace, {key: value for key, value in chosen.items() if key not in kept}
            ):
                out.warn(notice)


def overrides_of(choices: Mapping[str, Any]) -> list[str]:
    """What the command line chose in place of fgvr.toml: --set, then flags."""
    chosen = {key: value for key, value in choices.items() if value not in (None, "")}
    return [*ROOT.overrides, *(f"{key}={json.dumps(value)}" for key, value in chosen.items())]


def _not_kept(workspace: Workspace, chosen: Mapping[str, Any]) -> Iterator[Notice]:
    """A value that the user wrote into fgvr.toml stands there; the commands that follow go by it."""
    for key, value in chosen.items():
        stands = workspace.in_file(key)
        if stands is not None and stands != value:
            yield Notice(
                f"{key} was {value} this time, and is {stands} in fgvr.toml",
                code="choice-not-kept",
                why="the commands that follow go by fgvr.toml, and do not know of what was just made",
                hint=f"write {key} = {json.dumps(value)} there, or give --set {key}={value} each time",
            )


def suggest_next(out: Output, workspace: Workspace) -> None:
    """End a command with the next sensible one."""
    from fgvr_kit.status import next_command, steps

    if command := next_command(steps(workspace)):
        out.next.append(command + (f" -w {shlex.quote(str(ROOT.workspace))}" if ROOT.workspace else ""))
