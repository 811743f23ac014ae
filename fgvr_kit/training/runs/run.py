"""A run: the stages of a recipe in one workspace, each trained once for what it depends on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit import plugins
from fgvr_kit.errors import ModelError
from fgvr_kit.families.weights.finding import commit_of
from fgvr_kit.progress import SILENT, Progress, Task
from fgvr_kit.settings import plugin_section
from fgvr_kit.training import processes
from fgvr_kit.training.checkpoints import records
from fgvr_kit.training.checkpoints.checkpoint import (
    Checkpoint,
    find_checkpoint,
    last_complete,
    run_folder,
    step_of,
)
from fgvr_kit.training.data.augmentation import augmented
from fgvr_kit.training.data.examples import Examples, ExampleT
from fgvr_kit.training.data.selection import chosen_images
from fgvr_kit.training.launch import refuse_fewer
from fgvr_kit.training.loop.interrupted import on_ctrl_c, telling_of_full_disk
from fgvr_kit.training.loop.validation import Measure, refuse_unvalidated, validated_with
from fgvr_kit.training.runs import step_down, tuning
from fgvr_kit.training.runs.finished import keep, summarise, write_down
from fgvr_kit.training.runs.memory import refuse_too_large
from fgvr_kit.training.runs.stage import RecipeSettings, Stage, nothing_to_train, refuse_no_model, schedule_of
from fgvr_kit.training.schedule import Schedule
from fgvr_kit.types import Summary
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm
    from fgvr_kit.training.data.steps import Collator
    from fgvr_kit.training.loop.watch import Watch
    from fgvr_kit.training.objectives.finedefics import Objective


class Run:
    """What a recipe's `train(run)` is given: it calls `run.train` once a stage.

    summaries: of each stage so far, trained now or found standing.
    """

    def __init__(
        self,
        workspace: Workspace,
        recipe_name: str,
        settings: RecipeSettings,
        progress: Progress = SILENT,
        *,
        stands: bool = True,
    ) -> None:
        """stands: whether the walk stands at these stages when they are done; False for what is only compared.

        Raises SettingsError when no base model is chosen.
        """
        refuse_no_model(workspace)
        self.workspace = workspace
        self.recipe_name = recipe_name
        self.settings = settings
        self.summaries: list[Summary] = []
        recipe = plugins.load("recipes", recipe_name)
        self._fingerprints: dict[str, str] = recipe.stage_fingerprints(workspace)
        self._progress = progress
        self._stands = stands
        self._vlm: Vlm | None = None
        self._vlm_is_at: str | None = None

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
        """Train a stage, or return at once when it stands with the same fingerprint.

        examples: called only when the stage must be trained.  batch: samples an optimizer step.
        init: the stage to start from; its adapter goes on, or a new one on both merged ([train] between).
        measure: what validation measures, where there are validation images.  A killed stage resumes from its newest
        whole checkpoint, with the same result as if it had not been killed (bit for bit on a CPU).
        Raises WorkspaceError when the data is not there yet, ModelError when training fails, FgvrError "disk-full",
        KeyboardInterrupt after the step under way.
        """
        asked = Stage(stage, self._fingerprints[stage], collator, loss, batch, init, measure)
        found = find_checkpoint(self.workspace, stage, asked.fingerprint)
        if found is None:
            rows = examples(self.workspace)
            shown = augmented(self.workspace, rows.rows, seed=self.settings.seed)
            rows = Examples(shown, rows.dropped)
            with _without_deprecations():
                found = self._train(asked, rows)
        elif init and found.base and not tuning.stands(init):  # it was removed, or cut short
            tuning.merge(self.workspace, init, examples(self.workspace).rows)
        self._write_down(found)
        return found

    def _train(self, stage: Stage, examples: Examples[Any]) -> Checkpoint:
        """The stage from its newest checkpoint on; in smaller micro-batches when the memory does not suffice."""
        if not examples.rows:
            raise nothing_to_train(stage.name, examples.dropped)
        refuse_fewer()
        refuse_too_large(self.workspace)
        folder = run_folder(self.workspace, stage.name, stage.fingerprint)
        asked = schedule_of(self.settings, stage.batch)
        schedule = asked.fitted(len(examples.rows))
        schedule, notices = step_down.as_before(schedule, folder, stage.name)
        started = time.monotonic()
        while True:
            vlm = self._load(stage, examples.rows)
            commit = commit_of(self.workspace.settings.train.model)
            document = records.describe_run(
                self.workspace, self.recipe_name, self.settings.model_dump(), stage.name, stage.fingerprint,
                vlm.note, commit, stage.init, merged=tuning.merges(self.workspace),
            )  # fmt: skip
            document |= {"micro_batch": schedule.micro_batch, "stepped_down": bool(notices)}
            self._begin(folder, document)
            del vlm
            if save := self._trained(stage, examples, schedule, folder):
                break
            self._vlm = None
            schedule, notice = step_down.down(schedule, stage.name)
            notices.append(notice)
        assert self._vlm is not None
        processes.wait()  # the first one writes the rows that all of them read
        if (folder / "best").is_dir():
            self._vlm_is_at = None  # what is in memory has gone on
        seconds = time.monotonic() - started
        summary = summarise(
            self.workspace, self.recipe_name, stage.name, folder, self._vlm, examples, asked, schedule, seconds,
            notices,
        )  # fmt: skip
        if stage.init and document["merged"]:
            told, warned = tuning.told_of_merge(self.workspace, stage.init)
            summary = replace(summary, notes=(*summary.notes, told), notices=(*summary.notices, *warned))
        keep(self.workspace, folder, save, document | {"summary": summary.as_dict()})
        found = find_checkpoint(self.workspace, stage.name, stage.fingerprint)
        assert found is not None, "it has just been put in its place"
        return found

    def _trained(
        self, stage: Stage, examples: Examples[Any], schedule: Schedule, folder: Path
    ) -> Callable[[Path], None] | None:
        """Train to the end; what writes the weights, or None when smaller micro-batches may fit into the memory."""
        from fgvr_kit.training.loop.trainer import StageTrainer
        from fgvr_kit.training.loop.watch import Watch
        from fgvr_kit.training.runs.image_check import refuse_blind

        vlm = self._vlm
        assert vlm is not None
        done = _steps_done(folder)
        if not done:
            refuse_blind(vlm, examples.rows)
        total = schedule.n_steps(len(examples.rows))
        with self._progress.task(f"train {stage.name}", total, done=done) as task:
            watch = self._watch(Watch, stage, folder, vlm, task)
            trainer = StageTrainer(
                vlm,
                stage.loss,
                examples.rows,
                stage.collator(vlm),
                schedule,
                folder / "checkpoints",
                on_step=watch.on_step,
            )
            watch.attach(trainer, done=done, report_to=self.workspace.settings.train.report_to)
            alone = processes.size() == 1  # several would stop at different steps, and wait for each other
            try:
                with on_ctrl_c(watch.interrupt) if alone else nullcontext(), telling_of_full_disk(folder):
                    trainer.train_or_resume(is_over=watch.stopped_early)
            except ModelError as error:
                if not step_down.may_go_on(error, schedule):
                    raise
                return None
        self._vlm_is_at = stage.fingerprint
        if watch.is_interrupted and trainer.state.global_step < total:
            raise KeyboardInterrupt
        return trainer.save_weights

    def _watch(self, watch: type[Watch], stage: Stage, folder: Path, vlm: Vlm, task: Task) -> Watch:
        train = self.workspace.settings.train
        images = validated_with(chosen_images(self.workspace, self.settings.seed).val)
        measure = stage.measure
        return watch(
            self.workspace.store,
            folder,
            task,
            measure=(lambda: measure(vlm, self.workspace, images)) if measure and images else None,
            every=train.val_steps or self.settings.save_steps,
            patience=train.patience,
            writes=processes.is_first(),
        )

    def _begin(self, folder: Path, document: dict[str, Any]) -> None:
        if processes.is_first():
            records.write_run(folder, document)
            self.workspace.store.put_run(**records.row_of(folder, document), status="running", finished=None)

    def _load(self, stage: Stage, rows: Sequence[Any]) -> Vlm:
        """The model as the stage begins with it; the one in memory if it is just that."""
        init = stage.init
        if init is None:
            self._vlm = None  # two 8B models do not fit
            self._vlm = tuning.fresh(self.workspace, self.settings)
        elif tuning.merges(self.workspace):
            held = self._vlm if self._vlm_is_at == init.fingerprint else None
            self._vlm = self._vlm_is_at = None
            tuning.merge(self.workspace, init, rows, held)
            del held
            self._vlm = tuning.fresh(self.workspace, self.settings, on=init)
        elif self._vlm is None or self._vlm_is_at != init.fingerprint:
            self._vlm = None
            self._vlm = tuning.continued(self.workspace, init)
        return self._vlm

    def _write_down(self, checkpoint: Checkpoint) -> None:
        self.summaries.append(write_down(self.workspace, checkpoint, stands=self._stands))


def train_recipe(
    workspace: Workspace, progress: Progress = SILENT, *, stands: bool = True
) -> tuple[Checkpoint, tuple[Summary, ...]]:
    """Train what [train] recipe names: its last stage's checkpoint, and a summary of each stage.

    Stages that stand for the settings and data of now are not trained again.
    Raises SettingsError, WorkspaceError or ModelError, each with the next move.
    """
    name = plugins.normalise(workspace.settings.train.recipe)
    recipe = plugins.load("recipes", name)
    refuse_unvalidated(workspace)
    tuning.refuse_untrainable(workspace)
    if report_to := workspace.settings.train.report_to:
        from fgvr_kit.training.loop.watch import open_trackers

        open_trackers(report_to, workspace.state)  # not after minutes of loading
    run = Run(
        workspace, name, plugin_section(workspace.settings, name, recipe.Settings), progress, stands=stands
    )
    checkpoint: Checkpoint = recipe.train(run)
    return checkpoint, tuple(run.summaries)


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """What transformers, peft and accelerate are about to rename is not the user's to read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _steps_done(folder: Path) -> int:
    newest = last_complete(folder / "checkpoints")
    return step_of(newest) if newest else 0
