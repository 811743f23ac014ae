"""What a step that asks models will take, before anything is sent; five real calls make it a calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from fgvr_kit.asking.engine import ask
from fgvr_kit.asking.estimate import Estimator
from fgvr_kit.asking.keys import ReplyKeys
from fgvr_kit.asking.mending import mend_with
from fgvr_kit.asking.parse import judge
from fgvr_kit.asking.plan import SAMPLE, Calibration, Plan
from fgvr_kit.asking.plan import plan as plan_requests
from fgvr_kit.asking.prices import price_of
from fgvr_kit.asking.stored import looked_up, replies_to
from fgvr_kit.backends.base import Backend, Request
from fgvr_kit.pipeline.spending import limits_of, sizes_of
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.workspace import Workspace

_LOOKED_AT = 2_000
"""Requests among which replies to learn from, and calls to try, are looked for."""
_LEARNT_FROM = 200

Requests = Callable[[], Iterable[Request]]


def plan(
    workspace: Workspace,
    backend: Backend,
    requests: Requests,
    *,
    retry_failed: bool = False,
    calibrate: bool = False,
    batch: bool = False,
    progress: Progress = SILENT,
) -> Plan:
    """What the missing ones of these requests will take.

    requests: makes them anew each time.  calibrate: ask for five of those that are missing first; their replies
    are stored like all others.  Replies that are stored calibrate the plan in any case.
    Raises BackendError from these five calls, SettingsError for a prices.toml that is not right.
    """
    store = workspace.store
    estimator = Estimator(backend, sizes_of(workspace))
    price = price_of(backend, workspace.root)
    if calibrate:
        tried = _spread([r for r, there in _first(workspace, backend, requests) if not there], SAMPLE)
        ask(backend, tried, store, judge=judge, mend=mend_with(workspace.prompts), what="calibrate",
            limits=limits_of(workspace, backend), progress=progress)  # fmt: skip
    known = _spread([r for r, there in _first(workspace, backend, requests) if there], _LEARNT_FROM)
    stored = replies_to(known, ReplyKeys(backend), store)
    calibration = Calibration.from_replies(((r, row) for r, row in stored if row), estimator)
    there: dict[int, bool] = {}

    def one_by_one() -> Iterator[Request]:
        for request, stands in looked_up(requests(), backend, store, retry_failed=retry_failed, mends=True):
            there[id(request)] = stands
            yield request
            del there[id(request)]

    return plan_requests(
        one_by_one(), backend, estimator, price,
        is_stored=lambda request: there[id(request)], calibration=calibration, batch=batch,
    )  # fmt: skip


def _first(workspace: Workspace, backend: Backend, requests: Requests) -> list[tuple[Request, bool]]:
    return list(looked_up(islice(requests(), _LOOKED_AT), backend, workspace.store))


def _spread(requests: list[Request], n: int) -> list[Request]:
    """n of them, from the first to the last: of every kind, whatever their order."""
    if len(requests) <= n:
        return requests
    return [requests[round(i * (len(requests) - 1) / (n - 1))] for i in range(n)]
