"""Optimizer steps through the recipe's own trainer, with their seconds and bytes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.batch import AlignCollator, InstructCollator
from fgvr_kit.training.data.examples import AlignExample
from fgvr_kit.training.data.steps import Collator
from fgvr_kit.training.loop.trainer import StageTrainer
from fgvr_kit.training.objectives.finedefics import Align
from fgvr_kit.training.objectives.learning import Engine, StepObjective, Tally
from fgvr_kit.training.schedule import Schedule
from tests.gpu import meter


@dataclass(frozen=True, slots=True)
class Taken:
    """losses: of each step.  seconds: of a step, with what preparing its images costs, where several are timed.
    learning: of these, forward and backward passes alone.  peak_gb: of tensors; held_gb: of the allocator."""

    losses: list[float]
    seconds: float | None
    learning: float
    peak_gb: float | None
    held_gb: float | None


def align(**options: Any) -> Align:
    """Stage align of the paper."""
    return Align(
        attribute_temperature=0.07, category_temperature=0.07, negatives="shared", ccc="paper", **options
    )


def collator_of(vlm: Vlm, rows: Sequence[Any]) -> Collator:
    return AlignCollator(vlm) if isinstance(rows[0], AlignExample) else InstructCollator(vlm)


def engine_on(vlm: Vlm) -> Engine:
    """Passes as the trainer runs them: bf16 on CUDA."""
    on_cuda = vlm.device.type == "cuda"
    return Engine(lambda: torch.autocast("cuda", torch.bfloat16, enabled=on_cuda, cache_enabled=False))


def take_steps(
    vlm: Vlm,
    objective: StepObjective,
    rows: Sequence[Any],
    folder: Path,
    *,
    n_steps: int,
    micro_batch: int,
    checkpointing: bool,
    batch: int = 0,
) -> Taken:
    """Steps of all rows each, images prepared anew; the first is not timed.

    batch: samples of the first step, which alone is timed; the rest of the rows make the others, in which the
    optimizer's state is there too. Raises ModelError "out-of-memory".
    """
    schedule = Schedule(
        batch=batch or len(rows),
        micro_batch=micro_batch,
        epochs=1 if batch else n_steps,
        learning_rate=2e-4,
        warmup=0.0,
        weight_decay=0.01,
        seed=42,
        save_steps=10**6,
        gradient_checkpointing=checkpointing,
    )
    losses: list[float] = []
    ends: list[float] = []
    learning: list[float] = []
    learn = objective.learn

    def on_step(step: int, epoch: float, terms: dict[str, float]) -> None:
        losses.append(terms["total"])
        ends.append(meter.finished())

    def timed(*given: Any) -> Tally:
        started = meter.finished()
        tally = learn(*given)
        learning.append(meter.finished() - started)
        return tally

    vlm.model.gradient_checkpointing_disable()
    meter.forget_peak()
    with mock.patch.object(objective, "learn", timed):
        trainer = StageTrainer(vlm, objective, rows, collator_of(vlm, rows), schedule, folder, on_step)
        trainer.train_or_resume()
    assert len(losses) == n_steps
    seconds = None if batch else statistics.median(end - start for start, end in pairwise(ends))
    learned = learning[0] if batch else statistics.median(learning[1:])
    return Taken(losses, seconds, learned, meter.peak_gb(), meter.held_gb())
