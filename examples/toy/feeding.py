"""Batches by step, drawn ahead by other processes where there are cores for it."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

from examples.toy.packing import Batch, Packer
from examples.toy.plan import SEED, Plan

_AHEAD = 6


class Feed:
    """What each step learns from. The number of processes changes no batch."""

    def __init__(self, packer: Packer, plan: Plan, workers: int) -> None:
        self._packer, self._plan = packer, plan
        self._pool = ProcessPoolExecutor(workers, get_context("spawn")) if workers else None
        self._coming: deque[tuple[int, Future[Batch]]] = deque()

    def batch(self, step: int) -> Batch:
        """The batch of a step; steps are asked for one after the other."""
        if self._pool is None:
            return drawn(self._packer, self._plan, step)
        first = self._coming[-1][0] + 1 if self._coming else step
        for later in range(first, min(step + _AHEAD, self._plan.steps)):
            self._coming.append((later, self._pool.submit(drawn, self._packer, self._plan, later)))
        number, future = self._coming.popleft()
        assert number == step, "steps follow each other"
        return future.result()


def drawn(packer: Packer, plan: Plan, step: int) -> Batch:
    """Pictures that no other step has: each has room for as many as the largest takes."""
    rows, length = plan.shape(step)
    first = step * plan.look_rows
    easy = plan.easy(step)
    if length == 0:
        return packer.pictures(SEED, first, rows, easy)
    return packer.batch(SEED, first, rows, length, easy)
