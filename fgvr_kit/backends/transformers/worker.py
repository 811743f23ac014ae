"""A thread of one's own for work that blocks, awaited from the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

R = TypeVar("R")

_Jobs = queue.SimpleQueue[tuple["Future[Any]", Callable[[], Any]] | None]


class Worker:
    """Does one job after another. A daemon: the process may end while a job runs.

    The thread starts with the first job.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: _Jobs = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def do(self, job: Callable[[], R]) -> R:
        """What job returns or raises. Cancelled before its turn, it never runs; afterwards nobody waits for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True)
            self._thread.start()
        future: Future[R] = Future()
        self._jobs.put((future, job))
        return await asyncio.wrap_future(future)

    def end(self) -> None:
        """Let the thread end after the jobs that wait."""
        self._jobs.put(None)


def _work(jobs: _Jobs) -> None:
    while (item := jobs.get()) is not None:
        future, job = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(job())
            except BaseException as error:  # whoever awaits is told
                future.set_exception(error)
        del item, future, job  # a job holds its backend, and that one holds the weights
