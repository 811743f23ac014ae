"""--plan: what a step will take, told before anything is sent."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fgvr_kit.cli.output import Output

if TYPE_CHECKING:
    from pathlib import Path

    from fgvr_kit.asking.plan import Plan
    from fgvr_kit.workspace import Workspace


def plan_all(
    out: Output, workspace: Workspace, *, from_: Path | None, retry_failed: bool, batch: bool
) -> None:
    """What is still to be done of all three steps.  from_: file that the attributes come from; nobody is asked then."""
    if not (workspace.root / "attributes.csv").is_file():
        if from_ is None:
            plan_discover(out, workspace)
            out.say("extract and describe can be planned when discover has written attributes.csv")
            return
        out.data["plan"] = []
        out.say(f"discover: read from {from_}; no model is asked")
        out.next.append(f"fgvr-kit attributes discover --from {shlex.quote(str(from_))}")
        out.say("extract and describe can be planned when that has written attributes.csv")
        return
    plan_extract(out, workspace, limit=None, retry_failed=retry_failed, calibrate=False, batch=batch)
    plan_describe(out, workspace, retry_failed=retry_failed, calibrate=False, batch=batch)


def plan_discover(out: Output, workspace: Workspace) -> None:
    from fgvr_kit.backends.base import open_backend
    from fgvr_kit.pipeline.discover import requests_for
    from fgvr_kit.pipeline.plan import plan

    settings = workspace.settings
    backend = open_backend(settings.discover.backend, settings, workspace.root, key="discover.backend")
    show(out, "discover", plan(workspace, backend, lambda: requests_for(workspace), retry_failed=True))


def plan_extract(
    out: Output, workspace: Workspace, *, limit: int | None, retry_failed: bool, calibrate: bool, batch: bool
) -> None:
    from fgvr_kit.asking.batches import batches_of
    from fgvr_kit.pipeline.extract import parts_for
    from fgvr_kit.pipeline.plan import plan

    for backend, requests in parts_for(workspace, limit=limit):
        if batch:
            batches_of(backend)  # tells who takes none
        show(out, "extract", plan(
            workspace, backend, requests,
            retry_failed=retry_failed, calibrate=calibrate, batch=batch, progress=out.progress,
        ))  # fmt: skip


def plan_describe(
    out: Output, workspace: Workspace, *, retry_failed: bool, calibrate: bool, batch: bool
) -> None:
    from fgvr_kit.asking.batches import batches_of
    from fgvr_kit.backends.base import open_backend
    from fgvr_kit.pipeline.describe import requests_expected, requests_for
    from fgvr_kit.pipeline.plan import plan

    settings = workspace.settings
    if settings.describe.by == "template":
        out.say("describe: composed by a template; no model is asked")
        return
    backend = open_backend(settings.describe.backend, settings, workspace.root, key="describe.backend")
    if batch:
        batches_of(backend)
    is_answered = bool(workspace.store.count("answers"))
    if not is_answered:
        out.say("describe: there are no answers yet; planned with answers of usual length")
    requests = requests_for if is_answered else requests_expected
    show(out, "describe", plan(
        workspace, backend, lambda: requests(workspace),
        retry_failed=retry_failed, calibrate=calibrate and is_answered, batch=batch, progress=out.progress,
    ))  # fmt: skip


def show(out: Output, step: str, plan: Plan) -> None:
    """The table of a plan, or its part of the JSON document; nothing was asked, so there is nothing to resume."""
    out.data.setdefault("plan", []).append({"step": step, **plan.as_dict()})
    title = f"{step}: what {plan.backend} would be asked ({plan.basis})"
    out.table(title, ("", "low", "likely", "high"), [*plan.rows(), ("priced by", "", plan.price.source, "")])
    out.notes(plan.notes)
