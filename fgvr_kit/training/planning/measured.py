"""What fits on this machine, and how fast: real steps on the longest rows, for several settings.

A guess from a model's size would be wrong by the length of the texts, the size of the photographs, the quantised
layers and the kernels of the card; two steps tell.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit import plugins
from fgvr_kit.errors import ModelError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.training.planning.plan import n_steps
from fgvr_kit.training.planning.rehearsed import Rehearsed, loaded, rehearsed, settings_of
from fgvr_kit.types import Notice
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm

ROUNDS = 2
"""Micro-batches of a measured step: one fewer would leave out what accumulation holds."""
HEADROOM = 0.08
"""Share of the memory that must stay free for `--auto`: longer rows than the longest do not come, but a fragmented
memory does."""
_LEAST_PIXELS = 224 * 224
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table. peak, total: bytes; peak is None where it did not fit.

    seconds: of an optimizer step of `batch` samples, from the measured share of it.  hours: of the whole stage.
    """

    stage: str
    micro_batch: int
    accumulation: int
    checkpointing: bool
    max_pixels: int
    total: int
    peak: int | None = None
    seconds: float | None = None
    hours: float | None = None

    @property
    def headroom(self) -> float | None:
        """Share of the memory that stayed free."""
        return None if self.peak is None else 1 - self.peak / self.total

    @property
    def fits(self) -> bool:
        return self.headroom is not None and self.headroom >= HEADROOM


@dataclass(frozen=True, slots=True)
class Measurement:
    """device: in words.  rows: stage by stage.  best: "section.key" -> value of the fastest that fits, {} if none."""

    device: str
    model: str
    rows: tuple[Measured, ...]
    best: dict[str, Any]


def measure_training(workspace: Workspace, progress: Progress = SILENT) -> Measurement:
    """Train a few steps of each stage with several settings; nothing of it is kept. Raises as training does."""
    stages = rehearsed(workspace)
    vlm = loaded(workspace)
    rows: list[Measured] = []
    plans = list(_candidates(workspace, stages))
    with progress.task("measure", len(plans)) as task:
        too_large: set[tuple[str, bool, int]] = set()
        for stage, micro, checkpointing, pixels in plans:
            key = (stage.stage.name, checkpointing, pixels)
            row = _row(workspace, stage, micro, checkpointing, pixels, _memory(vlm))
            if key not in too_large:
                row = _tried(vlm, stage, row, settings_of(workspace).epochs)
            if row.peak is None:
                too_large.add(key)
            rows.append(row)
            task.advance(1, note=f"{row.stage}: {micro} at once")
    return Measurement(_device(vlm), vlm.name, tuple(rows), best_of(workspace, rows))


def best_of(workspace: Workspace, rows: Sequence[Measured]) -> dict[str, Any]:
    """The settings of the fastest rows that fit in all stages, photographs as large as they are set."""
    recipe = workspace.settings.train.recipe
    at_once: dict[tuple[int, bool, int], list[Measured]] = {}
    for row in rows:
        at_once.setdefault((row.micro_batch, row.checkpointing, row.max_pixels), []).append(row)
    n_stages = len({row.stage for row in rows})
    whole = {
        key: found for key, found in at_once.items() if len(found) == n_stages and all(r.fits for r in found)
    }
    if not whole:
        return {}
    widest = max(pixels for _, _, pixels in whole)
    fastest = min(
        (key for key in whole if key[2] == widest),
        key=lambda key: (sum(row.hours or 0.0 for row in whole[key]), key),
    )
    micro, checkpointing, pixels = fastest
    best = {f"{recipe}.micro_batch": micro, f"{recipe}.gradient_checkpointing": checkpointing}
    return best | ({} if pixels == workspace.settings.train.max_pixels else {"train.max_pixels": pixels})


def changed_by(workspace: Workspace, best: dict[str, Any]) -> list[Notice]:
    """What must be said of settings that fit: a stage that learns something else with them."""
    recipe: Any = plugins.load("recipes", workspace.settings.train.recipe)
    before = recipe.stage_fingerprints(workspace)
    chosen = [f"{key}={json.dumps(value)}" for key, value in best.items()]
    with Workspace(workspace.root, [*workspace.overrides, *chosen]) as other:
        after = recipe.stage_fingerprints(other)
    changed = [stage for stage in before if before[stage] != after[stage]]
    if not changed:
        return []
    said = ", ".join(f"{key} = {value}" for key, value in best.items())
    return [
        Notice(
            f"what stage {' and stage '.join(changed)} learns is another thing with {said}",
            code="plan-changes-result",
            why='smaller photographs show less; with contrast = "micro" a sample is compared with those at once alone',
            hint='compare such runs with each other only; contrast = "step" does not hang on micro_batch',
        )
    ]


def nothing_fits(measurement: Measurement) -> ModelError:
    """The error of `--auto` where no row fits."""
    smallest = min((row.peak for row in measurement.rows if row.peak), default=None)
    return ModelError(
        f"no setting that was tried fits on {measurement.device}",
        code="nothing-fits",
        why=f"the smallest took {smallest / 2**30:.1f} GiB"
        if smallest
        else "not even one sample at once did",
        hint='a smaller base model, train.quantize = "nf4" on a GPU, a smaller train.max_pixels or rank',
    )


def _candidates(
    workspace: Workspace, stages: Sequence[Rehearsed]
) -> Iterator[tuple[Rehearsed, int, bool, int]]:
    """Micro-batches upwards, with and without checkpointing; smaller photographs with the smallest of them."""
    own = workspace.settings.train.max_pixels
    for stage in stages:
        batch = min(stage.stage.batch, len(stage.examples.rows))
        sizes = [size for size in (1, 2, 4, 8, 16, 32) if size <= batch]
        for checkpointing in (True, False):
            for size in sizes:
                yield stage, size, checkpointing, own
        if own // 2 >= _LEAST_PIXELS:
            for size in sizes[:2]:
                yield stage, size, True, own // 2


def _row(
    workspace: Workspace, stage: Rehearsed, micro: int, checkpointing: bool, pixels: int, total: int
) -> Measured:
    batch = min(stage.stage.batch, len(stage.examples.rows))
    return Measured(stage.stage.name, micro, -(-batch // micro), checkpointing, pixels, total)


def _tried(vlm: Vlm, stage: Rehearsed, row: Measured, epochs: float) -> Measured:
    """The row with what was measured; without where the memory did not suffice."""
    import torch

    found: tuple[int, float] | None = None
    try:
        found = _stepped(vlm, stage, row)
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if found is None:
        return row
    peak, seconds = found
    n = len(stage.examples.rows)
    batch = min(stage.stage.batch, n)
    of_step = seconds * batch / min(batch, row.micro_batch * _rounds(row))
    hours = of_step * n_steps(n, batch, epochs) / 3600
    return replace(row, peak=peak, seconds=of_step, hours=hours)


def _stepped(vlm: Vlm, stage: Rehearsed, row: Measured) -> tuple[int, float]:
    """(bytes at the peak of two steps, seconds of the second). The weights stay: their learning rate is 0."""
    import torch

    from fgvr_kit.training.data.steps import Micro
    from fgvr_kit.training.objectives.learning import Engine, whole

    _prepare(vlm, row)
    objective = whole(stage.stage.loss)
    objective.to(vlm.device)
    collate = stage.stage.collator(vlm)
    rounds = _rounds(row)
    rows = stage.longest(row.micro_batch * rounds)
    parts = [rows[n::rounds] for n in range(rounds)]
    trained = [p for p in vlm.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW([*trained, *objective.trained()], lr=0.0, weight_decay=0.0)
    on_cuda = vlm.device.type == "cuda"
    engine = Engine(lambda: torch.autocast("cuda", torch.bfloat16, enabled=on_cuda))
    _reset_peak(on_cuda)
    seconds = 0.0
    for _ in range(2):  # the first one also makes the optimizer's state and chooses kernels
        started = time.perf_counter()
        micros = [Micro(collate(part)["batch"], len(part)) for part in parts]
        objective.learn(vlm, micros, engine)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if on_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    return _peak(on_cuda), seconds


def _rounds(row: Measured) -> int:
    """Micro-batches of a measured step."""
    return min(ROUNDS, row.accumulation)


def _prepare(vlm: Vlm, row: Measured) -> None:
    vlm.max_pixels = row.max_pixels
    vlm.model.train()
    if row.checkpointing:
        vlm.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    else:
        vlm.model.gradient_checkpointing_disable()


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    is_told = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return is_told or "can't allocate memory" in str(error)  # of the CPU's allocator


def _reset_peak(on_cuda: bool) -> None:
    if on_cuda:
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    else:
        with suppress(OSError):  # Linux alone
            _CLEAR.write_text("5")


def _peak(on_cuda: bool) -> int:
    """Bytes: of the GPU's tensors, or of this process."""
    if on_cuda:
        import torch

        return int(torch.cuda.max_memory_allocated())
    with suppress(OSError, StopIteration):
        lines = _STATUS.read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    import resource
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _memory(vlm: Vlm) -> int:
    """Bytes that there are in all."""
    if vlm.device.type == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(vlm.device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _device(vlm: Vlm) -> str:
    if vlm.device.type == "cuda":
        import torch

        return str(torch.cuda.get_device_name(vlm.device))
    return f"this CPU ({os.cpu_count()} cores)"
