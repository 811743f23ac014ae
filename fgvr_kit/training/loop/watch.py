"""What stands beside a trainer: steps are written down, the model is validated, its best weights are kept, training
ends early when it gets no better, and Ctrl-C waits for the step under way."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from fgvr_kit.errors import SettingsError
from fgvr_kit.progress import Task
from fgvr_kit.training import processes
from fgvr_kit.training.loop.curves import ACCURACY

if TYPE_CHECKING:
    from fgvr_kit.store import Store
    from fgvr_kit.training.loop.trainer import StageTrainer


@dataclass
class Watch:
    """folder: of the run; the store has its row.  measure: accuracy of the model as it is now, None where there is
    nothing to validate with.  every: optimizer steps between validations.  patience: 0 is endless.

    is_interrupted: Ctrl-C was pressed; the trainer stops after the step under way and saves it.
    """

    store: Store
    folder: Path
    task: Task
    measure: Callable[[], float] | None = None
    every: int = 1
    patience: int = 0
    writes: bool = True
    accuracies: dict[int, float] = field(default_factory=dict)
    is_interrupted: bool = False
    stopped_early: bool = False
    trainer: StageTrainer | None = None
    trackers: list[Any] = field(default_factory=list)
    examples: Any = None
    steps_an_epoch: int = 1

    def attach(self, trainer: StageTrainer, *, done: int, report_to: str) -> None:
        """Listen to a trainer that is about to start, or to go on after `done` steps."""
        self.trainer = trainer
        self.examples, self.steps_an_epoch = trainer.train_dataset.examples, len(trainer.train_dataset)
        steps = self.store.steps(self.folder.name)
        self.accuracies = {
            s["step"]: s["terms"][ACCURACY] for s in steps if ACCURACY in s["terms"] and s["step"] <= done
        }
        self.stopped_early = self.has_stalled()  # a kill came between the end and the adapter
        self.trackers = open_trackers(report_to, self.folder)
        for callback in (*self.trackers, _Ear(self)):
            trainer.add_callback(callback)

    def interrupt(self) -> None:
        self.is_interrupted = True
        self.task.advance(0, note="interrupted: ends after this step, Ctrl-C again ends it at once")

    def on_step(self, step: int, epoch: float, terms: dict[str, float]) -> None:
        """After each optimizer step: into the store, and to the trackers."""
        if step in self.accuracies:
            terms = {**terms, ACCURACY: self.accuracies[step]}
        if self.writes:
            self.store.put_step(self.folder.name, step, epoch, terms)
        told = f", accuracy {terms[ACCURACY]:.1%}" if ACCURACY in terms else ""
        self.task.advance(1, note=f"loss {terms['total']:.3f}{told}")
        if self.trainer is not None:
            for tracker in self.trackers:
                t = self.trainer
                tracker.on_log(t.args, t.state, t.control, logs=terms, model=t.model)

    def validate(self, step: int) -> None:
        """Measure, and keep the weights if they are at least as good as all before: of equals the longer trained."""
        assert self.measure is not None
        # Of one number: processes that differ in a last digit would end at different steps, and wait for ever.
        accuracy = processes.everyone(self.measure())[0]
        if self.writes and accuracy >= max(self.accuracies.values(), default=-math.inf):
            self._keep_best(step, accuracy)
        self.accuracies[step] = accuracy

    def has_stalled(self) -> bool:
        """Whether `patience` validations in a row were no better than the best before them."""
        values = list(self.accuracies.values())
        if not self.patience or len(values) <= self.patience:
            return False
        return max(values[-self.patience :]) <= max(values[: -self.patience])

    def _keep_best(self, step: int, accuracy: float) -> None:
        part = self.folder / "best.part"
        shutil.rmtree(part, ignore_errors=True)
        assert self.trainer is not None
        self.trainer.save_weights(part)
        (part / "best.json").write_text(json.dumps({"step": step, "accuracy": accuracy}) + "\n")
        shutil.rmtree(self.folder / "best", ignore_errors=True)
        part.rename(self.folder / "best")


class _Ear(TrainerCallback):
    """Called by the trainer; after its own callbacks, which decide when to log and save."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if hasattr(self._watch.examples, "set_epoch"):
            steps = self._watch.steps_an_epoch
            self._watch.examples.set_epoch(state.global_step // steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        watch, step = self._watch, state.global_step
        if watch.measure is not None and (step % watch.every == 0 or step >= state.max_steps):
            watch.validate(step)
            watch.stopped_early = watch.has_stalled() and step < state.max_steps
        if watch.stopped_early or watch.is_interrupted:
            control.should_save = control.should_training_stop = True


def best_of(folder: Path) -> dict[str, Any] | None:
    """{"step", "accuracy"} of the best validated weights of a run, if it was validated."""
    try:
        found: dict[str, Any] = json.loads((folder / "best" / "best.json").read_text())
    except FileNotFoundError:
        return None
    return found


def open_trackers(report_to: str, folder: Path) -> list[Any]:
    """The trainer's callbacks for trackers such as "tensorboard" or "wandb,mlflow".

    Raises SettingsError for one that is not known or not installed.
    """
    from transformers.integrations import get_reporting_integration_callbacks

    names = [name.strip() for name in report_to.split(",") if name.strip() not in ("", "none")]
    try:
        return [_opened(callback, folder) for callback in get_reporting_integration_callbacks(names)]
    except ValueError as error:
        raise SettingsError(
            f"there is no tracker {report_to!r}", code="unknown-tracker", why=str(error).split(". ")[0],
            hint='--report-to tensorboard, wandb, mlflow, trackio, ... or "none"',
        ) from error  # fmt: skip
    except (RuntimeError, ImportError) as error:
        raise SettingsError(
            f"the tracker {report_to!r} is not installed", code="tracker-missing", why=str(error).split("\n")[0],
            hint=f"pip install {' '.join(names)}",
        ) from error  # fmt: skip


def _opened(callback: Any, folder: Path) -> Any:
    """TensorBoard writes beside the run: the trainer's own folder goes when the stage is done."""
    tracker = callback()
    if getattr(tracker, "logging_dir", "") is None:
        tracker.logging_dir = str(folder / "tensorboard")
    return tracker
