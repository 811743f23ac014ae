"""Pictures opened ahead of the model, in threads: decoding, hashing and resizing leave the interpreter free."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit.embedding.preparing import Preparation
from fgvr_kit.types import ImageRef

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_AHEAD = 2
"""Batches that are prepared while the model works on one."""


def batches(
    wanted: Iterable[Sequence[ImageRef]], preparation: Preparation, *, workers: int, is_pinned: bool = False
) -> Generator[Tensor, None, None]:
    """The pictures of each batch as preparation.picture gives them, in order, whatever the number of workers.

    workers: threads; 0 for as many as there are cores.  is_pinned: in memory from which a GPU copies by itself.
    Memory: that of two batches and a picture a worker. Raises ImageError of the first picture that cannot be
    opened, when all batches in front of its own have been taken.
    """
    waiting: deque[list[Future[NDArray[Any]]]] = deque()
    n_workers = workers or _cores()
    pool = ThreadPoolExecutor(n_workers, thread_name_prefix="fgvr-pictures")
    try:
        for refs in wanted:
            waiting.append([pool.submit(preparation.picture, ref) for ref in refs])
            if len(waiting) > _AHEAD and sum(map(len, waiting)) > _AHEAD * n_workers:
                yield _joined(waiting.popleft(), is_pinned)
        while waiting:
            yield _joined(waiting.popleft(), is_pinned)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _joined(pictures: list[Future[NDArray[Any]]], is_pinned: bool) -> Tensor:
    import torch

    batch = torch.from_numpy(np.stack([picture.result() for picture in pictures]))
    return batch.pin_memory() if is_pinned else batch


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
