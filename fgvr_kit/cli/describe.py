"""fgvr-kit attributes describe"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli import complete
from fgvr_kit.cli.opened import opened, suggest_next, working
from fgvr_kit.cli.options import (
    BackendOption,
    BatchOption,
    BudgetOption,
    CalibrateOption,
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
from fgvr_kit.cli.output import Output
from fgvr_kit.cli.ready import make_ready
from fgvr_kit.errors import UsageError

if TYPE_CHECKING:
    from fgvr_kit.workspace import Workspace

WithOption = Annotated[
    str | None,
    typer.Option(
        "--with",
        metavar="model|short|template",
        show_default=False,
        autocompletion=complete.describe_by,
        help="short: one sentence. template: compose the answers without a model.",
    ),
]


def command(
    backend: BackendOption = None,
    with_: WithOption = None,
    plan: PlanOption = False,
    calibrate: CalibrateOption = False,
    budget: BudgetOption = None,
    batch: BatchOption = False,
    pull: PullOption = False,
    retry_failed: RetryOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Turn each image's answers into a description that does not name its class.

    Example: fgvr-kit attributes describe --with template
    """
    note_command(workspace, json, verbose, set_)
    note_budget(budget)
    choices = {"describe.backend": backend, "describe.by": with_}
    if plan and not calibrate:
        with opened("describe", choices, keep=False) as (out, opened_):
            _refuse_asking(opened_, calibrate=False, batch=batch)
            _plan(out, opened_, retry_failed, calibrate=False, batch=batch)
        return
    with working("describe", choices, keep=not (plan or calibrate)) as (out, opened_):
        _refuse_asking(opened_, calibrate=calibrate, batch=batch)
        if plan or calibrate:
            _plan(out, opened_, retry_failed, calibrate=True, batch=batch)
            return
        run(out, opened_, retry_failed=retry_failed, batch=batch, pull=pull)
        suggest_next(out, opened_)


def run(
    out: Output, workspace: Workspace, *, retry_failed: bool, batch: bool = False, pull: bool = False
) -> None:
    """The step and its table."""
    from fgvr_kit.pipeline.describe import describe

    if workspace.settings.describe.by != "template":
        make_ready(out, workspace, "describe", pull=pull)
    out.summary(describe(workspace, retry_failed=retry_failed, batch=batch, progress=out.progress))


def _refuse_asking(workspace: Workspace, *, calibrate: bool, batch: bool) -> None:
    """Raise UsageError "template-asks-nobody" for a flag about calls that a template does not make."""
    flag = "--calibrate" if calibrate else "--batch" if batch else None
    if flag and workspace.settings.describe.by == "template":
        raise UsageError(
            f"{flag} is about calls, and a template makes none", code="template-asks-nobody", where=flag,
            why='[describe] by is "template"', hint=f"leave out {flag}; or --with model",
        )  # fmt: skip


def _plan(out: Output, workspace: Workspace, retry_failed: bool, *, calibrate: bool, batch: bool) -> None:
    from fgvr_kit.cli.plans import plan_describe

    if workspace.settings.describe.by == "template":
        out.data["plan"] = []  # nobody is asked
    plan_describe(out, workspace, retry_failed=retry_failed, calibrate=calibrate, batch=batch)
