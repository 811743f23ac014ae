"""How fast to ask: as many batches in flight as the server bears."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

FIRST = 8
"""Batches in flight at the beginning, or fewer where the settings say so."""


class Pace:
    """How many batches are in flight: begins low, doubles a round of answers, is halved by "too many requests".

    After the first halving it rises by one a round: the limit of the server is near.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(min(most, FIRST))
        self.running = 0
        self.resume_at = 0.0
        self.was_slowed = False
        self.freed = asyncio.Event()

    async def enter(self, stop: asyncio.Event | None = None) -> None:
        """Wait for a place. Returns at once, with a place, when `stop` is set: nothing is begun then."""
        while True:
            pause = self.resume_at - time.monotonic()
            if stop is not None and stop.is_set():
                self.running += 1
                return
            if pause > 0:
                await (asyncio.sleep(pause) if stop is None else within(stop.wait(), pause))
            elif self.running >= int(self.limit):
                self.freed.clear()
                await self.freed.wait()
            else:
                self.running += 1
                return

    def leave(self) -> None:
        self.running -= 1
        self.freed.set()

    def speed_up(self) -> None:
        """A batch was answered: one more in flight; later one more after as many of them as are in flight."""
        step = 1 / self.limit if self.was_slowed else 1.0
        self.limit = min(float(self.most), self.limit + step)
        self.freed.set()

    def slow_down(self, seconds: float) -> None:
        """Nothing starts for that long, and then half as many."""
        now = time.monotonic()
        if now >= self.resume_at:  # the other batches in flight are told the same: one halving for all
            self.limit = max(1.0, self.limit / 2)
        self.was_slowed = True
        self.resume_at = max(self.resume_at, now + seconds)


async def within(waited_for: Coroutine[Any, Any, object], seconds: float) -> None:
    """Wait for something, but no longer than that."""
    try:
        await asyncio.wait_for(waited_for, seconds)
    except TimeoutError:
        return
