"""A step of stage align beside the released mathematics done plainly, and what data loading costs it.

Same weights, same batches, alternating in the same run, forward and backward, float32 on two threads, LoRA of
rank 8 without dropout. Random weights: only times, memory and the equality of losses mean something.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.batch import AlignCollator, Batch
from fgvr_kit.training.data.examples import AlignExample
from fgvr_kit.training.data.steps import Micro, Steps
from fgvr_kit.training.loop.prefetch import Ahead
from fgvr_kit.training.objectives.learning import Engine
from fgvr_kit.types import ImageRef
from tests.bench import six_passes
from tests.bench.six_passes import align, ours, released
from tests.bench.test_scan import photographs

pytestmark = pytest.mark.bench

ROUNDS = {2: 12, 8: 5}
"""Micro-batch -> pairs of timed steps."""
STEPS = 6
"""Optimizer steps that data are loaded for."""


@pytest.fixture(scope="module", autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return six_passes.middle_size(tmp_path_factory.mktemp("middle") / "model")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    root = photographs(tmp_path_factory.mktemp("photographs"), 8 * STEPS, size=(1000, 750))
    return [ImageRef(path, pixel_sha256(open_image(path))) for path in sorted(root.rglob("*.jpg"))]


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def learned(vlm: Vlm, loss: Callable[..., torch.Tensor], *given: Any) -> tuple[float, float]:
    """Seconds of forward and backward, and the loss."""
    vlm.model.zero_grad()

    def both() -> float:
        found = loss(vlm, *given)
        found.backward()
        return float(found.detach())

    return seconds(both)


def made(vlm: Vlm, rows: Sequence[AlignExample]) -> Batch:
    batch: Batch = AlignCollator(vlm)(rows)["batch"]
    return batch


def quartiles(of: Sequence[float]) -> str:
    low, middle, high = statistics.quantiles(of, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


@pytest.mark.parametrize("n", sorted(ROUNDS))
def test_a_step_beside_six_padded_passes(folder: Path, images: list[ImageRef], n: int) -> None:
    plain, vlm = six_passes.opened(folder), six_passes.opened(folder)
    for equal in (True, False):  # warm up, and compare
        rows = six_passes.examples(vlm, images[:n], seed=99, equal=equal)
        batch = made(vlm, rows)
        expected = released(plain, batch, rows, masks=not equal)
        assert float(ours(vlm, batch, rows)) == pytest.approx(float(expected), rel=1e-5)
    times: dict[str, list[float]] = {"released": [], "ours": []}
    for seed in range(ROUNDS[n]):
        rows = six_passes.examples(vlm, images[:n], seed=seed)
        batch = made(vlm, rows)
        times["released"].append(learned(plain, released, batch, rows)[0])
        took, loss = learned(vlm, ours, batch, rows)
        times["ours"].append(took)
        with torch.no_grad():
            assert loss == pytest.approx(float(released(plain, batch, rows, masks=True)), rel=1e-5)
    ratios = [a / b for a, b in zip(times["released"], times["ours"], strict=True)]
    in_use, held = (
        {which: peak(folder, images[0], which, n, exact=exact) for which in times} for exact in (True, False)
    )
    print(f"\nmicro-batch {n}, {ROUNDS[n]} pairs of steps, random weights:")
    for which, each in times.items():
        rate = n / statistics.median(each)
        memory = f"{in_use[which] / 1e9:.2f} GB ({held[which] / 1e9:.2f} with what malloc keeps)"
        print(f"  {which:8} {quartiles(each)} s a step, {rate:.2f} samples/s, peak {memory}")
    print(f"  released / ours of a pair: {quartiles(ratios)}")
    assert statistics.median(ratios) > 1.1
    assert in_use["ours"] < in_use["released"]


def peak(folder: Path, image: ImageRef, which: str, n: int, *, exact: bool) -> int:
    """Most bytes that a process holds which does two steps.

    exact: freed memory goes back at once, so that what is counted is in use; else as malloc likes to keep it.
    """
    argv = [sys.executable, "-m", "tests.bench.step_memory", str(folder), str(image.path), which, str(n)]
    malloc = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_MMAP_MAX_": "1000000"} if exact else {}
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **malloc},
    )
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("n", sorted(ROUNDS))
def test_hard_negatives_without_a_gradient_and_out_of_a_bank(
    folder: Path, images: list[ImageRef], n: int
) -> None:
    """Other mathematics: what it would save. "known" is the most that a bank can: it holds every negative."""
    plain, vlm = six_passes.opened(folder), six_passes.opened(folder)
    settings: dict[str, dict[str, Any]] = {
        "with a gradient": {},
        "without": {"negative_gradient": False},
        "known": {"negative_gradient": False, "bank_steps": 10**6},
    }
    objectives = {name: align(**options) for name, options in settings.items()}
    times: dict[str, list[float]] = {"released": [], **{name: [] for name in objectives}}
    for seed in range(-1, ROUNDS[n] // 2):
        rows = six_passes.examples(vlm, images[:n], seed=max(seed, 0))
        micro = Micro(made(vlm, rows), n)
        took = {"released": learned(plain, released, micro.batch, rows)[0]}
        objectives["known"].learn(vlm, [micro], Engine())  # fills the bank
        for name, objective in objectives.items():
            vlm.model.zero_grad()
            took[name], _ = seconds(partial(objective.learn, vlm, [micro], Engine()))
        for name, one in took.items():
            times[name] += [one] if seed >= 0 else []
    print(f"\nmicro-batch {n}, hard negatives:")
    for name, took_all in times.items():
        ratio = statistics.median(a / b for a, b in zip(times["released"], took_all, strict=True))
        print(f"  {name:15} {n / statistics.median(took_all):.2f} samples/s, {ratio:.2f} times the released")
    assert statistics.median(times["known"]) < statistics.median(times["with a gradient"])


def test_the_model_waits_less_for_steps_that_are_made_ahead(folder: Path, images: list[ImageRef]) -> None:
    vlm = six_passes.opened(folder)
    rows = six_passes.examples(vlm, images, seed=0)
    steps = Steps(rows, AlignCollator(vlm), batch=8, micro_batch=8, seed=0)
    align().learn(vlm, steps[0, 0], Engine())
    shares = {}
    for name, source in (("in time", steps), ("ahead", Ahead(steps))):
        waited = busy = 0.0
        for n in range(len(steps)):
            took, step = seconds(partial(source.__getitem__, (0, n)))
            waited += took
            busy += seconds(partial(align().learn, vlm, step, Engine()))[0]
        shares[name] = waited / (waited + busy)
        print(
            f"\nsteps made {name}: {waited:.2f} s waited for {len(images)} JPEGs of 1000x750, {busy:.2f} s of"
            f" learning; {100 * shares[name]:.1f} % of the time is waiting"
        )
    assert shares["ahead"] < shares["in time"]
