"""What a training step of both stages costs with a model of 8B shape: samples a second, bytes, and how much of the
GPU's arithmetic is used. Random weights: losses mean nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from fgvr_kit.errors import ModelError
from fgvr_kit.families.base import Vlm
from fgvr_kit.families.sequences import packing
from fgvr_kit.training.objectives.finedefics import instruct
from fgvr_kit.types import ImageRef
from tests.gpu import eight_billion, meter
from tests.gpu.eight_billion import Shape
from tests.gpu.figures import Figures
from tests.gpu.flops import Count, counted
from tests.gpu.taken import Taken, align, collator_of, engine_on, take_steps

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(240)]

VENDORS = 989.5e12
"""Dense bf16 FLOP/s of an H100 or H200 (SXM) by NVIDIA's datasheet."""
CARD = 24e9 - 0.7e9
"""Bytes of a card of 24 GB that are left when CUDA itself has taken what it needs."""


def stage_rows(vlm: Vlm, shape: Shape, stage: str, images: Sequence[ImageRef]) -> tuple[Any, list[Any]]:
    if stage == "align":
        return align(), list(eight_billion.align_rows(vlm, shape, images))
    return instruct, list(eight_billion.instruct_rows(images))


def flops_of(vlm: Vlm, objective: Any, rows: Sequence[Any]) -> Count:
    """Of forward and backward of these rows at once."""
    vlm.model.train()
    assert packing.isolates(vlm.base_model, vlm.family)  # found out by passes that are not the step's
    batch = collator_of(vlm, rows)(rows)["batch"]
    with counted(vlm.model) as count, engine_on(vlm).autocast():
        objective(vlm, batch)
    return count


@pytest.mark.parametrize("weights", ["none"], indirect=True)
def test_our_count_of_operations_is_that_of_torch(
    tuned: Vlm, shape: Shape, images: list[ImageRef], figures: Figures
) -> None:
    """Of linear layers and convolutions. Attention is left out: torch counts causal one as if it were whole, and fails
    where keys have fewer heads; and it sees products with 4-bit weights on some devices alone."""
    objective, rows = stage_rows(tuned, shape, "align", images[:2])
    ours = flops_of(tuned, objective, rows)
    batch = collator_of(tuned, rows)(rows)["batch"]
    left_out = {op: lambda *_, **__: 0 for op in flop_registry if "attention" in str(op)}
    with FlopCounterMode(display=False, custom_mapping=left_out) as counter:
        with engine_on(tuned).autocast():
            loss = objective(tuned, batch).total
        loss.backward()
    theirs = counter.get_total_flops()
    figures.put(
        f"{shape.name}, none, operations of a sample of stage align",
        tflop_of_layers=ours.layers / 2e12,
        tflop_of_layers_by_torch=theirs / 2e12,
        tflop_of_attention=ours.attention / 2e12,
    )
    assert ours.layers == pytest.approx(theirs, rel=0.03)
    assert ours.attention > 0


@pytest.mark.parametrize("n_images", [2, 8])
@pytest.mark.parametrize("stage", ["align", "instruct"])
def test_a_stage_takes_steps(
    tuned: Vlm, weights: str, shape: Shape, stage: str, n_images: int, images: list[ImageRef], matmul_rate: float,
    device: str, figures: Figures, tmp_path: Path,
) -> None:  # fmt: skip
    objective, rows = stage_rows(tuned, shape, stage, images[:n_images])
    group = f"{shape.name}, {weights}, stage {stage}, {n_images} images"
    a_sample = flops_of(tuned, objective, rows).total / n_images
    collator = collator_of(tuned, rows)
    figures.put(
        group,
        trainable_million_parameters=tuned.trainable_parameters() / 1e6,
        tokens_a_row=collator(rows)["batch"].inputs["input_ids"].shape[1],
        tflop_a_sample=a_sample / 1e12,
        seconds_to_prepare_on_the_cpu=meter.median_seconds(lambda: collator(rows), times=1),
    )
    peaks: dict[bool, float | None] = {}
    for is_checkpointing in (True, False):
        way = "recomputed" if is_checkpointing else "kept"
        try:
            found = take_steps(
                tuned, objective, rows, tmp_path / way, n_steps=shape.n_steps, micro_batch=n_images,
                checkpointing=is_checkpointing,
            )  # fmt: skip
        except ModelError as error:  # a figure too: how far this GPU goes without recomputing
            if is_checkpointing or error.code != "out-of-memory":
                raise
            figures.put(group, **{f"{way}_activations": "out of memory"})
            continue
        finally:
            meter.forget_peak()
        assert all(math.isfinite(loss) for loss in found.losses)
        peaks[is_checkpointing] = found.peak_gb
        figures.put(group, **told(f"{way}_activations", found, n_images, a_sample, matmul_rate))
    if device == "cuda" and False in peaks:
        assert (peaks[True] or 0) < (peaks[False] or 0)


def told(way: str, found: Taken, n_samples: int, a_sample: float, matmul_rate: float) -> dict[str, Any]:
    """Figures of a step. Model FLOP utilisation: operations of the mathematics (flops.py) in a second of forward and
    backward passes, as a share of what one large product reaches here, and of the vendor's number."""
    rate = a_sample * n_samples / found.learning
    prepared = {}
    if found.seconds is not None:
        prepared[f"{way}_samples_a_second_with_preparing"] = n_samples / found.seconds
    return prepared | {
        f"{way}_samples_a_second": n_samples / found.learning,
        f"{way}_mfu_of_a_matrix_product": rate / matmul_rate,
        f"{way}_mfu_of_989_tflops": rate / VENDORS,
        f"{way}_peak_gb": found.peak_gb,
        f"{way}_held_gb": found.held_gb,
        f"{way}_last_loss": found.losses[-1],
    }


@pytest.mark.parametrize("weights", ["nf4"], indirect=True)
@pytest.mark.parametrize(
    ("stage", "micro_batch", "contrast"),
    [("align", 2, "step"), ("align", 2, "micro"), ("instruct", 8, "step")],
)
def test_the_papers_settings_fit_on_a_card_of_24_gb(
    tuned: Vlm, shape: Shape, stage: str, micro_batch: int, contrast: str, images: list[ImageRef],
    matmul_rate: float, device: str, figures: Figures, tmp_path: Path,
) -> None:  # fmt: skip
    """Batches of 64 and 128 in micro-batches of 2 and 8. More than CARD is out of memory here, too."""
    n = shape.align_batch if stage == "align" else shape.instruct_batch
    _, rows = stage_rows(tuned, shape, stage, images[: n + 4])
    objective: Any = align(contrast=contrast) if stage == "align" else instruct
    a_sample = flops_of(tuned, objective, rows[:micro_batch]).total / micro_batch
    with meter.card_of(CARD):
        found = take_steps(
            tuned, objective, rows, tmp_path, n_steps=2, micro_batch=micro_batch, checkpointing=True, batch=n
        )
    said = f", contrast {contrast}" if stage == "align" else ""
    group = f"{shape.name}, nf4, the paper's stage {stage}: {n} in {micro_batch}s{said}"
    figures.put(group, **told("recomputed_activations", found, n, a_sample, matmul_rate))
    assert all(math.isfinite(loss) for loss in found.losses)
    if device == "cuda":
        assert found.held_gb is not None
        assert found.held_gb < 24


@pytest.mark.parametrize("weights", ["nf4"], indirect=True)
def test_dora_takes_steps(
    tuned: Vlm, shape: Shape, images: list[ImageRef], figures: Figures, tmp_path: Path
) -> None:
    """Magnitudes are trained too; reading them off the weights costs time and memory."""
    eight_billion.adapt(tuned, dora=True)
    try:
        rows = eight_billion.align_rows(tuned, shape, images[:2])
        assert any("magnitude" in n for n, p in tuned.model.named_parameters() if p.requires_grad)
        n_trained = tuned.trainable_parameters()
        found = take_steps(tuned, align(), rows, tmp_path, n_steps=2, micro_batch=2, checkpointing=True)
    finally:
        tuned.model.zero_grad(set_to_none=True)
        eight_billion.adapt(tuned)
        meter.forget_peak()
    assert all(math.isfinite(loss) for loss in found.losses)
    figures.put(
        f"{shape.name}, nf4, stage align with DoRA, 2 images",
        samples_a_second=2 / found.learning,
        peak_gb=found.peak_gb,
        trainable_million_parameters=n_trained / 1e6,
    )
