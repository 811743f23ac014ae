"""A run: the stages of a recipe in one workspace, each trained once for what it depends on."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fgvr_kit import plugins
from fgvr_kit.errors import SettingsError, WorkspaceError
from fgvr_kit.progress import SILENT, Progress, Task
from fgvr_kit.settings import plugin_section
from fgvr_kit.training.checkpoint import (
    Checkpoint,
    find_checkpoint,
    last_complete,
    run_folder,
)
from fgvr_kit.training.examples import Examples, ExampleT
from fgvr_kit.training.records import now, read_run, row_of, summary_of, versions, write_run
from fgvr_kit.types import Notice, Summary
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm
    from fgvr_kit.training.objectives import Objective
    from fgvr_kit.training.trainer import Collator, Schedule

FEW_STEPS = 20
"""With fewer optimizer steps an adapter has hardly left its start: warm-up and decay eat most of them."""


class Tuning(Protocol):
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


class Run:
    """What a recipe's `train(run)` is given: it calls `run.train` once a stage.

    summaries: of each stage so far, trained now or found standing.
    """

    def __init__(
        self, workspace: Workspace, recipe_name: str, settings: Tuning, progress: Progress = SILENT
    ) -> None:
        """Raises SettingsError when no base model is chosen."""
        if not workspace.settings.train.model:
            raise SettingsError(
                "no base model is chosen: train.model is empty",
                code="no-train-model",
                hint="--model HuggingFaceM4/idefics2-8b, or a folder; [train] model in fgvr.toml keeps it",
            )
        self.workspace = workspace
        self.recipe_name = recipe_name
        self.settings = settings
        self.summaries: list[Summary] = []
        recipe = plugins.load("recipes", recipe_name)
        self._fingerprints: dict[str, str] = recipe.stage_fingerprints(workspace)
        self._progress = progress
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
    ) -> Checkpoint:
        """Train a stage, or return at once when it stands with the same fingerprint.

        examples: called only when the stage must be trained.  batch: samples an optimizer step.
        init: the stage to start from; the same adapter goes on.  A killed stage resumes from its newest whole
        checkpoint, with the same result as if it had not been killed (bit for bit on a CPU).
        Raises WorkspaceError when the data is not there yet, ModelError when training fails.
        """
        fingerprint = self._fingerprints[stage]
        found = find_checkpoint(self.workspace, stage, fingerprint)
        if found is None:
            rows = examples(self.workspace)
            with _without_deprecations():
                found = self._train(stage, fingerprint, rows, collator, loss, batch, init)
        self._write_down(found)
        return found

    def _train(
        self,
        stage: str,
        fingerprint: str,
        examples: Examples[Any],
        collator: Callable[[Vlm], Collator],
        loss: Objective,
        batch: int,
        init: Checkpoint | None,
    ) -> Checkpoint:
        from fgvr_kit.training.trainer import StageTrainer, refuse_several_processes

        refuse_several_processes()
        if not examples.rows:
            raise WorkspaceError(
                f"stage {stage} has nothing to train on",
                code="no-examples",
                why="; ".join(f"{what}: {n} left out ({why})" for what, n, why in examples.dropped),
                hint="fgvr-kit attributes, then fgvr-kit mine",
            )
        folder = run_folder(self.workspace, stage, fingerprint)
        vlm = self._load(init)
        asked = self._schedule(batch)
        schedule = asked.fitted(len(examples.rows))
        document = self._describe(stage, fingerprint, vlm, init)
        write_run(folder, document)
        self.workspace.store.put_run(**row_of(folder, document), status="running", finished=None)

        started = time.monotonic()
        total = schedule.n_steps(len(examples.rows))
        done = _steps_done(folder)
        with self._progress.task(f"train {stage}", total, done=done) as task:
            trainer = StageTrainer(
                vlm,
                loss,
                examples.rows,
                collator(vlm),
                schedule,
                folder / "checkpoints",
                on_step=self._step_writer(folder.name, task),
            )
            trainer.train_or_resume()
        summary = self._summarise(stage, folder, vlm, examples, asked, schedule, time.monotonic() - started)
        self._keep(folder, vlm, {**document, "summary": summary.as_dict()})
        checkpoint = Checkpoint(stage, fingerprint, folder, vlm.note)
        self._vlm_is_at = fingerprint
        return checkpoint

    def _load(self, init: Checkpoint | None) -> Vlm:
        """The model with the adapter of `init`, or with a fresh one; the one in memory if it is just that."""
        from fgvr_kit.families.base import Vlm

        if self._vlm is not None and init is not None and self._vlm_is_at == init.fingerprint:
            return self._vlm
        self._vlm = None  # two 8B models do not fit
        train, settings = self.workspace.settings.train, self.settings
        vlm = Vlm.load(
            self.workspace.base_model,
            device=train.device,
            quantize=train.quantize,
            max_pixels=train.max_pixels,
            adapter=init.adapter if init else None,
        )
        if init is None:
            vlm.attach_lora(
                r=settings.rank, alpha=settings.alpha, dropout=settings.dropout, seed=settings.seed
            )
        self._vlm = vlm
        return vlm

    def _schedule(self, batch: int) -> Schedule:
        from fgvr_kit.training.trainer import Schedule

        s = self.settings
        return Schedule(
            batch=batch,
            micro_batch=s.micro_batch,
            epochs=s.epochs,
            learning_rate=s.learning_rate,
            warmup=s.warmup,
            weight_decay=s.weight_decay,
            seed=s.seed,
            save_steps=s.save_steps,
            gradient_checkpointing=s.gradient_checkpointing,
        )

    def _describe(self, stage: str, fingerprint: str, vlm: Vlm, init: Checkpoint | None) -> dict[str, Any]:
        return {
            "recipe": self.recipe_name,
            "stage": stage,
            "fingerprint": fingerprint,
            "parent": init.run_id if init else None,
            "model": self.workspace.settings.train.model,
            "settings": {
                "train": self.workspace.settings.train.model_dump(),
                self.recipe_name: self.settings.model_dump(),
            },
            "versions": versions(),
            "note": vlm.note,
            "started": now(),
        }

    def _step_writer(self, run_id: str, task: Task) -> Callable[[int, float, dict[str, float]], None]:
        def write(step: int, epoch: float, terms: dict[str, float]) -> None:
            self.workspace.store.put_step(run_id, step, epoch, terms)
            task.advance(1, note=f"loss {terms['total']:.3f}")

        return write

    def _summarise(
        self,
        stage: str,
        folder: Path,
        vlm: Vlm,
        examples: Examples[Any],
        asked: Schedule,
        used: Schedule,
        seconds: float,
    ) -> Summary:
        steps = self.workspace.store.steps(folder.name)
        notes = [f"{vlm.name}: {vlm.note}"] if vlm.note else []
        if used.batch < asked.batch:
            notes.append(f"stage {stage}: a batch is all {used.batch} examples, not {asked.batch}")
        notices = []
        if len(steps) < FEW_STEPS:
            notices.append(
                Notice(
                    f"stage {stage} took only {len(steps)} optimizer steps",
                    code="few-steps",
                    why=f"{len(examples.rows)} examples in batches of {used.batch}, {used.epochs:g} epochs",
                    hint=f"raise {self.recipe_name}.epochs, or lower {self.recipe_name}.{stage}_batch",
                )
            )
        done = {
            "examples": len(examples.rows),
            "steps": len(steps),
            **{name: round(value, 4) for name, value in steps[-1]["terms"].items() if name != "lr"},
            "trainable parameters": vlm.trainable_parameters(),
            "seconds": round(seconds, 1),
        }
        return Summary(stage, done, examples.dropped, tuple(notes), tuple(notices))

    def _keep(self, folder: Path, vlm: Vlm, document: dict[str, Any]) -> None:
        """Put the adapter in its place in one rename, and let the checkpoints go."""
        part = folder / "adapter.part"
        shutil.rmtree(part, ignore_errors=True)
        vlm.save_adapter(part)
        write_run(folder, {**document, "finished": now()})
        part.rename(folder / "adapter")
        shutil.rmtree(folder / "checkpoints")

    def _write_down(self, checkpoint: Checkpoint) -> None:
        """The rows of a stage that stands; again after a kill between the rename and the database."""
        document = read_run(checkpoint.folder)
        assert document is not None, "a checkpoint is found by its run.json"
        summary = summary_of(document["summary"])
        self.summaries.append(summary)
        store = self.workspace.store
        row = store.run(checkpoint.run_id)
        if row is None or row["status"] != "done":
            store.put_run(**row_of(checkpoint.folder, document), status="done", finished=document["finished"])
        standing = store.walk().get(checkpoint.stage)
        if standing is None or standing["fingerprint"] != checkpoint.fingerprint:
            store.finish(checkpoint.stage, checkpoint.fingerprint, summary)


def train_recipe(workspace: Workspace, progress: Progress = SILENT) -> tuple[Checkpoint, tuple[Summary, ...]]:
    """Train what [train] recipe names: its last stage's checkpoint, and a summary of each stage.

    Stages that stand for the settings and data of now are not trained again.
    Raises SettingsError, WorkspaceError or ModelError, each with the next move.
    """
    name = plugins.normalise(workspace.settings.train.recipe)
    recipe = plugins.load("recipes", name)
    run = Run(workspace, name, plugin_section(workspace.settings, name, recipe.Settings), progress)
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
    return int(newest.name.removeprefix("checkpoint-")) if newest else 0
