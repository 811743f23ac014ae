"""fgvr-kit attributes discover"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli.opened import opened, suggest_next, working
from fgvr_kit.cli.options import (
    BackendOption,
    BudgetOption,
    JsonOption,
    PlanOption,
    PullOption,
    SetOption,
    VerboseOption,
    WorkspaceOption,
    note_budget,
    note_command,
)
from fgvr_kit.cli.output import Output
from fgvr_kit.cli.ready import make_ready
from fgvr_kit.errors import UsageError

if TYPE_CHECKING:
    from fgvr_kit.workspace import Workspace

FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        show_default=False,
        help="Take the attributes from a .txt, .csv or .json file; no model is asked.",
    ),
]
AddOption = Annotated[
    Path | None,
    typer.Option(
        "--add",
        metavar="FILE",
        show_default=False,
        help="Put the attributes of a file behind those that are there.",
    ),
]


def command(
    backend: BackendOption = None,
    from_: FromOption = None,
    add: AddOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write attributes.csv anew.")] = False,
    plan: PlanOption = False,
    budget: BudgetOption = None,
    pull: PullOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Ask an LLM which visual properties tell the classes apart, and write attributes.csv.

    Example: fgvr-kit attributes discover --from my-attributes.txt
    """
    note_command(workspace, json, verbose, set_)
    note_budget(budget)
    choices = {"discover.backend": backend}
    if plan:
        from fgvr_kit.cli.plans import plan_discover

        with opened("discover", choices, keep=False) as (out, opened_):
            if _is_asked(opened_, from_, add, replace):
                plan_discover(out, opened_)
            else:
                out.data["plan"] = []
                out.say(f"discover: nothing would be asked: {_why_nobody(from_ or add)}")
        return
    with working("discover", choices) as (out, opened_):
        run(out, opened_, from_=from_, add=add, replace=replace, pull=pull)
        out.say("edit attributes.csv as you like; it is the list that extract asks for")
        suggest_next(out, opened_)


def run(
    out: Output, workspace: Workspace, *, from_: Path | None, add: Path | None = None, replace: bool = False,
    pull: bool = False,
) -> None:  # fmt: skip
    """The step and its table. Raises UsageError for --add beside --from or --replace ("add-or-replace")."""
    from fgvr_kit.pipeline.discover import discover

    if _is_asked(workspace, from_, add, replace):
        make_ready(out, workspace, "discover", pull=pull)
    out.summary(discover(workspace, from_file=from_, add=add, replace=replace, progress=out.progress))


def _is_asked(workspace: Workspace, from_: Path | None, add: Path | None, replace: bool) -> bool:
    """Whether a model would be asked. Raises UsageError "add-or-replace"."""
    if add and (from_ or replace):
        raise UsageError(
            "--add keeps the list that is there, --from and --replace write it anew",
            code="add-or-replace",
            hint="give one of them",
        )
    return from_ is None and add is None and (replace or not (workspace.root / "attributes.csv").is_file())


def _why_nobody(file: Path | None) -> str:
    if file is not None:
        return f"the attributes come from {file}"
    return "attributes.csv is there and is kept; --replace asks for another list"
