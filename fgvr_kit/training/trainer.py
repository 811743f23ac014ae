"""transformers' Trainer, with our loss, a silent face and checkpoints that survive a kill.

Comes with it: accelerate, mixed precision, schedules, resume with random states. Handled here (measured on
transformers 5.23; see each comment): the scale of an own loss under gradient accumulation, its printing, and
DataParallel.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from fgvr_kit.errors import ModelError, SettingsError
from fgvr_kit.training.checkpoint import keep_newest, last_complete

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm
    from fgvr_kit.training.objectives import Objective

KEPT_CHECKPOINTS = 2  # a kill while the newer one is written leaves the older one

Collator = Callable[[Sequence[Any]], dict[str, Any]]
OnStep = Callable[[int, float, dict[str, float]], None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a stage is optimised. batch: samples an optimizer step; micro_batch: samples in memory at once.

    warmup: share of the steps over which the learning rate rises; it then falls linearly to 0.
    save_steps: optimizer steps between checkpoints.
    """

    batch: int
    micro_batch: int
    epochs: float
    learning_rate: float
    warmup: float
    weight_decay: float
    seed: int
    save_steps: int
    gradient_checkpointing: bool

    def fitted(self, n_examples: int) -> Schedule:
        """The schedule with a batch no larger than the examples, and micro-batches of one size."""
        batch = min(self.batch, n_examples)
        n_micro = math.ceil(batch / self.micro_batch)
        return replace(self, batch=batch, micro_batch=math.ceil(batch / n_micro))

    @property
    def accumulation(self) -> int:
        """Micro-batches an optimizer step."""
        return math.ceil(self.batch / self.micro_batch)

    def n_steps(self, n_examples: int) -> int:
        """Optimizer steps of the stage, as the Trainer counts them."""
        n_micro = math.ceil(n_examples / self.micro_batch)
        return math.ceil(self.epochs * math.ceil(n_micro / self.accumulation))


class StageTrainer(Trainer):
    """Trains one stage. Minimises the mean over micro-batches of the objective's total."""

    # An own mean loss must be divided by the accumulation steps; the Trainer does that only when told, and
    # by default for some families alone (x 4.0 gradients on Idefics2 with 4 steps). New in transformers 5.x.
    loss_is_scaled_for_ga = False

    def __init__(
        self,
        vlm: Vlm,
        objective: Objective,
        examples: Sequence[Any],
        collator: Collator,
        schedule: Schedule,
        folder: Path,
        on_step: OnStep,
    ) -> None:
        """folder: for checkpoints.  on_step: called with step, epoch and terms after each optimizer step."""
        refuse_several_processes()
        if schedule.gradient_checkpointing:
            # The reentrant kind needs inputs with a gradient, which a frozen embedding does not give.
            # Renamed in 5.23; the new name is not in 5.17.
            vlm.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        super().__init__(
            model=vlm.model,
            args=_arguments(vlm, schedule, len(examples), folder),
            data_collator=collator,
            train_dataset=examples,
        )
        self.model_accepts_loss_kwargs = False  # the same switch in releases without loss_is_scaled_for_ga
        self.remove_callback(PrinterCallback)
        self._vlm = vlm
        self._objective = objective
        self._on_step = on_step
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._n_micro = 0

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        assert not return_outputs, "there is no evaluation inside training"
        with self.accelerator.autocast():
            terms = self._objective(self._vlm, inputs["batch"])
        for name, value in {**terms.parts, "total": terms.total.detach()}.items():
            self._sums[name] += float(value)
        self._n_micro += 1
        return terms.total

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """After each step: hand the terms on, means over its micro-batches."""
        super().log(logs, start_time)
        if "loss" not in logs:
            return
        terms = {name: total / self._n_micro for name, total in self._sums.items()}
        self._sums.clear()
        self._n_micro = 0
        step, epoch = self.state.global_step, float(self.state.epoch or 0.0)
        if not math.isfinite(terms["total"]):
            raise ModelError(
                f"the loss of step {step} is {terms['total']}",
                code="loss-not-finite",
                why=", ".join(f"{name} {value:.4g}" for name, value in terms.items()),
                hint="lower learning_rate, or raise the temperatures",
            )
        self._on_step(step, epoch, {**terms, "lr": logs["learning_rate"]})

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # PEFT's own default looks on the hub whether the base model's vocabulary was changed.
        assert output_dir is not None
        self._vlm.save_adapter(Path(output_dir))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        keep_newest(Path(str(self.args.output_dir)), KEPT_CHECKPOINTS)

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # a count that reads the inputs by their names in one family

    def train_or_resume(self) -> None:
        """Train to the end, from the newest whole checkpoint of the folder if there is one.

        Raises ModelError when the GPU's memory does not suffice, or the loss is not finite.
        """
        newest = last_complete(Path(str(self.args.output_dir)))
        try:
            self.train(resume_from_checkpoint=str(newest) if newest else None)
        except torch.cuda.OutOfMemoryError as error:
            raise ModelError(
                "the GPU's memory does not suffice",
                code="out-of-memory",
                why=str(error).split(". ")[0],
                hint="make micro_batch smaller, set gradient_checkpointing = true, or lower train.max_pixels",
            ) from error


def refuse_several_processes() -> None:
    """Raise SettingsError under torchrun: our loss goes past DDP's forward, so nothing would be synced."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingsError(
            f"training runs in one process, not in {os.environ['WORLD_SIZE']}",
            code="several-processes",
            hint="start it without torchrun or accelerate launch",
        )


def _arguments(vlm: Vlm, schedule: Schedule, n_examples: int, folder: Path) -> TrainingArguments:
    device = vlm.device
    n_steps = schedule.n_steps(n_examples)
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=schedule.micro_batch,
        gradient_accumulation_steps=schedule.accumulation,
        num_train_epochs=schedule.epochs,
        learning_rate=schedule.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(schedule.warmup * n_steps),
        weight_decay=schedule.weight_decay,
        max_grad_norm=1.0,
        seed=schedule.seed,
        save_strategy="steps",
        save_steps=schedule.save_steps,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        label_names=[],
        report_to="none",
        disable_tqdm=True,
        use_cpu=device.type == "cpu",
        bf16=device.type == "cuda" and torch.cuda.is_bf16_supported(),
        dataloader_pin_memory=False,  # a Batch is no tensor
    )
    # The Trainer would wrap the model in DataParallel, and multiply the batch, on a machine with two GPUs.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments
