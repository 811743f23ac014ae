"""The models that evaluation compares: the base model as it is, and what the recipe made of it."""

from __future__ import annotations

from pathlib import Path

from fgvr_kit import toy
from fgvr_kit.evaluation.evaluate import Contender
from fgvr_kit.training.checkpoint import final_checkpoint, model_identity
from fgvr_kit.workspace import Workspace


def contenders(workspace: Workspace) -> list[Contender]:
    """Zero-shot first; the tuned model only when it stands for the settings and data of now. No torch."""
    train = workspace.settings.train
    if not train.model:
        return []
    base = f"{model_identity(workspace.root, train.model)} {train.quantize}"
    found = [Contender("zero-shot", base, note=_note(train.model, workspace.base_model))]
    if checkpoint := final_checkpoint(workspace):
        found.append(Contender("tuned", f"{base} + {checkpoint.run_id}", checkpoint.adapter, checkpoint.note))
    return found


def _note(name: str, place: str) -> str | None:
    return toy.NOTE if name in toy.NAMES else toy.note_of(Path(place))
