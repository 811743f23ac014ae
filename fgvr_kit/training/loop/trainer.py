"""transformers' Trainer, with our loss, a silent face and checkpoints that survive a kill.

Comes with it: accelerate, mixed precision, schedules, resume with random states. Ours: what an optimizer step is
(steps.py), how it is learned (learning.py) and how several processes share it (processes.py); of the Trainer's
own accumulation and of DistributedDataParallel nothing is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import AutocastKwargs  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from fgvr_kit.errors import ModelError
from fgvr_kit.training import processes
from fgvr_kit.training.checkpoints.checkpoint import keep_newest, last_complete, step_of
from fgvr_kit.training.data.steps import Collator, Micro, Steps, load_steps
from fgvr_kit.training.objectives.learning import Engine, Objective, StepObjective, Tally, whole
from fgvr_kit.training.schedule import Schedule

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm

KEPT_CHECKPOINTS = 2  # a kill while the newer one is written leaves the older one
NAMED = 4  # images of a bad batch that an error names

OnStep = Callable[[int, float, dict[str, float]], None]


class StageTrainer(Trainer):
    """Trains one stage. To the Trainer an optimizer step is one batch, whatever it is made of."""

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
        """folder: for checkpoints.  on_step: called with step, epoch and terms after each optimizer step, in the
        first process alone.  Raises SettingsError under FSDP or DeepSpeed."""
        processes.refuse_sharding()
        if schedule.gradient_checkpointing:
            # The reentrant kind needs inputs with a gradient, which a frozen embedding does not give.
            # Renamed in 5.23; the new name is not in 5.17.
            vlm.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self._objective = whole(objective)
        self._objective.to(vlm.device)
        super().__init__(
            model=vlm.model,
            args=_arguments(vlm, schedule, len(examples), folder),
            train_dataset=Steps(
                examples,
                collator,
                batch=schedule.batch,
                micro_batch=schedule.micro_batch,
                seed=schedule.seed,
            ),
            callbacks=[_AfterStep(self._objective)],
        )
        self.remove_callback(PrinterCallback)
        self._vlm, self._folder = vlm, folder
        self._n_steps = schedule.n_steps(len(examples))
        self._on_step = on_step
        self._terms: dict[str, float] = {}
        self._latest: list[str] = []
        processes.copy_first(self._trained())
        if rank := processes.rank():  # else all processes would drop out the same places
            torch.manual_seed(schedule.seed + rank)

    # --- one step -------------------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader[list[Micro]]:
        """Not prepared by accelerate, which would repeat samples to make all processes' shares equal."""
        steps = self.train_dataset
        assert isinstance(steps, Steps)
        return load_steps(steps, len(steps), lambda: self.state.global_step // len(steps))

    def training_step(self, model: Any, inputs: list[Micro], num_items_in_batch: Any = None) -> Tensor:
        model.train()
        tally = self._objective.learn(self._vlm, inputs, Engine(self._autocast, self._backward))
        processes.sum_gradients(self._trained())
        self._terms, self._latest = _summed(tally), [name for micro in inputs for name in micro.names]
        if not math.isfinite(self._terms["total"]):
            suspects = [name for names in processes.everyone(tally.suspects()) for name in names]
            raise self._not_finite("loss", self._terms, suspects or self._latest)
        return torch.tensor(self._terms["total"], device=self.args.device)

    def _autocast(self) -> Any:
        # With a cache, weights that a pass without a graph cast first would get no gradient from the next one.
        return self.accelerator.autocast(autocast_handler=AutocastKwargs(cache_enabled=False))

    def _backward(self, loss: Tensor) -> None:
        # The gradient of a float32 loss is made in float32, too.
        with torch.autocast(loss.device.type, enabled=False):
            self.accelerator.backward(loss)

    def _trained(self) -> list[nn.Parameter]:
        return [*(p for p in self._vlm.model.parameters() if p.requires_grad), *self._objective.trained()]

    def _wrap_model(self, model: Any, training: bool = True, dataloader: Any = None) -> Any:
        """All that is trained. Another object than the model: so accelerate puts no DDP around it."""
        return _Trained(model, self._objective)

    def create_optimizer(self, model: Any = None) -> Any:
        super().create_optimizer(model)
        if extra := self._objective.trained():
            self.optimizer.add_param_group(
                {"params": extra, "lr": self._objective.learning_rate, "weight_decay": 0.0}
            )
        return self.optimizer

    def _clip_grad_norm(self, model: Any) -> Any:
        # Before the optimizer's step, which would spoil all weights with it; best/ might take them.
        if not math.isfinite(norm := super()._clip_grad_norm(model)):
            raise self._not_finite("gradient", self._terms, self._latest)
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """After each step: hand the terms on."""
        super().log(logs, start_time)
        if "loss" not in logs:
            return
        state = {name: float(value) for name, value in self._objective.named().items()}
        if processes.is_first():
            terms = {**self._terms, **state, "lr": logs["learning_rate"]}
            self._on_step(self.state.global_step, float(self.state.epoch or 0.0), terms)

    def _not_finite(self, what: str, terms: dict[str, float], images: Sequence[str]) -> ModelError:
        checkpoint = last_complete(self._folder) if processes.is_first() else None
        kept = f"; {checkpoint.name} is kept" if checkpoint else ""
        more = f" and {len(images) - NAMED} more" if len(images) > NAMED else ""
        return ModelError(
            f"the {what} of a step is not a finite number",
            code=f"{what}-not-finite",
            where=", ".join(images[:NAMED]) + more or None,
            why=f"after step {self.state.global_step}{kept}: "
            + ", ".join(f"{name} {value:.4g}" for name, value in terms.items()),
            hint="look at these images and their texts; lower learning_rate, or raise the temperatures",
        )

    # --- checkpoints ----------------------------------------------------------------------------------------

    def save_weights(self, folder: Path) -> None:
        """Write what is trained, as it is now: the adapter and the objective's state beside it."""
        self._vlm.save_adapter(folder)
        self._objective.save(folder)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # PEFT's own default looks on the hub whether the base model's vocabulary was changed.
        assert output_dir is not None
        if self.args.should_save:
            self.save_weights(Path(output_dir))

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        processes.wait()  # the first process then writes the file that calls the checkpoint whole

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if processes.is_first():
            keep_newest(self._folder, KEPT_CHECKPOINTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._objective.load(Path(resume_from_checkpoint))

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # a count that reads the inputs by their names in one family

    def train_or_resume(self, *, is_over: bool = False) -> None:
        """Train to the end, from the newest whole checkpoint of the folder if there is one.

        is_over: that checkpoint is the end already.  Raises ModelError when the memory does not suffice, or a
        loss or gradient is not finite.
        """
        if processes.is_first():
            last_complete(self._folder)  # it removes what a kill left half-written
        processes.wait()
        newest = last_complete(self._folder)
        if newest and (is_over or step_of(newest) >= self._n_steps):
            self._load_from_checkpoint(str(newest))  # the Trainer itself would make a step more
            self.state.global_step = step_of(newest)
            return
        try:
            self.train(resume_from_checkpoint=str(newest) if newest else None)
        except RuntimeError as error:
            on_cpu = "DefaultCPUAllocator" in str(error)
            if not on_cpu and not isinstance(error, torch.OutOfMemoryError):
                raise
            raise ModelError(
                f"the {'machine' if on_cpu else 'GPU'}'s memory does not suffice",
                code="out-of-memory",
                why=str(error).split(". ")[0],
                hint="make micro_batch smaller, set gradient_checkpointing = true, or lower train.max_pixels",
            ) from error


class _Trained(nn.Module):
    """The model and the objective's own parameters: zeroed and clipped together."""

    def __init__(self, model: nn.Module, objective: StepObjective) -> None:
        super().__init__()
        self.model = model
        self.beside = nn.ParameterList(objective.trained())


class _AfterStep(TrainerCallback):
    """Tells the objective that the optimizer has made a step."""

    def __init__(self, objective: StepObjective) -> None:
        self._objective = objective

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._objective.after_step()


def _summed(tally: Tally) -> dict[str, float]:
    """The terms of a step, over all processes; one that had no sample adds none."""
    terms: dict[str, float] = {}
    for part in processes.everyone({name: float(value) for name, value in tally.terms.items()}):
        for name, value in part.items():
            terms[name] = terms.get(name, 0.0) + value
    return terms


def _arguments(vlm: Vlm, schedule: Schedule, n_examples: int, folder: Path) -> TrainingArguments:
    device = vlm.device
    arguments = TrainingArguments(
        output_dir=str(folder),
        # A step is one batch of the Trainer's, of all processes; it is cut and shared in steps.py.
        per_device_train_batch_size=schedule.batch,
        num_train_epochs=schedule.epochs,
        learning_rate=schedule.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(schedule.warmup * schedule.n_steps(n_examples)),
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
