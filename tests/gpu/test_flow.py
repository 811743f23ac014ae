"""A model of 8B shape in use: steps made ahead of the GPU, what `plan --gpu` foretells, and merging. Last, because
merging uses the model up."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.families.weights.quantized import small_layers
from fgvr_kit.training.data.batch import AlignCollator, InstructCollator
from fgvr_kit.training.data.examples import Examples
from fgvr_kit.training.data.steps import Steps
from fgvr_kit.training.loop.prefetch import Ahead
from fgvr_kit.training.objectives.finedefics import instruct
from fgvr_kit.training.planning import measured
from fgvr_kit.training.planning.rehearsed import Rehearsed
from fgvr_kit.training.runs.stage import Stage
from fgvr_kit.types import ImageRef
from fgvr_kit.workspace import Workspace
from tests.bench.test_scan import photographs
from tests.families.contract import photo
from tests.gpu import eight_billion, meter
from tests.gpu.conftest import refuse_full_disk
from tests.gpu.eight_billion import Shape
from tests.gpu.figures import Figures
from tests.gpu.taken import align, engine_on, take_steps
from tests.training.conftest import build_workspace

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(240)]

BATCH = 8


def test_the_gpu_hardly_waits_for_steps_that_are_made_ahead(
    tuned: Vlm, weights: str, shape: Shape, device: str, figures: Figures, tmp_path: Path
) -> None:
    """From JPEG files of 1000x750 to an optimizer step, in the recipe's settings; the first step is not counted."""
    n_steps = 6 if device == "cuda" else 3
    root = photographs(tmp_path, BATCH * n_steps, size=(1000, 750))
    images = [ImageRef(path, pixel_sha256(open_image(path))) for path in sorted(root.rglob("*.jpg"))]
    rows = eight_billion.align_rows(tuned, shape, images)
    steps = Steps(rows, AlignCollator(tuned), batch=BATCH, micro_batch=BATCH, seed=0)
    tuned.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    shares = {}
    for way, source in (("in time", steps), ("ahead", Ahead(steps))):
        with meter.Busy() as busy:
            waited, worked = walk(tuned, source, n_steps)
        shares[way] = worked / (waited + worked)
        figures.put(
            f"{shape.name}, {weights}, {BATCH * (n_steps - 1)} JPEGs of 1000x750 in steps made {way}",
            seconds_waited_for_images=waited,
            seconds_of_learning=worked,
            share_of_learning=shares[way],
            busy_by_nvidia_smi=busy.share,
            samples_a_second=BATCH * (n_steps - 1) / (waited + worked),
            cpu_cores=os.cpu_count(),
        )
    if device == "cuda":
        assert shares["ahead"] >= 0.85


def walk(vlm: Vlm, source: Any, n_steps: int) -> tuple[float, float]:
    """Seconds of waiting for steps, and of learning them, but for the first."""
    vlm.model.train()
    objective, engine = align(), engine_on(vlm)
    optimizer = torch.optim.AdamW([p for p in vlm.model.parameters() if p.requires_grad], lr=1e-4)
    waited = worked = 0.0
    for n in range(n_steps):
        began = meter.finished()
        micros = source[0, n]
        made = meter.finished()
        objective.learn(vlm, micros, engine)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if n:
            waited, worked = waited + made - began, worked + meter.finished() - made
    return waited, worked


@pytest.mark.parametrize("weights", ["nf4"], indirect=True)
def test_training_takes_what_the_plan_has_measured(
    tuned: Vlm, shape: Shape, device: str, images: list[ImageRef], figures: Figures, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """plan --gpu of two stages with small batches, then stage align as the fastest row says."""
    batch = 4 if device == "cuda" else 2
    rows = eight_billion.align_rows(tuned, shape, images[:batch], uneven=True)
    asked = eight_billion.instruct_rows(images[:batch])
    stages = [
        Rehearsed(Stage("align", "", AlignCollator, align(), batch, None, None), Examples(rows)),
        Rehearsed(Stage("instruct", "", InstructCollator, instruct, batch, None, None), Examples(asked)),
    ]
    # The model and its rows are those of this module; a workspace would have to open them from a file.
    monkeypatch.setattr(measured, "rehearsed", lambda _: stages)
    monkeypatch.setattr(measured, "loaded", lambda _: tuned)
    monkeypatch.setattr(tuned, "max_pixels", tuned.max_pixels)  # put back in the end
    build_workspace(tmp_path / "work").close()
    started = meter.finished()
    with Workspace(tmp_path / "work", [f"train.device={device}", "finedefics.epochs=1"]) as workspace:
        plan = measured.measure_training(workspace)
    for row in plan.rows:
        way = "recomputed" if row.checkpointing else "kept"
        figures.put(
            f"plan --gpu, {shape.name}, nf4, {row.stage}, {row.micro_batch} at once, {way}, {row.max_pixels} pixels",
            seconds_a_step=row.seconds,
            peak_gb=row.peak / meter.GB if row.peak else None,
        )
    best = min(
        (row for row in plan.rows if row.stage == "align" and row.fits and row.max_pixels == 980 * 980),
        key=lambda row: row.seconds or math.inf,
    )
    took = meter.finished() - started
    tuned.max_pixels = best.max_pixels
    found = take_steps(
        tuned, align(), rows, tmp_path / "steps", n_steps=3, micro_batch=best.micro_batch,
        checkpointing=best.checkpointing,
    )  # fmt: skip
    assert best.seconds is not None
    assert best.peak is not None
    figures.put(
        f"plan --gpu beside training, {shape.name}, nf4, stage align, {best.micro_batch} at once",
        seconds_of_planning=took,
        planned_seconds_a_step=best.seconds,
        trained_seconds_a_step=found.seconds,
        planned_peak_gb=best.peak / meter.GB,
        trained_peak_gb=found.peak_gb,
    )
    if device == "cuda":
        assert found.peak_gb is not None
        assert found.peak_gb < 1.1 * best.peak / meter.GB


@pytest.mark.parametrize("weights", ["nf4"], indirect=True)
def test_merging_4_bit_weights_hardly_changes_the_logits(
    tuned: Vlm, shape: Shape, device: str, figures: Figures, tmp_path: Path
) -> None:
    """As `--between merge` does it. The adapter is no fresh one: its B are numbers of the size that training makes."""
    group = f"{shape.name}, nf4, base and adapter merged"
    refuse_full_disk(tmp_path, device, figures, group)
    generator = torch.Generator().manual_seed(1)
    for name, weight in tuned.model.named_parameters():
        if "lora_B" in name:
            weight.data.copy_(torch.randn(weight.shape, generator=generator) / 100)
    probes = [Ask(eight_billion.QUESTION, (photo(n, *shape.photo),)) for n in range(2)]
    meter.forget_peak()
    started = meter.finished()
    merged = tuned.merged(tmp_path / "merged", probes)
    figures.put(
        group,
        seconds_with_writing=meter.finished() - started,
        largest_difference_of_a_logit=merged.difference,
        largest_logit=merged.largest,
        peak_gb=meter.peak_gb(),
    )
    shutil.rmtree(merged.folder)
    assert not tuned.has_adapter
    assert not small_layers(tuned.model)
    assert math.isfinite(merged.difference)
    assert merged.difference < 0.1 * merged.largest
