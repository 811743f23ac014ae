"""What of the model a stage trains, and what it begins with: the base model, the stage before it, or both as one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit.errors import FgvrError, ModelError, SettingsError
from fgvr_kit.families.weights.quantized import has_cuda, resolved
from fgvr_kit.training import processes
from fgvr_kit.training.checkpoints.checkpoint import Checkpoint
from fgvr_kit.training.loop.interrupted import telling_of_full_disk
from fgvr_kit.training.runs.image_check import ask_of
from fgvr_kit.training.runs.memory import bytes_when_merged
from fgvr_kit.training.runs.stage import RecipeSettings
from fgvr_kit.types import Notice
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm

N_PROBES = 8
"""Training rows whose logits are compared before and after merging."""
MUCH = 1e-3
"""A change of logits by more than this share of the largest is told as a warning."""
_NOTE = "merge.json"


@dataclass(frozen=True, slots=True)
class Merge:
    """What merging a stage changed on some probes. merged: the largest change of a logit by adding the adapter to the
    weights.  begun: the same in the model that the next stage begins with, whose weights may be stored small again.
    largest: the largest logit.  sizes: bytes of the files of the checkpoint.
    """

    merged: float
    begun: float
    largest: float
    probes: int
    sizes: dict[str, int]


def refuse_untrainable(workspace: Workspace, *, on: str | None = None) -> None:
    """Raise SettingsError for settings of [train] that exclude each other, before anything is loaded; FgvrError
    "disk-full" when a merged model would not find room here.

    on: the device, in place of [train] device, of a machine that is not this one.
    """
    train = workspace.settings.train
    kind = resolved(train.quantize, on or train.device)
    if train.tune == "full" and kind != "none":
        raise SettingsError(
            f"weights stored as {kind} cannot be trained whole",
            code="quantized-full",
            where="train.tune",
            hint="--quant none for full fine-tuning, which takes about 16 bytes a parameter; or --tune lora",
        )
    if train.tune == "full" and (train.targets or train.between == "merge"):
        given = "targets" if train.targets else 'between = "merge"'
        raise SettingsError(
            f"train.{given} is about an adapter, and train.tune = full trains none",
            code="full-has-no-adapter",
            where="train.tune",
            hint="--between continue, and no targets; or --tune lora",
        )
    if train.tune == "dora" and kind == "int8":
        raise SettingsError(
            "DoRA does not work on weights stored as int8",
            code="dora-int8",
            where="train.tune",
            hint="--quant nf4 or none; or --tune lora",
        )
    if not on:
        _refuse_no_room(workspace)


def merges(workspace: Workspace) -> bool:
    """Whether a stage begins with the one before it merged into the base."""
    return workspace.settings.train.between == "merge"


def fresh(workspace: Workspace, settings: RecipeSettings, *, on: Checkpoint | None = None) -> Vlm:
    """The model with a new adapter, or with its own weights free to be trained. on: a stage that is merged."""
    train = workspace.settings.train
    vlm = _opened(workspace, base=on.merged if on else None, shown=_named(workspace, on))
    if train.tune == "full":
        vlm.unfreeze()
        return vlm
    vlm.attach_lora(
        r=settings.rank,
        alpha=settings.alpha,
        dropout=settings.dropout,
        seed=settings.seed,
        dora=train.tune == "dora",
        targets=train.targets,
    )
    return vlm


def continued(workspace: Workspace, init: Checkpoint) -> Vlm:
    """The model with what the stage before has trained, to be trained further."""
    vlm = _opened(workspace, base=init.base, adapter=init.adapter)
    if workspace.settings.train.tune == "full":
        vlm.unfreeze()
    return vlm


def merge(workspace: Workspace, init: Checkpoint, rows: Sequence[Any], vlm: Vlm | None = None) -> None:
    """Write the stage before as one whole checkpoint, init.merged, unless it stands there. Of several processes
    the first one does.

    rows: examples that the change is measured with.  vlm: with that stage's adapter, if it is in memory; it is
    used up.  Raises FgvrError "disk-full", ModelError "out-of-memory".
    """
    processes.meet(cpu=not _on_cuda(workspace))
    if processes.is_first() and not stands(init):
        import torch

        probes = [ask_of(row) for row in _spread(rows)]
        vlm = vlm or _opened(workspace, base=init.base, adapter=init.adapter)
        try:
            with telling_of_full_disk(init.folder):
                found = _merged(workspace, init, vlm, probes)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                "the GPU's memory does not suffice to merge the adapter",
                code="out-of-memory",
                why="the weights are made whole for it, however small they are stored: two bytes a parameter",
                hint="--between continue trains the same adapter further; the stage that is done is kept",
            ) from error
        text = json.dumps(asdict(found)) + "\n"
        (init.merged / _NOTE).write_text(text, encoding="utf-8")
    processes.wait()


def stands(init: Checkpoint) -> bool:
    """Whether a stage is merged, and nothing of that was lost since."""
    found = _read(init)
    return found is not None and found.sizes == _sizes(init)


def told_of_merge(workspace: Workspace, init: Checkpoint) -> tuple[str, list[Notice]]:
    """What merging a stage changed, for its successor's summary; a warning where that is much."""
    found = _read(init)
    assert found is not None, "it was merged before its successor began"
    said = (
        f"began with {init.run_id} merged into the base: logits changed by at most {found.begun:.2g}"
        f" (the largest is {found.largest:.3g}; {found.probes} probes)"
    )
    if found.begun <= MUCH * found.largest:
        return said, []
    train = workspace.settings.train
    kind = resolved(train.quantize, train.device)
    return said, [
        Notice(
            f"merging changed logits by {found.begun:.2g}, and the largest is {found.largest:.3g}",
            code="merge-changed-much",
            why=f"merged alone it would be {found.merged:.2g}; the rest is that {kind} rounds the merged weights again",
            hint="--between continue keeps what stage one learned; or --quant none",
        )
    ]


def _merged(workspace: Workspace, init: Checkpoint, vlm: Vlm, probes: Sequence[Any]) -> Merge:
    before = vlm.logits_of(probes)
    found = vlm.merged(init.merged, probes)
    del vlm
    begun = _opened(workspace, base=init.merged).logits_of(probes)
    gap = max(float((a - b).abs().max()) for a, b in zip(before, begun, strict=True))
    return Merge(found.difference, gap, found.largest, len(probes), _sizes(init))


def _sizes(init: Checkpoint) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in init.merged.glob("*.safetensors")}


def _opened(
    workspace: Workspace, *, base: Path | None = None, adapter: Path | None = None, shown: str | None = None
) -> Vlm:
    """The model as [train] says. base: a checkpoint in place of the base model.  adapter: trained before."""
    from fgvr_kit.families.base import Vlm

    train = workspace.settings.train
    return Vlm.load(
        str(base) if base else workspace.base_model,
        device=train.device,
        quantize=train.quantize,
        max_pixels=train.max_pixels,
        adapter=adapter,
        shown=shown,
    )


def _named(workspace: Workspace, merged: Checkpoint | None) -> str | None:
    """What a merged model is called: its folder is another one on every machine."""
    return f"{workspace.settings.train.model} + {merged.run_id}" if merged else None


def _read(init: Checkpoint) -> Merge | None:
    try:
        return Merge(**json.loads((init.merged / _NOTE).read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def _refuse_no_room(workspace: Workspace) -> None:
    needed = bytes_when_merged(workspace)
    free = shutil.disk_usage(workspace.state).free
    if needed > free:
        raise FgvrError(
            f"the merged model takes {needed / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} GB free",
            code="disk-full",
            where=str(workspace.state),
            hint="make room; or --between continue, which writes none",
        )


def _on_cuda(workspace: Workspace) -> bool:
    device = workspace.settings.train.device
    return device.startswith("cuda") or (device == "auto" and has_cuda())


def _spread(rows: Sequence[Any]) -> list[Any]:
    return list(rows[:: max(1, len(rows) // N_PROBES)])[:N_PROBES]
