"""Asking: every reply is a row, nothing is asked twice, and a kill loses at most what is in flight.

`ask` looks up what is stored and hands the rest to a `Run`, which asks in batches, several at once, and
commits each as it comes. The first Ctrl-C finishes what is in flight and saves it, the second one stops.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from fgvr_kit.asking.batches import ask_by_batch, batches_of, in_no_batch
from fgvr_kit.asking.keys import ReplyKeys
from fgvr_kit.asking.limits import HELD_BACK, NO_LIMITS, OUT_OF_BUDGET, Limits
from fgvr_kit.asking.replies import Judge, Mend, Row
from fgvr_kit.asking.run import Job, Run
from fgvr_kit.asking.stored import in_pieces, replies_to, stands
from fgvr_kit.backends.base import Backend, Request
from fgvr_kit.errors import BackendError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.store import Store
from fgvr_kit.types import Outcome

T = TypeVar("T")

_LOOKED_UP = 2_000
"""Requests whose stored replies are looked up at once."""
_MANY = 20_000
"""From so many requests on, looking up takes long enough to be shown."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What `ask` brings back. Counts are of replies: equal requests share one.

    n_new: asked now.  n_stored: were there before.  outcomes: of all that are there.
    n_calls: calls that were made, repair turns among them.  tokens, cost: of these; cost in USD, without the
    n_unpriced calls whose price nobody knows.  charged: what a budget counts, replies that came too late among it.
    notes: what must stand beside all that rests on them ("untrained toy model").
    failures: reason -> how many got no row.  errors: reason -> the first such error, for its words.
    """

    n_requests: int
    n_new: int
    n_stored: int
    outcomes: Counter[Outcome]
    n_calls: int
    tokens: int
    cost: float
    n_unpriced: int
    charged: float
    notes: tuple[str, ...]
    failures: dict[str, int]
    errors: dict[str, BackendError]
    _store: Store = field(repr=False)
    _keys: ReplyKeys = field(repr=False)

    def row(self, request: Request) -> Row | None:
        """The stored reply to a request, None where there is none."""
        return next(row for _, row in self.rows([request]))

    def rows(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Row | None]]:
        """Each request with its stored reply, read as they are wanted."""
        yield from replies_to(requests, self._keys, self._store)


def ask(
    backend: Backend,
    requests: Iterable[Request] | AsyncIterable[Request],
    store: Store,
    *,
    progress: Progress = SILENT,
    what: str = "extract",
    retry_failed: bool = False,
    judge: Judge | None = None,
    mend: Mend | None = None,
    limits: Limits = NO_LIMITS,
    batch: bool = False,
) -> Asked:
    """The replies to requests, from the store where they stand there, from the backend otherwise.

    judge: outcome of a finished reply and the text to store; without one, whatever is not empty is "ok". A
    reply that was cut off is "cut_off", unless a schema was asked for and the judge finds enough in it.
    mend: what a model is told after an invalid reply; it gets one turn to say it better.
    retry_failed: ask again where the stored reply is no answer (refused, cut off, invalid).
    limits: how many calls, and how much money; what they hold back counts as failures.
    batch: through the provider's batch service; what it has not answered yet counts as failures.
    Raises BackendError when going on makes no sense, KeyboardInterrupt on Ctrl-C; everything answered by
    then is stored.
    """
    if isinstance(requests, AsyncIterable):
        requests = _run_to_end(_listed(requests))
    keys = ReplyKeys(backend)
    # A recording says the same however often it is asked.
    found = _Scan(store, keys, retry_failed, mends=mend is not None and not backend.per_subject)
    found.look_up(requests, progress, what)
    run = Run(backend, store, judge, mend, limits)
    jobs = _within(limits, found.jobs, run)
    with progress.task(what, found.n_stored + len(jobs), done=found.n_stored) as task:
        if batch:
            service = batches_of(backend)
            # A batch cannot learn what the model will not have; one request asked the usual way can.
            if jobs and not store.open_batches(backend.spec):
                _run_to_end(run.answer(jobs[:1], task))
            if not run.has_ended:
                ask_by_batch(service, run, [job for job in jobs if not job.is_done], what, task)
        elif jobs := in_no_batch(run, jobs):
            _run_to_end(run.answer(jobs, task))
    if run.is_out_of_budget:
        left = [job for job in jobs if not job.is_done]
        run.hold_back(len(left), OUT_OF_BUDGET, limits.over_budget(job.request for job in left))
    if run.is_interrupted:
        raise KeyboardInterrupt
    return Asked(
        n_requests=found.n_requests,
        n_new=run.n_new,
        n_stored=found.n_stored,
        outcomes=found.outcomes + run.outcomes,
        n_calls=run.n_calls,
        tokens=run.tokens,
        cost=run.cost,
        n_unpriced=run.n_unpriced,
        charged=limits.budget.spent if limits.budget else run.cost,
        notes=tuple(sorted(found.notes | run.notes)),
        failures=run.failures,
        errors=run.errors,
        _store=store,
        _keys=keys,
    )


@dataclass
class _Scan:
    """Which requests have a stored reply that stands, and which are to be asked."""

    store: Store
    keys: ReplyKeys
    retry_failed: bool
    mends: bool
    n_requests: int = 0
    n_stored: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    notes: set[str] = field(default_factory=set)
    jobs: list[Job] = field(default_factory=list)

    def look_up(self, requests: Iterable[Request], progress: Progress, what: str) -> None:
        seen: set[str] = set()
        n = len(requests) if isinstance(requests, list | tuple) else None
        shown = progress if n is not None and n >= _MANY else SILENT
        with shown.task(f"{what}: what is stored", n) as task:
            for some in in_pieces(requests, _LOOKED_UP):
                self.n_requests += len(some)
                new: dict[str, Request] = {}
                for request in some:
                    if (key := self.keys.of(request)) not in seen:
                        seen.add(key)
                        new[key] = request
                self._sort_out(new)
                task.advance(len(some))

    def _sort_out(self, requests: dict[str, Request]) -> None:
        standing = self.store.standing(list(requests))
        unmended: dict[str, Request] = {}
        for key, request in requests.items():
            found = standing.get(key)
            if found is None or not stands(found, request, retry_failed=self.retry_failed):
                self.jobs.append(Job(key, request))
            elif self.mends and found.outcome == "invalid" and found.calls == 1:
                unmended[key] = request
            else:
                self.n_stored += 1
                self.outcomes[found.outcome] += 1
                self.notes |= {found.note} if found.note else set()
        # A kill came between a reply and its repair: go on there.
        rows = self.store.replies(list(unmended))
        self.jobs += [Job(key, request, rows[key]) for key, request in unmended.items()]


def _within(limits: Limits, jobs: list[Job], run: Run) -> list[Job]:
    """As many jobs as there may be calls; the others are counted as held back."""
    most = max(0, limits.max_calls)
    if not limits.max_calls or len(jobs) <= most:
        return jobs
    n = len(jobs) - most
    run.hold_back(n, HELD_BACK, limits.over_max_calls(n))
    return list(islice(jobs, most))


async def _listed(requests: AsyncIterable[T]) -> list[T]:
    return [request async for request in requests]


def _run_to_end(work: Coroutine[Any, Any, T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as beside:  # in a notebook, whose own loop cannot be entered twice
        return beside.submit(asyncio.run, work).result()
