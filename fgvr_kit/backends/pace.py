"""How fast to ask: as many batches in flight as the server bears."""

from __future__ import annotations

import asyncio
import time


class Pace:
    """How many batches are in flight: halved by "too many requests", raised by one a round of answers."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self.running = 0
        self.resume_at = 0.0
        self.freed = asyncio.Event()

    async def enter(self) -> None:
        while True:
            pause = self.resume_at - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
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
        """A batch was answered: one more in flight after as many of them as there are in flight."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)
        self.freed.set()

    def slow_down(self, seconds: float) -> None:
        """Nothing starts for that long, and then half as many."""
        now = time.monotonic()
        if now >= self.resume_at:  # the other batches in flight are told the same: one halving for all
            self.limit = max(1.0, self.limit / 2)
        self.resume_at = max(self.resume_at, now + seconds)
