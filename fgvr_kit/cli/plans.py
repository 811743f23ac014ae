"""--plan: what a step will take, told before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgvr_kit.cli.output import Output

if TYPE_CHECKING:
    from fgvr_kit.asking.plan import Plan
    from fgvr_kit.workspace import Workspace


def plan_extract(
    out: Output, workspace: Workspace, *, limit: int | None, retry_failed: bool, calibrate: bool, batch: bool
) -> None:
    from fgvr_kit.pipeline.extract import parts_for
    from fgvr_kit.pipeline.plan import plan

    for backend, requests in parts_for(workspace, limit=limit):
        show(out, "extract", plan(
            workspace, backend, requests,
            retry_failed=retry_failed, calibrate=calibrate, batch=batch, progress=out.progress,
        ))  # fmt: skip


def show(out: Output, step: str, plan: Plan) -> None:
    """The table of a plan, or its part of the JSON document; nothing was asked, so there is nothing to resume."""
    out.data.setdefault("plan", []).append({"step": step, **plan.as_dict()})
    title = f"{step}: what {plan.backend} would be asked ({plan.basis})"
    out.table(title, ("", "low", "likely", "high"), [*plan.rows(), ("priced by", "", plan.price.source, "")])
    out.notes(plan.notes)
