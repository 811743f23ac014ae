"""Asking: every reply is a row, nothing is asked twice, and a kill loses at most what is in flight.

Requests that no stored reply answers are asked in batches, several at once; each finished batch is committed
before the next one starts in its place. What passes by itself (429, 5xx, timeouts, lost connections) is
asked again after a while; what does not (key, quota, unknown model) stops everything at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.backends.pace import Pace
from fgvr_kit.errors import BackendError, BackendRefused
from fgvr_kit.progress import SILENT, Progress, Task
from fgvr_kit.store import Store
from fgvr_kit.types import Outcome

Judge = Callable[[Request, str], tuple[Outcome, str]]
Row = dict[str, Any]
T = TypeVar("T")

USABLE: tuple[Outcome, ...] = ("ok", "repaired")

TRIES = 5
"""Calls for one batch when the server fails, times out or cannot be reached."""
RATE_TRIES = 10
"""Calls for one batch when the server says "too many requests"."""
FIRST_TRIES = 2
"""Calls before giving up on a server that was never reached: a wrong address should be told soon."""
FIRST_WAIT = 0.5
"""Seconds before the second call; doubled each time, up to LONGEST_WAIT, less up to a quarter by chance."""
LONGEST_WAIT = 30.0
PATIENCE = 120.0
"""Seconds of Retry-After that are waited for; a server that asks for more stops the run."""

HELD_BACK = "held back by ask.max_calls"

_UNREACHED = {"backend-unreachable", "backend-timeout"}
_STOPS = {"backend-unreachable", "rate-limited"}  # when these last, every other request meets them too


@dataclass(frozen=True, slots=True)
class Asked:
    """What `ask` brings back. Counts are of replies: equal requests share one.

    rows: request -> its row of table `replies`, None where there is none.
    n_new: asked now.  n_stored: were there before.
    failures: reason -> how many got no row.  errors: reason -> the first such error, for its words.
    """

    rows: dict[Request, Row | None]
    n_new: int
    n_stored: int
    failures: dict[str, int]
    errors: dict[str, BackendError]

    def row(self, request: Request) -> Row | None:
        return self.rows[request]


def ask(
    backend: Backend,
    requests: Sequence[Request],
    store: Store,
    *,
    progress: Progress = SILENT,
    what: str = "extract",
    retry_failed: bool = False,
    judge: Judge | None = None,
    max_calls: int = 0,
) -> Asked:
    """The replies to requests, from the store where they stand there, from the backend otherwise.

    judge: outcome of a finished reply and the text to store; without one, whatever is not empty is "ok". A
    reply that was cut off is "cut_off", unless a schema was asked for and the judge finds enough in it.
    retry_failed: ask again where the stored reply is no answer (refused, cut off, invalid).
    max_calls: of the replies that are missing, ask for so many only; the others count as failures. 0: for all.
    Raises BackendError when going on makes no sense; everything answered by then is stored.
    """
    keys = {request: reply_key(backend, request) for request in requests}
    stored = store.replies(list(dict.fromkeys(keys.values())))
    usable = {key for key, row in stored.items() if not retry_failed or row["outcome"] in USABLE}
    missing: dict[str, Request] = {}
    for request, key in keys.items():
        if key not in usable:
            missing.setdefault(key, request)
    run = _Run(backend, store, judge)
    held_back = len(missing) - max_calls if max_calls else 0
    if held_back > 0:
        missing = dict(islice(missing.items(), max_calls))
        run.hold_back(held_back)
    total = len(set(keys.values()))
    n_stored = total - len(missing) - max(0, held_back)
    with progress.task(what, total - max(0, held_back), done=n_stored) as task:
        if missing:
            _run_to_end(run.answer(list(missing.items()), task))
    rows = stored | store.replies(list(missing))
    return Asked(
        rows={request: rows.get(key) for request, key in keys.items()},
        n_new=run.n_new,
        n_stored=n_stored,
        failures=run.failures,
        errors=run.errors,
    )


def reply_key(backend: Backend, request: Request) -> str:
    """SHA-256 over all that changes the reply. Images count by their pixels, wherever they lie."""
    parts: list[Any] = [
        backend.spec, backend.model, backend.conditions, request.prompt.system, request.prompt.text,
        [image.sha256 for image in request.images], request.schema, request.max_tokens, request.temperature,
    ]  # fmt: skip
    if backend.per_subject:
        parts.append([request.subject, request.attribute, request.purpose])
    # Not sorted: the order of a schema's properties is the order in which a model fills them.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _run_to_end(work: Coroutine[Any, Any, T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as beside:  # in a notebook, whose own loop cannot be entered twice
        return beside.submit(asyncio.run, work).result()


@dataclass
class _Run:
    """One call of `ask`: what was counted on the way."""

    backend: Backend
    store: Store
    judge: Judge | None
    n_new: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    errors: dict[str, BackendError] = field(default_factory=dict)
    is_reached: bool = False
    setbacks: int = 0
    """Batches given up since the last reply."""
    stopped_by: BackendError | None = None
    """Why no further batch is begun; those in flight may still come in, they are paid for."""

    def hold_back(self, n: int) -> None:
        """Count n requests as failures without asking."""
        self.failures[HELD_BACK] = n
        self.errors[HELD_BACK] = BackendError(
            f"ask.max_calls allows no more new replies; {n:,} are left",
            code="max-calls",
            hint="a larger [ask] max_calls asks for more at once",
        )

    async def answer(self, missing: list[tuple[str, Request]], task: Task) -> None:
        size = max(1, self.backend.batch_size)
        batches = [missing[start : start + size] for start in range(0, len(missing), size)]
        pace = Pace(min(max(1, self.backend.concurrency), len(batches)))
        queue = iter(batches)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(pace.most):
                    group.create_task(self._work(queue, pace, task))
        except BaseExceptionGroup as stopped:
            first = stopped.exceptions[0]  # the other calls were cancelled because of it
            raise first from first.__cause__
        finally:
            await self.backend.aclose()
        if self.stopped_by is not None:
            raise self.stopped_by

    async def _work(self, queue: Iterator[list[tuple[str, Request]]], pace: Pace, task: Task) -> None:
        for batch in queue:
            await asyncio.sleep(0)  # a model in this process never waits: let Ctrl-C through
            if self.stopped_by is not None:
                return
            try:
                await self._batch(dict(batch), pace, task)
            except BackendError as error:
                self.stopped_by = self.stopped_by or error

    async def _batch(self, waiting: dict[str, Request], pace: Pace, task: Task) -> None:
        """Ask until each request has a row or is given up."""
        tries = 0
        while waiting:
            tries += 1
            await pace.enter()
            if self.stopped_by is not None:
                pace.leave()
                return
            started = time.monotonic()
            try:
                replies = await self._reply(list(waiting.values()))
            finally:
                pace.leave()
            seconds = (time.monotonic() - started) / len(waiting)
            again = self._keep(waiting, replies, seconds, task)
            if not again:
                pace.speed_up()
                return
            error = next(iter(again.values()))
            wait = self._next_wait(error, tries)
            if wait is None:
                self._give_up(again, task)
                return
            if error.code == "rate-limited":
                pace.slow_down(wait)
            else:
                await asyncio.sleep(wait)
            waiting = {key: waiting[key] for key in again}

    async def _reply(self, requests: list[Request]) -> Sequence[Response | BackendError]:
        try:
            replies = await self.backend.reply(requests)
        except BackendError as error:
            return [error] * len(requests)
        assert len(replies) == len(requests), f"{self.backend.spec}: one reply a request"
        return replies

    def _keep(
        self,
        waiting: dict[str, Request],
        replies: Sequence[Response | BackendError],
        seconds: float,
        task: Task,
    ) -> dict[str, BackendError]:
        """Commit what was answered, count what never will be; returns what may be asked again."""
        rows: list[Row] = []
        again: dict[str, BackendError] = {}
        refused: BackendRefused | None = None
        for (key, request), reply in zip(waiting.items(), replies, strict=True):
            if isinstance(reply, Response):
                rows.append(self._row(key, request, reply, seconds))
            elif isinstance(reply, BackendRefused):
                refused = refused or reply
            elif reply.transient:
                again[key] = reply
            else:
                self._fail(reply, task)
        if rows:
            self.store.put_replies(rows)
            self.n_new += len(rows)
            self.setbacks = 0
            task.advance(len(rows))
        if any(not isinstance(r, BackendError) or r.code not in _UNREACHED for r in replies):
            self.is_reached = True
        if refused is not None:
            raise refused
        return again

    def _row(self, key: str, request: Request, reply: Response, seconds: float) -> Row:
        outcome, text = self._judged(request, reply)
        sampling: dict[str, Any] = {"max_tokens": request.max_tokens, "temperature": request.temperature}
        sampling |= {"schema": request.schema} if request.schema is not None else {}
        return {
            "key": key, "backend": self.backend.spec, "model": reply.model, "purpose": request.purpose,
            "subject": request.subject, "attribute": request.attribute, "prompt_name": request.prompt.name,
            "template_hash": request.prompt.template_hash, "system": request.prompt.system,
            "prompt": request.prompt.text, "images": json.dumps([image.sha256 for image in request.images]),
            "sampling": json.dumps(sampling | self.backend.conditions, ensure_ascii=False), "text": text,
            "outcome": outcome, "finish_reason": reply.finish_reason, "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens, "seconds": round(seconds, 3),
            "note": reply.note or self.backend.note,
        }  # fmt: skip

    def _judged(self, request: Request, reply: Response) -> tuple[Outcome, str]:
        # Half a surrogate pair is legal in JSON but cannot be stored.
        said = reply.text.encode("utf-8", "replace").decode().replace("\0", "").strip()
        for secret in self.backend.secrets:
            said = said.replace(secret, "[key]")
        if reply.finish_reason == "refused":
            return "refused", said
        outcome: Outcome = "ok" if said else "invalid"  # an empty reply is no answer, whoever judges
        text = said
        if said and self.judge is not None:
            outcome, text = self.judge(request, said)
        # A judge can tell that JSON is whole although the tokens ran out; of a sentence nobody can.
        is_whole = self.judge is not None and request.schema is not None and outcome in USABLE
        is_cut = reply.finish_reason == "length" and not is_whole
        return ("cut_off" if is_cut else outcome), text

    def _next_wait(self, error: BackendError, tries: int) -> float | None:
        """Seconds until the next call, or None when there should be none."""
        most = RATE_TRIES if error.code == "rate-limited" else TRIES if self.is_reached else FIRST_TRIES
        if tries >= most or (error.retry_after or 0.0) > PATIENCE:
            return None
        if error.retry_after is not None:
            return error.retry_after
        wait = min(FIRST_WAIT * 2.0 ** (tries - 1), LONGEST_WAIT)
        return wait * (1 - 0.25 * random.random())

    def _give_up(self, again: dict[str, BackendError], task: Task) -> None:
        """Count them as failures; stop the run when it is the server and not the requests."""
        for error in again.values():
            self._fail(error, task)
        self.setbacks += 1
        if not self.is_reached or error.code in _STOPS or self.setbacks >= max(3, self.backend.concurrency):
            raise error

    def _fail(self, error: BackendError, task: Task) -> None:
        reason = error.code.replace("-", " ")
        self.failures[reason] = self.failures.get(reason, 0) + 1
        self.errors.setdefault(reason, error)
        task.advance(1, note=reason)
