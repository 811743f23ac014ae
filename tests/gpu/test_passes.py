"""Stage align in one packed pass beside the released mathematics (six padded passes, logits everywhere), and what
negatives without a gradient, or out of a bank, would save. Same weights, same batch, forward and backward."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from fgvr_kit.families.base import Vlm
from fgvr_kit.families.sequences import packing
from fgvr_kit.training.data.batch import AlignCollator
from fgvr_kit.training.data.steps import Micro
from fgvr_kit.types import ImageRef
from tests.bench import six_passes
from tests.gpu import eight_billion, meter
from tests.gpu.eight_billion import Shape
from tests.gpu.figures import Figures
from tests.gpu.taken import engine_on

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(240)]

TIMES = 3
WAYS: dict[str, dict[str, Any]] = {
    "packed": {},
    "negatives without a gradient": {"negative_gradient": False},
    "negatives known": {"negative_gradient": False, "bank_steps": 10**6},  # the most that a bank can save
}


@pytest.mark.parametrize("n", [2, 8])
def test_a_packed_pass_beside_six_padded_ones(
    tuned: Vlm, weights: str, shape: Shape, n: int, device: str, images: list[ImageRef], figures: Figures
) -> None:
    """In bf16 on a GPU, activations kept; descriptions of unequal lengths. Losses are equal but for rounding."""
    tuned.model.eval()  # no dropout: losses are compared
    assert packing.isolates(tuned.base_model, tuned.family), "packed sequences must not see each other"
    rows = eight_billion.align_rows(tuned, shape, images[:n], uneven=True)
    micro = Micro(AlignCollator(tuned)(rows)["batch"], n)  # on the CPU, as a trainer hands it over

    def released() -> float:
        with torch.device(device), engine_on(tuned).autocast():  # it makes tensors of its own
            loss = six_passes.released(tuned, micro.batch.to(device), rows, masks=True)
        loss.backward()
        return float(loss.detach())

    def learned(objective: Any) -> float:
        return float(objective.learn(tuned, [micro], engine_on(tuned)).terms["total"])

    ways: dict[str, Callable[[], float]] = {"six padded": released}
    ways |= {name: partial(learned, six_passes.align(**options)) for name, options in WAYS.items()}
    group = f"{shape.name}, {weights}, stage align, {n} at once"
    losses: dict[str, float] = {}
    for name, work in ways.items():
        try:
            losses[name] = work()  # also fills the bank
            figures.put(f"{group}, {name}", **timed(tuned, work, n))
        except torch.OutOfMemoryError:
            figures.put(f"{group}, {name}", samples_a_second="out of memory")
        tuned.model.zero_grad(set_to_none=True)
        meter.forget_peak()
    for name, loss in losses.items():
        figures.put(f"{group}, {name}", loss=loss)
    assert all(math.isfinite(loss) for loss in losses.values())
    assert "packed" in losses
    if "six padded" in losses:
        close = 1e-4 if device == "cpu" and weights == "none" else 0.05
        assert losses["packed"] == pytest.approx(losses["six padded"], rel=close)
    assert losses["negatives known"] == pytest.approx(losses["negatives without a gradient"], rel=0.01)


def timed(vlm: Vlm, work: Callable[[], object], n: int) -> dict[str, Any]:
    """Samples a second and the most bytes, of several runs after one that does not count."""
    meter.forget_peak()
    seconds = []
    for _ in range(TIMES):
        vlm.model.zero_grad(set_to_none=True)
        started = meter.finished()
        work()
        seconds.append(meter.finished() - started)
    return {
        "samples_a_second": n / statistics.median(seconds),
        "peak_gb": meter.peak_gb(),
        "slowest_beside_fastest": max(seconds) / min(seconds),
    }
