"""When the memory does not suffice: one notch down, and it is said. No torch.

The notch: half the samples in memory at once, twice as many micro-batches a step. Stage instruct computes the same
then; stage align compares a sample with fewer others where its contrast is that of a micro-batch.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fgvr_kit.errors import ModelError
from fgvr_kit.training import processes
from fgvr_kit.training.checkpoints.records import read_run
from fgvr_kit.training.schedule import Schedule
from fgvr_kit.types import Notice


def may_go_on(error: ModelError, schedule: Schedule) -> bool:
    """Whether a smaller micro-batch may help. Of several processes one alone cannot begin again: the others wait for
    it in the midst of a step."""
    return error.code == "out-of-memory" and schedule.micro_batch > 1 and processes.size() == 1


def down(schedule: Schedule, stage: str) -> tuple[Schedule, Notice]:
    """The schedule with half the micro-batch, and what is to be said of it."""
    smaller = replace(schedule, micro_batch=schedule.micro_batch // 2)
    return smaller, _notice(smaller, stage)


def as_before(schedule: Schedule, folder: Path, stage: str) -> tuple[Schedule, list[Notice]]:
    """The schedule of a run that goes on: as far down as it had stepped before."""
    document = read_run(folder) or {}
    before = document.get("micro_batch", schedule.micro_batch)
    # One that was smaller because it was asked for says nothing about the memory.
    if not document.get("stepped_down") or before >= schedule.micro_batch:
        return schedule, []
    smaller = replace(schedule, micro_batch=before)
    return smaller, [_notice(smaller, stage)]


def _notice(schedule: Schedule, stage: str) -> Notice:
    means = (
        "a step computes the same, but for rounding"
        if stage == "instruct"
        else f"where contrast is that of a micro-batch, a sample is compared with {schedule.micro_batch - 1} others"
    )
    return Notice(
        f"the memory did not suffice: stage {stage} went on with {schedule.micro_batch} samples at once",
        code="stepped-down",
        why=f"{schedule.accumulation} micro-batches a step now; {means}",
        hint="fgvr-kit train --plan finds what fits; a smaller train.max_pixels leaves room",
    )
