"""The models that evaluation compares: the base model as it is, and what the recipe made of it."""

from __future__ import annotations

from pathlib import Path

from fgvr_kit import toy
from fgvr_kit.evaluation.contenders import Contender
from fgvr_kit.evaluation.language_model import LanguageModel
from fgvr_kit.families.weights.quantized import resolved
from fgvr_kit.training.checkpoints.checkpoint import final_checkpoint, model_identity
from fgvr_kit.workspace import Workspace


def contenders(workspace: Workspace) -> list[Contender]:
    """Zero-shot first; the tuned model only when it stands for the settings and data of now. No torch."""
    train = workspace.settings.train
    if not train.model:
        return []
    base = f"{model_identity(workspace.root, train.model)} {resolved(train.quantize, train.device)}"
    note = _note(workspace)
    found: list[Contender] = [LanguageModel("zero-shot", base, note=note)]
    if checkpoint := final_checkpoint(workspace):
        found.append(
            LanguageModel("tuned", f"{base} + {checkpoint.run_id}", checkpoint.adapter, note, checkpoint.base)
        )
    return found


def _note(workspace: Workspace) -> str | None:
    """What must stand beside the scores: of the model itself, of what chose the options, of who gave the
    answers and descriptions that it was trained on."""
    name = workspace.settings.train.model
    own = toy.NOTE if name in toy.NAMES else toy.note_of(Path(workspace.base_model))
    notes = {f"{name}: {own}"} if own else set()
    walk = workspace.store.walk()
    for step in ("extract", "describe", "mine"):
        notes |= {
            note
            for note in walk.get(step, {"summary": {"notes": ()}})["summary"]["notes"]
            if toy.NOTE in note
        }
    return "; ".join(sorted(notes)) or None
