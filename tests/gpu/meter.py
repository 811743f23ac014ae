"""Seconds and bytes of what runs on a device. On a CPU, where nothing counts them, bytes are None."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

import torch

GB = 1e9


def finished() -> float:
    """Seconds on a clock, when the GPU has done all that was asked of it."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def median_seconds(work: Callable[[], object], times: int = 3) -> float:
    """Median of several runs after one that does not count."""
    work()
    seconds = []
    for _ in range(times):
        started = finished()
        work()
        seconds.append(finished() - started)
    return statistics.median(seconds)


def allocated_gb() -> float | None:
    return torch.cuda.memory_allocated() / GB if torch.cuda.is_initialized() else None


def forget_peak() -> None:
    """Let go of what nobody holds, and count the peak from here."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gb() -> float | None:
    """Most bytes of tensors at one time since forget_peak; the allocator holds somewhat more."""
    return torch.cuda.max_memory_allocated() / GB if torch.cuda.is_initialized() else None
