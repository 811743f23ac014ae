"""The stages of a workspace as they would be trained, for those who only want to look at them or to measure them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fgvr_kit import plugins
from fgvr_kit.settings import plugin_section
from fgvr_kit.training.checkpoints.checkpoint import Checkpoint, run_folder
from fgvr_kit.training.data.augmentation import augmented
from fgvr_kit.training.data.examples import AlignExample, BothExample, Examples, ExampleT, InstructExample
from fgvr_kit.training.runs.stage import RecipeSettings, Stage, nothing_to_train, refuse_no_model
from fgvr_kit.training.runs.tuning import fresh
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm
    from fgvr_kit.training.data.steps import Collator
    from fgvr_kit.training.loop.validation import Measure
    from fgvr_kit.training.objectives.finedefics import Objective


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A stage and its rows."""

    stage: Stage
    examples: Examples[Any]

    def longest(self, n: int) -> list[Any]:
        """The n rows with the most text, and among equals those with the largest numbers of negatives."""
        rows = self.examples.rows
        return [rows[i] for i in sorted(range(len(rows)), key=lambda i: -length_of(rows[i]))[:n]]


class Catalogue:
    """Stands in for a Run: notes what each stage would be trained with, and trains nothing."""

    def __init__(self, workspace: Workspace) -> None:
        refuse_no_model(workspace)
        self.workspace = workspace
        self.settings = settings_of(workspace)
        self.stages: list[Rehearsed] = []

    def train(
        self,
        stage: str,
        examples: Callable[[Workspace], Examples[ExampleT]],
        *,
        collator: Callable[[Vlm], Collator],
        loss: Objective,
        batch: int,
        init: Checkpoint | None = None,
        measure: Measure | None = None,
    ) -> Checkpoint:
        made = examples(self.workspace)
        if not made.rows:
            raise nothing_to_train(stage, made.dropped)
        rows = augmented(self.workspace, made.rows, seed=self.settings.seed)
        self.stages.append(
            Rehearsed(Stage(stage, "", collator, loss, batch, init, measure), Examples(rows, made.dropped))
        )
        return Checkpoint(stage, "", run_folder(self.workspace, stage, ""))


def rehearsed(workspace: Workspace) -> list[Rehearsed]:
    """The stages of the chosen recipe, in their order; also those that stand. Raises as training does."""
    recipe: Any = plugins.load("recipes", workspace.settings.train.recipe)
    catalogue = Catalogue(workspace)
    recipe.train(catalogue)
    return catalogue.stages


def settings_of(workspace: Workspace) -> RecipeSettings:
    """The section of the chosen recipe."""
    name = plugins.normalise(workspace.settings.train.recipe)
    settings: Any = plugin_section(workspace.settings, name, plugins.load("recipes", name).Settings)
    tuning: RecipeSettings = settings
    return tuning


def loaded(workspace: Workspace) -> Vlm:
    """The base model with a fresh adapter, or its own weights thawed, as the first stage begins with."""
    return fresh(workspace, settings_of(workspace))


def length_of(row: AlignExample | InstructExample | BothExample) -> int:
    """Characters of all texts of a row: what takes memory, as far as it can be told without a tokenizer."""
    if isinstance(row, BothExample):
        return length_of(row.align) + sum(length_of(question) for question in row.questions)
    said = [row.question, row.system]
    if isinstance(row, InstructExample):
        return sum(map(len, [*said, row.answer]))
    said += [row.description, row.description, row.class_text]
    return sum(map(len, said)) + sum(len(n.description) + len(n.class_text) for n in row.negatives)


def sequence_of(rows: Sequence[Any]) -> list[InstructExample | AlignExample]:
    """The rows that are one sequence each: of one for both stages its two or three."""
    found: list[InstructExample | AlignExample] = []
    for row in rows:
        found += [row.align, *row.questions] if isinstance(row, BothExample) else [row]
    return found
