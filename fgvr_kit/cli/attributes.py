"""fgvr-kit attributes: discover, extract and describe in one go; each, and what looks after them, alone."""

from __future__ import annotations

import typer

from fgvr_kit.cli import attribute_list, describe, discover, extract, identify, review
from fgvr_kit.cli.describe import WithOption
from fgvr_kit.cli.discover import FromOption
from fgvr_kit.cli.opened import opened, suggest_next, working
from fgvr_kit.cli.options import (
    BackendOption,
    BatchOption,
    BudgetOption,
    JsonOption,
    PlanOption,
    PullOption,
    RetryOption,
    SetOption,
    VerboseOption,
    WorkspaceOption,
    note_budget,
    note_command,
)
from fgvr_kit.errors import UsageError

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def every(
    ctx: typer.Context,
    backend: BackendOption = None,
    from_: FromOption = None,
    with_: WithOption = None,
    plan: PlanOption = False,
    budget: BudgetOption = None,
    batch: BatchOption = False,
    pull: PullOption = False,
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
        if any((backend, from_, with_, retry_failed, plan, budget, batch, pull)):
            raise UsageError(
                f"options of {ctx.invoked_subcommand} go behind it",
                code="option-before-command",
                hint=f"fgvr-kit attributes {ctx.invoked_subcommand} OPTIONS",
            )
        return
    steps = {f"{step}.backend": backend for step in ("discover", "extract", "describe")}
    choices = {**steps, "describe.by": with_}
    if plan:
        from fgvr_kit.cli.plans import plan_all

        with opened("attributes", choices, keep=False) as (out, opened_):
            plan_all(out, opened_, from_=from_, retry_failed=retry_failed, batch=batch)
        return
    with working("attributes", choices) as (out, opened_):
        discover.run(out, opened_, from_=from_, pull=pull)
        extract.run(out, opened_, limit=None, retry_failed=retry_failed, batch=batch)
        describe.run(out, opened_, retry_failed=retry_failed, batch=batch)
        suggest_next(out, opened_)


app.command("identify")(identify.command)
app.command("discover")(discover.command)
app.command("extract")(extract.command)
app.command("describe")(describe.command)
attribute_list.register(app)
app.command("review")(review.command)
