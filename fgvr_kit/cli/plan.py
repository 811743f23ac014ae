"""fgvr-kit plan"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgvr_kit.cli.opened import opened
from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command
from fgvr_kit.cli.train import ModelOption
from fgvr_kit.errors import UsageError

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.workspace import Workspace


def command(
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Run real steps on the longest rows: memory, time, what fits.")
    ] = False,
    auto: Annotated[
        bool, typer.Option("--auto", help="With --gpu: write the fastest that fits into fgvr.toml.")
    ] = False,
    model: ModelOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """What training will take: settings, rows and steps; with --gpu measured on this machine (a CPU too).

    What asking models will cost is told by `fgvr-kit attributes --plan`.

    Example: fgvr-kit plan --gpu --auto
    """
    from fgvr_kit.cli import training

    note_command(workspace, json, verbose, set_)
    if auto and not gpu:
        raise UsageError(
            "--auto adopts what was measured, and nothing would be",
            code="auto-without-gpu",
            hint="fgvr-kit plan --gpu --auto",
        )
    with opened("plan", {"train.model": model}, keep=False) as (out, opened_):
        if not gpu:
            training.dry_run(out, opened_)
        elif auto:
            _keep(out, opened_, training.adopt(out, opened_))
        else:
            training.measure(out, opened_)


def _keep(out: Output, workspace: Workspace, best: dict[str, Any]) -> None:
    """What the user has set stands; it is told what would be better."""
    kept = workspace.keep(best)
    if kept:
        out.say("kept in fgvr.toml: " + ", ".join(kept))
    for key, value in best.items():
        stands = workspace.in_file(key)
        if key not in kept and stands is not None and stands != value:
            out.say(f"{key} = {stands} stands in fgvr.toml and is left; {value} was measured as best")
