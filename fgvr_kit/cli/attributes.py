"""fgvr-kit attributes: discover, extract, describe, or all three."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli import attribute_list, complete, extract, identify, review
from fgvr_kit.cli.opened import suggest_next, working
from fgvr_kit.cli.options import (
    BackendOption,
    BatchOption,
    BudgetOption,
    JsonOption,
    PlanOption,
    RetryOption,
    SetOption,
    VerboseOption,
    WorkspaceOption,
    note_budget,
    note_command,
)
from fgvr_kit.errors import UsageError

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.workspace import Workspace

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

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
        help="Put the attributes of such a file behind those that are there; no model is asked.",
    ),
]
WithOption = Annotated[
    str | None,
    typer.Option(
        "--with",
        metavar="model|short|template",
        show_default=False,
        autocompletion=complete.describe_by,
        help="short: one sentence; template: compose the answers without a model.",
    ),
]


@app.callback()
def every(
    ctx: typer.Context,
    backend: BackendOption = None,
    from_: FromOption = None,
    with_: WithOption = None,
    plan: PlanOption = False,
    budget: BudgetOption = None,
    batch: BatchOption = False,
    retry_failed: RetryOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Find attributes, ask for them in every image, write descriptions: discover, extract, describe.

    Without a sub-command all three run, one after the other. Every reply is kept: running again asks nothing
    twice.

    Example: fgvr-kit attributes --backend ollama:qwen3-vl:8b --plan
    """
    note_command(workspace, json, verbose, set_)
    note_budget(budget)
    if ctx.invoked_subcommand is not None:
        if backend or from_ or with_ or retry_failed or plan or budget or batch:
            raise UsageError(
                f"options of {ctx.invoked_subcommand} stand before it",
                code="option-before-command",
                hint=f"fgvr-kit attributes {ctx.invoked_subcommand} OPTIONS",
            )
        return
    with working("attributes", _chosen(("discover", "extract", "describe"), backend, with_)) as (
        out,
        opened_,
    ):
        _discover(out, opened_, from_, False)
        extract.run(out, opened_, limit=None, retry_failed=retry_failed, batch=batch)
        _describe(out, opened_, retry_failed)
        suggest_next(out, opened_)


@app.command("discover")
def discover(
    backend: BackendOption = None,
    from_: FromOption = None,
    add: AddOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write attributes.csv anew.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Ask an LLM which visual properties tell the classes apart, and write attributes.csv.

    Example: fgvr-kit attributes discover --from my-attributes.txt
    """
    note_command(workspace, json, verbose, set_)
    with working("discover", _chosen(("discover",), backend, None)) as (out, opened_):
        _discover(out, opened_, from_, replace, add)
        out.say("edit attributes.csv as you like; it is the list that extract asks for")
        suggest_next(out, opened_)


app.command("identify")(identify.command)
app.command("extract")(extract.command)
app.command("review")(review.command)


@app.command("describe")
def describe(
    backend: BackendOption = None,
    with_: WithOption = None,
    retry_failed: RetryOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Turn each image's answers into a description.

    Example: fgvr-kit attributes describe --with template
    """
    note_command(workspace, json, verbose, set_)
    with working("describe", _chosen(("describe",), backend, with_)) as (out, opened_):
        _describe(out, opened_, retry_failed)
        suggest_next(out, opened_)


attribute_list.register(app)


def _chosen(steps: tuple[str, ...], backend: str | None, with_: str | None) -> dict[str, str | None]:
    return {**{f"{step}.backend": backend for step in steps}, "describe.by": with_}


def _discover(
    out: Output, workspace: Workspace, from_: Path | None, replace: bool, add: Path | None = None
) -> None:
    from fgvr_kit.pipeline.discover import discover as run

    if add and (from_ or replace):
        raise UsageError(
            "--add keeps the list that is there, --from and --replace write it anew",
            code="add-or-replace",
            hint="give one of them",
        )
    out.summary(run(workspace, from_file=from_, add=add, replace=replace, progress=out.progress))


def _describe(out: Output, workspace: Workspace, retry_failed: bool) -> None:
    from fgvr_kit.pipeline.describe import describe as run

    out.summary(run(workspace, retry_failed=retry_failed, progress=out.progress))
