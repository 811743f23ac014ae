"""What a stage is, and what a recipe must tell of itself to have one trained. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fgvr_kit.errors import SettingsError, WorkspaceError
from fgvr_kit.training.checkpoints.checkpoint import Checkpoint
from fgvr_kit.training.data.selection import Dropped
from fgvr_kit.training.schedule import Schedule
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm
    from fgvr_kit.training.data.steps import Collator
    from fgvr_kit.training.loop.validation import Measure
    from fgvr_kit.training.objectives.finedefics import Objective


class RecipeSettings(Protocol):
    """What every recipe's `Settings` offers to `Run`; each field is described there."""

    learning_rate: float
    rank: int
    alpha: int
    dropout: float
    warmup: float
    weight_decay: float
    epochs: float
    micro_batch: int
    seed: int
    save_steps: int
    gradient_checkpointing: bool

    def model_dump(self) -> dict[str, Any]:
        """The settings as plain data."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How one stage is trained. batch: samples an optimizer step.  measure: accuracy by which the best weights are
    chosen; where there is nothing to validate with, the last weights are kept."""

    name: str
    fingerprint: str
    collator: Callable[[Vlm], Collator]
    loss: Objective
    batch: int
    init: Checkpoint | None
    measure: Measure | None


def schedule_of(settings: RecipeSettings, batch: int) -> Schedule:
    """How the recipe's settings optimise a stage with so many samples a step."""

    return Schedule(
        batch=batch,
        micro_batch=settings.micro_batch,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        warmup=settings.warmup,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        save_steps=settings.save_steps,
        gradient_checkpointing=settings.gradient_checkpointing,
    )


def refuse_no_model(workspace: Workspace) -> None:
    """Raise SettingsError "no-train-model" when no base model is chosen."""
    if not workspace.settings.train.model:
        raise SettingsError(
            "no base model is chosen: train.model is empty",
            code="no-train-model",
            hint="--model HuggingFaceM4/idefics2-8b, or a folder; [train] model in fgvr.toml keeps it",
        )


def nothing_to_train(stage: str, dropped: Dropped) -> WorkspaceError:
    """The error of a stage without a single example."""
    return WorkspaceError(
        f"stage {stage} has nothing to train on",
        code="no-examples",
        why="; ".join(f"{what}: {n} left out ({why})" for what, n, why in dropped),
        hint="fgvr-kit attributes, then fgvr-kit mine",
    )
