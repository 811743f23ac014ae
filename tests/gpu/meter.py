"""Seconds and bytes of what runs on a device. On a CPU, where nothing counts them, bytes are None."""

from __future__ import annotations

import gc
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

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
    """Let go of what nobody holds, and count the peak from here. Nothing on a CPU, where nothing counts."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gb() -> float | None:
    """Most bytes of tensors at one time since forget_peak; the allocator holds somewhat more."""
    return torch.cuda.max_memory_allocated() / GB if torch.cuda.is_initialized() else None


def held_gb() -> float | None:
    """Most bytes that the allocator held since forget_peak: what a card must have, beside CUDA's own."""
    return torch.cuda.max_memory_reserved() / GB if torch.cuda.is_initialized() else None


@contextmanager
def card_of(n_bytes: float) -> Iterator[None]:
    """Within: more than n_bytes is out of memory, as on a smaller card. Nothing on a CPU."""
    if not torch.cuda.is_initialized():
        yield
        return
    total = torch.cuda.get_device_properties(0).total_memory
    forget_peak()
    torch.cuda.set_per_process_memory_fraction(min(1.0, n_bytes / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def matmul_rate(device: str) -> float:
    """FLOP/s of a square matrix product of random numbers, bf16 on CUDA, float32 on a CPU."""
    n, dtype = (8192, torch.bfloat16) if device == "cuda" else (512, torch.float32)
    left, right = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    times = 10

    def multiply() -> None:
        for _ in range(times):
            left @ right

    return 2 * n**3 * times / median_seconds(multiply)


class Busy:
    """Share of the time in which the GPU ran a kernel, as nvidia-smi tells it five times a second.

    None where it says nothing: on a CPU, or when the program is not there.
    """

    share: float | None = None

    def __enter__(self) -> Self:
        self._process = None
        if torch.cuda.is_initialized() and shutil.which("nvidia-smi"):
            argv = [
                "nvidia-smi",
                "--query-gpu=utilization.gpu",
                "--format=csv,noheader,nounits",
                "-lms",
                "200",
            ]
            self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *raised: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        said, _ = self._process.communicate(timeout=20)
        told = [int(line) for line in said.split("\n") if line.strip().isdigit()][
            2:
        ]  # it looks back a little
        self.share = statistics.mean(told) / 100 if len(told) >= 5 else None
