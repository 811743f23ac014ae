"""What `train` would do, without doing it: settings in force, rows, what is dropped and why, steps. No torch."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from fgvr_kit import plugins
from fgvr_kit.settings import plugin_section
from fgvr_kit.training.checkpoints.checkpoint import find_checkpoint
from fgvr_kit.training.data.augmentation import refuse_mirrors
from fgvr_kit.training.data.selection import Dropped, chosen_images
from fgvr_kit.training.loop.validation import refuse_unvalidated, validated_with
from fgvr_kit.training.runs.stage import nothing_to_train, refuse_no_model
from fgvr_kit.training.runs.tuning import refuse_untrainable
from fgvr_kit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class StagePlan:
    """examples: rows of an epoch, of so many images.  batch, micro_batch: samples a step and at once, as they fit
    the examples.  steps: optimizer steps in all.  stands: trained already, so that nothing is done."""

    stage: str
    fingerprint: str
    stands: bool
    examples: int
    images: int
    dropped: Dropped
    batch: int
    micro_batch: int
    accumulation: int
    epochs: float
    steps: int
    checkpoints: int
    validations: int


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """settings: section -> all its settings in force.  classes: class -> training images (an image that a balanced
    sample repeats counts as often).  validation: images that it is validated with."""

    model: str
    recipe: str
    settings: dict[str, dict[str, Any]]
    classes: dict[str, int]
    validation: int
    augment: str
    stages: tuple[StagePlan, ...]


def plan_training(workspace: Workspace) -> TrainPlan:
    """Raises the same errors that training would raise before it loads the model."""
    train = workspace.settings.train
    refuse_no_model(workspace)
    refuse_mirrors(workspace)
    refuse_unvalidated(workspace)
    refuse_untrainable(workspace)
    name = plugins.normalise(train.recipe)
    recipe = plugins.load("recipes", name)
    settings: Any = plugin_section(workspace.settings, name, recipe.Settings)
    chosen = chosen_images(workspace, settings.seed)
    val = len(validated_with(chosen.val))
    stages = tuple(
        _stage(workspace, recipe, settings, stage, fingerprint, val)
        for stage, fingerprint in recipe.stage_fingerprints(workspace).items()
    )
    sections = {"train": train.model_dump(), name: settings.model_dump()}
    classes = Counter(image.class_name for image in chosen.train)
    return TrainPlan(train.model, name, sections, dict(sorted(classes.items())), val, train.augment, stages)


def n_steps(n_examples: int, batch: int, epochs: float) -> int:
    """Optimizer steps of a stage; a batch is no larger than the examples."""
    return math.ceil(epochs * math.ceil(n_examples / min(batch, n_examples)))


def _stage(
    workspace: Workspace, recipe: Any, settings: Any, stage: str, fingerprint: str, n_val: int
) -> StagePlan:
    examples = recipe.examples_of(workspace, stage)
    n = len(examples.rows)
    if not n:
        raise nothing_to_train(stage, examples.dropped)
    batch = min(recipe.batch_of(workspace, stage), n)
    accumulation = math.ceil(batch / settings.micro_batch)
    steps = n_steps(n, batch, settings.epochs)
    every = workspace.settings.train.val_steps or settings.save_steps
    return StagePlan(
        stage=stage,
        fingerprint=fingerprint,
        stands=find_checkpoint(workspace, stage, fingerprint) is not None,
        examples=n,
        images=len({row.image.sha256 for row in examples.rows}),
        dropped=examples.dropped,
        batch=batch,
        micro_batch=math.ceil(batch / accumulation),
        accumulation=accumulation,
        epochs=settings.epochs,
        steps=steps,
        checkpoints=math.ceil(steps / settings.save_steps),
        validations=math.ceil(steps / every) if n_val else 0,
    )
