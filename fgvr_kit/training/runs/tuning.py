"""What of the model a stage trains, and what it begins with: the base model, the stage before it, or both as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit.errors import SettingsError
from fgvr_kit.families.weights.quantized import has_cuda, resolved
from fgvr_kit.training import processes
from fgvr_kit.training.checkpoints.checkpoint import Checkpoint
from fgvr_kit.training.loop.interrupted import telling_of_full_disk
from fgvr_kit.training.runs.image_check import ask_of
from fgvr_kit.training.runs.stage import Tuning
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm

N_PROBES = 8
"""Training rows whose logits are compared before and after merging."""
_MEASURED = "merge.json"


def refuse_quantized_full(workspace: Workspace) -> None:
    """Raise SettingsError "quantized-full" when weights in 4 or 8 bit are to be trained whole."""
    train = workspace.settings.train
    kind = resolved(train.quantize, train.device)
    if train.tune == "full" and kind != "none":
        raise SettingsError(
            f"weights stored as {kind} cannot be trained whole",
            code="quantized-full",
            where="train.tune",
            hint="--quant none for full fine-tuning, which takes about 16 bytes a parameter; or --tune lora",
        )


def merges(workspace: Workspace) -> bool:
    """Whether a stage begins with the one before it merged into the base. Whole weights have nothing to merge."""
    train = workspace.settings.train
    return train.between == "merge" and train.tune != "full"


def opened(workspace: Workspace, *, base: Path | None = None, adapter: Path | None = None) -> Vlm:
    """The model as [train] says. base: a checkpoint in place of the base model.  adapter: trained before."""
    from fgvr_kit.families.base import Vlm

    train = workspace.settings.train
    return Vlm.load(
        str(base) if base else workspace.base_model,
        device=train.device,
        quantize=train.quantize,
        max_pixels=train.max_pixels,
        adapter=adapter,
    )


def fresh(workspace: Workspace, settings: Tuning, *, base: Path | None = None) -> Vlm:
    """The model with a new adapter, or with its own weights free to be trained."""
    train = workspace.settings.train
    vlm = opened(workspace, base=base)
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
    vlm = opened(workspace, base=init.base, adapter=init.adapter)
    if workspace.settings.train.tune == "full":
        vlm.unfreeze()
    return vlm


def merge(workspace: Workspace, init: Checkpoint, rows: Sequence[Any], vlm: Vlm | None) -> None:
    """Write the stage before as one whole checkpoint, init.merged, unless it stands there. Of several processes
    the first one does.

    rows: examples that the difference is measured with.  vlm: with that stage's adapter, if it is in memory; it is
    used up.  Raises FgvrError "disk-full".
    """
    processes.meet(cpu=not _on_cuda(workspace))
    if processes.is_first() and not (init.merged / _MEASURED).is_file():
        vlm = vlm or opened(workspace, base=init.base, adapter=init.adapter)
        probes = [ask_of(row) for row in _spread(rows)]
        with telling_of_full_disk(init.folder):
            found = vlm.merged(init.merged, probes)
            said = {"difference": found.difference, "largest": found.largest, "probes": len(probes)}
            (init.merged / _MEASURED).write_text(json.dumps(said) + "\n", encoding="utf-8")
    processes.wait()


def told_of_merge(init: Checkpoint) -> str:
    """What merging a stage changed, for its successor's summary."""
    said = json.loads((init.merged / _MEASURED).read_text(encoding="utf-8"))
    return (
        f"began with {init.run_id} merged into the base, which changed logits by at most {said['difference']:.2g}"
        f" (the largest is {said['largest']:.3g}; {said['probes']} probes)"
    )


def _on_cuda(workspace: Workspace) -> bool:
    device = workspace.settings.train.device
    return device.startswith("cuda") or (device == "auto" and has_cuda())


def _spread(rows: Sequence[Any]) -> list[Any]:
    return list(rows[:: max(1, len(rows) // N_PROBES)])[:N_PROBES]
