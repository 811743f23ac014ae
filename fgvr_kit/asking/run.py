"""One run of asking: batches in flight, retries, repair turns, and a commit for each batch as it comes.

What passes by itself (429, 5xx, timeouts, lost connections) is asked again after a while; what does not (key,
quota, unknown model) stops everything at once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from fgvr_kit.asking.limits import Limits, Purse
from fgvr_kit.asking.pace import Pace, within
from fgvr_kit.asking.replies import Judge, Mend, Row, after_repair, row_of
from fgvr_kit.asking.stopping import on_ctrl_c
from fgvr_kit.backends.base import Backend, Request, Response, Turn
from fgvr_kit.errors import BackendError, BackendRefused
from fgvr_kit.progress import Task
from fgvr_kit.store import Store
from fgvr_kit.types import Outcome

TRIES = 5
"""Calls for one batch when the server fails, times out or cannot be reached."""
RATE_TRIES = 10
"""Calls for one batch when the server says "too many requests"; counted apart from the others."""
FIRST_TRIES = 2
"""Calls before giving up on a server that was never reached: a wrong address should be told soon."""
FIRST_WAIT = 0.5
"""Seconds before the second call; doubled each time, up to LONGEST_WAIT, less up to a quarter by chance."""
LONGEST_WAIT = 30.0
PATIENCE = 120.0
"""Seconds of Retry-After that are waited for; a server that asks for more stops the run."""

_UNREACHED = {"backend-unreachable", "backend-timeout"}
_STOPS = {"backend-unreachable", "rate-limited"}  # when these last, every other request meets them too
_RATE = "rate-limited"


@dataclass(slots=True)
class Job:
    """A reply that is wanted.

    first: the invalid reply that a repair turn follows.  is_done: has a row that stands, or was given up.
    """

    key: str
    request: Request
    first: Row | None = None
    is_done: bool = False


@dataclass
class Run:
    """Asks for jobs; counts what came of them."""

    backend: Backend
    store: Store
    judge: Judge | None
    mend: Mend | None
    limits: Limits
    n_new: int = 0
    n_calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    n_unpriced: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    notes: set[str] = field(default_factory=set)
    failures: dict[str, int] = field(default_factory=dict)
    errors: dict[str, BackendError] = field(default_factory=dict)
    is_reached: bool = False
    setbacks: int = 0
    """Batches given up since the last reply."""
    stopped_by: BackendError | None = None
    """Why no further batch is begun; those in flight may still come in, they are paid for."""
    is_interrupted: bool = False
    is_out_of_budget: bool = False
    is_batch: bool = False
    """Whether the calls are charged as those of the provider's batch service."""
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    """The loop in which calls are in flight; None where replies come from elsewhere."""

    def __post_init__(self) -> None:
        self.purse = Purse(self.limits, self._stop)

    @property
    def has_ended(self) -> bool:
        """Whether it ended before all was asked: nothing more may be begun."""
        return self._stop.is_set()

    def hold_back(self, n: int, reason: str, error: BackendError) -> None:
        """Count n requests as failures without asking."""
        self.failures[reason] = self.failures.get(reason, 0) + n
        self.errors.setdefault(reason, error)

    async def answer(self, jobs: Sequence[Job], task: Task) -> None:
        """Ask for all, or until Ctrl-C (`is_interrupted`). Raises BackendError when going on makes no sense."""
        size = max(1, self.backend.batch_size)
        batches = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        pace = Pace(min(max(1, self.backend.concurrency), len(batches)))
        queue = iter(batches)
        self._loop = asyncio.get_running_loop()

        def finish() -> None:
            self.is_interrupted = True
            self._end()
            task.advance(0, note=f"finishing {pace.running} in flight; Ctrl-C again stops at once")

        try:
            with on_ctrl_c(finish):
                async with asyncio.TaskGroup() as group:
                    for _ in range(pace.most):
                        group.create_task(self._work(queue, pace, task))
        except asyncio.CancelledError:
            if not self.is_interrupted:
                raise
        except BaseExceptionGroup as stopped:
            first = stopped.exceptions[0]  # the other calls were cancelled because of it
            raise first from first.__cause__
        finally:
            self._loop = None
            self.store.commit()
            await self.backend.aclose()
        if self.stopped_by is not None:
            raise self.stopped_by

    async def _work(self, queue: Iterator[Sequence[Job]], pace: Pace, task: Task) -> None:
        for batch in queue:
            if self._stop.is_set():
                return
            try:
                await self._batch({job.key: job for job in batch}, pace, task)
            except BackendError as error:
                self.stopped_by = self.stopped_by or error
                self._end()

    def _end(self) -> None:
        """Begin nothing more; whoever waits for money or a place goes home."""
        self._stop.set()
        self.purse.wake()

    async def _batch(self, waiting: dict[str, Job], pace: Pace, task: Task) -> None:
        """Ask until each job has a row or is given up."""
        tries: Counter[bool] = Counter()
        while waiting:
            await asyncio.sleep(0)  # what came in is committed first: a kill costs no more than one call
            requests = [self.request_of(job) for job in waiting.values()]
            await pace.enter(self._stop)
            holds = await self.purse.reserve(requests)
            if holds is None or self._stop.is_set():
                self.purse.release(holds or [])
                self.is_out_of_budget = self.is_out_of_budget or (holds is None and not self._stop.is_set())
                self._end()
                pace.leave()
                return
            started = time.monotonic()
            try:
                replies = await self._reply(requests)
            finally:
                pace.leave()
            if holds:
                self.purse.settle(holds, replies)
            seconds = (time.monotonic() - started) / len(waiting)
            again = self.keep(waiting, replies, seconds, task)
            waiting = {key: job for key, job in waiting.items() if key in again}
            failed = {key: error for key, error in again.items() if error is not None}
            if not failed:
                pace.speed_up()
                continue
            error = next(iter(failed.values()))
            tries[error.code == _RATE] += 1
            wait = self._next_wait(error, tries)
            if wait is None:
                self._give_up({key: waiting.pop(key) for key in failed}, failed, task)
            elif error.code == _RATE:
                pace.slow_down(wait)
            else:
                await within(self._stop.wait(), wait)

    def request_of(self, job: Job) -> Request:
        """What is sent for a job: its request, with a repair turn after an invalid reply."""
        if job.first is None or self.mend is None:
            return job.request
        said = job.first["text"]
        turn = Turn(said, self.mend(job.request, said))
        return replace(job.request, turns=(*job.request.turns, turn))

    async def _reply(self, requests: list[Request]) -> Sequence[Response | BackendError]:
        try:
            replies = await self.backend.reply(requests)
        except BackendError as error:
            return [error] * len(requests)
        assert len(replies) == len(requests), f"{self.backend.spec}: one reply a request"
        return replies

    def keep(
        self, waiting: dict[str, Job], replies: Sequence[Response | BackendError], seconds: float, task: Task
    ) -> dict[str, BackendError | None]:
        """Commit what was answered, count what never will be.

        Returns what is to be asked again, with the error that stood in the way; None: for a repair turn.
        """
        rows: list[Row] = []
        again: dict[str, BackendError | None] = {}
        refused: BackendRefused | None = None
        for job, reply in zip(list(waiting.values()), replies, strict=True):
            if isinstance(reply, Response):
                rows.append(self._row(job, reply, seconds))
                job.is_done = not self._is_mendable(job, rows[-1])
                if not job.is_done:
                    job.first = rows[-1]
                    again[job.key] = None
            elif isinstance(reply, BackendRefused):
                refused = refused or reply
            elif reply.transient:
                again[job.key] = reply
            else:
                self._fail(job, reply, task)
        if rows:
            self._write(rows)
            self.setbacks = 0
            self._count([row for row in rows if row["key"] not in again], task)
        if any(not isinstance(r, BackendError) or r.code not in _UNREACHED for r in replies):
            self.is_reached = True
        if refused is not None:
            raise refused
        return again

    def _write(self, rows: Sequence[Row]) -> None:
        """Replies that come in together are committed together, before any of their workers goes on."""
        if self._loop is None:
            self.store.put_replies(rows)
            return
        is_first = not self.store.is_writing
        self.store.begin()
        self.store.put_replies(rows)
        if is_first:
            self._loop.call_soon(self.store.commit)

    def _row(self, job: Job, reply: Response, seconds: float) -> Row:
        cost = self.limits.cost_of(reply, batch=self.is_batch)
        self.n_calls += 1
        self.tokens += (reply.input_tokens or 0) + (reply.output_tokens or 0)
        self.cost += cost or 0.0
        self.n_unpriced += cost is None
        row = row_of(
            job.key, self.request_of(job), reply, self.backend, self.judge, seconds=seconds, cost=cost
        )
        return row if job.first is None else after_repair(job.first, row)

    def _is_mendable(self, job: Job, row: Row) -> bool:
        """One turn, and only where the reply was whole and still of no use."""
        is_first = job.first is None and not self.backend.per_subject
        return is_first and self.mend is not None and row["outcome"] == "invalid"

    def _count(self, rows: Sequence[Row], task: Task) -> None:
        self.n_new += len(rows)
        self.outcomes.update(row["outcome"] for row in rows)
        self.notes |= {row["note"] for row in rows if row["note"]}
        if rows:
            task.advance(len(rows), note=self._so_far())

    def _so_far(self) -> str:
        said = f"{self.tokens:,} tokens" if self.tokens else ""
        return f"{said}, {self.cost:.2f} USD" if self.cost else said

    def _next_wait(self, error: BackendError, tries: Counter[bool]) -> float | None:
        """Seconds until the next call, or None when there should be none."""
        is_rate = error.code == _RATE
        most = RATE_TRIES if is_rate else TRIES if self.is_reached else FIRST_TRIES
        if tries[is_rate] >= most or (error.retry_after or 0.0) > PATIENCE:
            return None
        if error.retry_after is not None:
            return error.retry_after
        wait = min(FIRST_WAIT * 2.0 ** (tries[is_rate] - 1), LONGEST_WAIT)
        return wait * (1 - 0.25 * random.random())

    def _give_up(self, jobs: dict[str, Job], errors: dict[str, BackendError], task: Task) -> None:
        """Count them as failures; stop the run when it is the server and not the requests."""
        for key, error in errors.items():
            self._fail(jobs[key], error, task)
        self.setbacks += 1
        if not self.is_reached or error.code in _STOPS or self.setbacks >= max(3, self.backend.concurrency):
            raise error

    def _fail(self, job: Job, error: BackendError, task: Task) -> None:
        job.is_done = True
        reason = error.code.replace("-", " ")
        self.failures[reason] = self.failures.get(reason, 0) + 1
        self.errors.setdefault(reason, error)
        self.store.put_failures([{
            "key": job.key, "backend": self.backend.spec, "purpose": job.request.purpose,
            "subject": job.request.subject, "attribute": job.request.attribute, "code": error.code,
            "message": error.message, "why": error.why, "hint": error.hint,
        }])  # fmt: skip
        task.advance(1, note=reason)
