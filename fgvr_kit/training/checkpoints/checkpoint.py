"""Where trained stages stand on disk, and which of them are whole. No torch: `fgvr-kit status` asks here.

.fgvr/runs/<stage>-<fingerprint>/run.json                   what was trained, with which versions
.fgvr/runs/<stage>-<fingerprint>/checkpoints/checkpoint-N/  while it is being trained
.fgvr/runs/<stage>-<fingerprint>/adapter/                   when it is done: appears in one rename
.fgvr/runs/<stage>-<fingerprint>/merged/                    base and adapter as one, for a stage that begins so
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit import plugins, toy
from fgvr_kit.families.weights.quantized import resolved
from fgvr_kit.fingerprint import digest_files, fingerprint
from fgvr_kit.training.checkpoints.records import read_run
from fgvr_kit.workspace import Workspace

_TRAINING = 2  # raise it when the same settings and data would train to something else
_STATE_FILE = "trainer_state.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stage that is trained. adapter: the folder that `Vlm.load(adapter=...)` takes.

    note: what must be said of everything that rests on it ("untrained toy model").
    base: the whole checkpoint that the adapter belongs on, where that is not the base model.
    """

    stage: str
    fingerprint: str
    folder: Path
    note: str | None = None
    base: Path | None = None

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def adapter(self) -> Path:
        return self.folder / "adapter"

    @property
    def merged(self) -> Path:
        """Where base and adapter stand as one whole checkpoint, once a later stage has asked for it."""
        return self.folder / "merged"


def run_folder(workspace: Workspace, stage: str, stage_fingerprint: str) -> Path:
    return workspace.state / "runs" / f"{stage}-{stage_fingerprint}"


def find_checkpoint(workspace: Workspace, stage: str, stage_fingerprint: str) -> Checkpoint | None:
    """The stage of this fingerprint, if it is trained to the end."""
    folder = run_folder(workspace, stage, stage_fingerprint)
    if not (folder / "adapter").is_dir():
        return None
    document = read_run(folder)
    if document is None or document["fingerprint"] != stage_fingerprint:
        return None
    return Checkpoint(stage, stage_fingerprint, folder, document["note"], _base_of(workspace, document))


def _base_of(workspace: Workspace, document: dict[str, Any]) -> Path | None:
    """The merged checkpoint that a run began with."""
    merged = document.get("merged")
    return workspace.state / "runs" / merged / "merged" if merged else None


def final_checkpoint(workspace: Workspace) -> Checkpoint | None:
    """What the chosen recipe trains in the end, if it stands for the settings and data of now."""
    if not workspace.settings.train.model:
        return None
    recipe = plugins.load("recipes", workspace.settings.train.recipe)
    fingerprints: dict[str, str] = recipe.stage_fingerprints(workspace)
    last = list(fingerprints)[-1]
    return find_checkpoint(workspace, last, fingerprints[last])


def stage_fingerprint(
    workspace: Workspace,
    stage: str,
    *,
    settings: Mapping[str, Any],
    data: str,
    prompts: Mapping[str, str],
    parent: str | None,
) -> str:
    """16 hex digits over all that decides what a stage trains to.

    settings: those the stage reads, plain data.  data: digest of its examples.  prompts: name -> hash.
    parent: fingerprint of the stage it starts from.
    """
    train = workspace.settings.train
    base = {
        "model": model_identity(workspace.root, train.model),
        "quantize": resolved(train.quantize, train.device),
        "max_pixels": train.max_pixels,
    }
    # What is as it always was must not train again what was trained before there was a choice.
    if train.tune != "lora" or train.targets:
        base |= {"tune": train.tune, "targets": train.targets}
    if parent and train.between == "merge":
        parent = f"{parent} merged"
    return fingerprint(_TRAINING, stage, base, dict(prompts), dict(settings), data, parent)


def model_identity(root: Path, name: str) -> str:
    """A hub id as it stands; for a folder, a hash of its files, so that a workspace that is moved, with its
    model, needs no new training."""
    if name in toy.NAMES:
        return toy.identity(name)
    folder = next((f for f in (Path(name), root / name) if name and f.is_dir()), None)
    if folder is None:
        return name
    return digest_files(folder)


def last_complete(checkpoints: Path) -> Path | None:
    """The newest whole checkpoint of a folder; what a kill left half-written is removed.

    The Trainer writes trainer_state.json last, so a checkpoint is whole when that file can be read.
    """
    for folder in checkpoints.glob("checkpoint-*"):
        if _step_of(folder) is None:
            shutil.rmtree(folder)
    whole = _whole(checkpoints)
    return whole[-1] if whole else None


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint was written."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def keep_newest(checkpoints: Path, n: int) -> None:
    """Remove all but the n newest whole checkpoints of a folder."""
    for folder in _whole(checkpoints)[:-n]:
        shutil.rmtree(folder)


def _whole(checkpoints: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    steps = {folder: _step_of(folder) for folder in checkpoints.glob("checkpoint-*")}
    return sorted((f for f, step in steps.items() if step is not None), key=lambda f: steps[f] or 0)


def _step_of(folder: Path) -> int | None:
    try:
        state = json.loads((folder / _STATE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return int(state["global_step"])
