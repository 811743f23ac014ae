"""fgvr-kit attributes extract"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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

if TYPE_CHECKING:
    from fgvr_kit.pipeline.extract.trial import Trial
    from fgvr_kit.workspace import Workspace

SHOWN = 5
"""Images of a trial whose replies are printed; --json gives all."""


def command(
    backend: BackendOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Only the first images, and show what was asked and said: try before you pay."
        ),
    ] = None,
    plan: PlanOption = False,
    calibrate: CalibrateOption = False,
    budget: BudgetOption = None,
    batch: BatchOption = False,
    pull: PullOption = False,
    hinted: Annotated[
        bool | None,
        typer.Option(
            "--hinted/--blind",
            show_default=False,
            help="Tell the model the class in the free description; recorded.",
        ),
    ] = None,
    retry_failed: RetryOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Ask a VQA model for every attribute of every image.

    Every reply is kept as it comes: after Ctrl-C, a crash or an empty purse the same command goes on, and nothing
    is paid for twice.

    Examples:

      fgvr-kit attributes extract --backend openai:MODEL --limit 2

      fgvr-kit attributes extract --plan --calibrate

      fgvr-kit attributes extract --budget 5.00
    """
    note_command(workspace, json, verbose, set_)
    note_budget(budget)
    choices = {"extract.backend": backend, "extract.hinted": hinted}
    if plan and not calibrate:
        with opened("extract", choices, keep=False) as (out, opened_):
            _plan(out, opened_, limit, retry_failed, calibrate=False, batch=batch)
        return
    with working("extract", choices, keep=not (plan or calibrate)) as (out, opened_):
        if plan or calibrate:
            make_ready(out, opened_, "extract", pull=pull)
            _plan(out, opened_, limit, retry_failed, calibrate=True, batch=batch)
            return
        make_ready(out, opened_, "extract", pull=pull)
        run(out, opened_, limit=limit, retry_failed=retry_failed, batch=batch)
        suggest_next(out, opened_)


def run(out: Output, workspace: Workspace, *, limit: int | None, retry_failed: bool, batch: bool) -> None:
    """The step, its table, and for a trial what was asked and said."""
    from fgvr_kit.pipeline.extract import extract
    from fgvr_kit.pipeline.extract.trial import trials

    summary = extract(workspace, limit=limit, retry_failed=retry_failed, batch=batch, progress=out.progress)
    if limit is not None:
        shown = trials(workspace, limit)
        out.data["trials"] = [trial.as_dict() for trial in shown]
        _show(out, shown[:SHOWN])
    out.summary(summary)
    if limit is not None:
        _plan(out, workspace, None, False, calibrate=False, batch=batch)


def _plan(
    out: Output, workspace: Workspace, limit: int | None, retry_failed: bool, *, calibrate: bool, batch: bool
) -> None:
    from fgvr_kit.cli.plans import plan_extract

    plan_extract(out, workspace, limit=limit, retry_failed=retry_failed, calibrate=calibrate, batch=batch)


def _show(out: Output, trials: list[Trial]) -> None:
    for trial in trials:
        size = f"{trial.width} x {trial.height}"
        out.table(f"{Path(trial.path).as_posix()} ({size})", ("asked", "said", "becomes"), [
            (exchange.prompt, exchange.said, exchange.becomes) for exchange in trial.exchanges
        ])  # fmt: skip
