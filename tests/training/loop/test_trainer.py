from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import TrainerCallback

from fgvr_kit.errors import ModelError, SettingsError
from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.batch import AlignCollator, InstructCollator
from fgvr_kit.training.loop.trainer import StageTrainer
from fgvr_kit.training.objectives.finedefics import instruct
from fgvr_kit.training.objectives.learning import Terms
from fgvr_kit.training.schedule import Schedule
from tests.families import tiny
from tests.families.conftest import checkpoints
from tests.training.learned import adapted, align_rows, assert_alike, instruct_rows, learn, micros, toy
from tests.training.trainers import PLAIN, Rows, align, tiny_vlm, trainer_of

__all__ = ["checkpoints"]


class KeepGradient(TrainerCallback):
    """Gradients as the optimizer gets them."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        named = kwargs["model"].named_parameters()
        self.gradients.append({name: p.grad.clone() for name, p in named if p.grad is not None})


def first_gradient(trainer: StageTrainer) -> dict[str, Tensor]:
    """Of a trainer whose gradients are not clipped."""
    trainer.args.max_grad_norm = 1e9
    keeper = KeepGradient()
    trainer.add_callback(keeper)
    trainer.train_or_resume()
    return keeper.gradients[0]


@pytest.mark.parametrize("accepts_loss_kwargs", [True, False])
@pytest.mark.parametrize("micro_batch", [1, 3])
def test_micro_batches_give_the_gradient_of_one_big_batch(
    tmp_path: Path, accepts_loss_kwargs: bool, micro_batch: int
) -> None:
    """transformers divides an own loss by the accumulation steps for some families only."""

    def gradient(schedule: Schedule) -> dict[str, Tensor]:
        vlm = tiny_vlm()
        vlm.model.accepts_loss_kwargs = accepts_loss_kwargs
        folder = tmp_path / str(schedule.micro_batch)
        return first_gradient(trainer_of(folder, schedule=schedule, vlm=vlm))

    big, small = gradient(PLAIN), gradient(replace(PLAIN, micro_batch=micro_batch))
    assert big.keys() == small.keys()
    for name, wanted in big.items():
        torch.testing.assert_close(small[name], wanted, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("family", list(tiny.BUILDERS))
def test_in_every_family_accumulated_gradients_are_those_of_one_batch(
    family: str, checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    """Answers of unlike length in micro-batches of unlike size: neither 3 times too large, nor a mean of means."""
    vlm = Vlm.load(str(checkpoints(family)), device="cpu", quantize="none")
    adapted(vlm)
    rows = instruct_rows(align_rows(tmp_path, n=5))
    _, wanted = learn(vlm, instruct, micros(vlm, rows, [5], InstructCollator))
    vlm.model.zero_grad()
    schedule = replace(PLAIN, batch=5, micro_batch=2)
    trainer = trainer_of(tmp_path, instruct, rows, schedule, vlm=vlm, collator=InstructCollator(vlm))
    assert_alike(first_gradient(trainer), wanted, 1e-4)


def test_terms_of_a_step_are_means_over_its_samples(tmp_path: Path) -> None:
    """Three samples in micro-batches of one and two: each sample weighs the same."""
    seen: list[tuple[int, float, dict[str, float]]] = []

    def objective(vlm: Any, batch: Rows) -> Terms:
        total = vlm.model(input_ids=batch.ids).logits.square().mean() * 0 + float(len(batch))
        return Terms(total, {"generation": torch.tensor(float(len(batch)) + 1)})

    schedule = replace(PLAIN, batch=3, micro_batch=2, epochs=2.0)
    trainer_of(
        tmp_path, objective, [1, 2, 3, 4], schedule, on_step=lambda *step: seen.append(step)
    ).train_or_resume()
    assert [step for step, _, _ in seen] == [1, 2, 3, 4]
    assert seen[0][2] == pytest.approx({"generation": 8 / 3, "total": 5 / 3, "lr": 1e-3})
    assert seen[1][2]["total"] == 1.0, "one sample was left"
    assert seen[-1][1] == 2.0
    assert schedule.n_steps(4) == 4


def nan_from(step: int) -> Callable[[Any, Rows], Terms]:
    seen: list[int] = []

    def objective(vlm: Any, batch: Rows) -> Terms:
        seen.append(1)
        total = vlm.model(input_ids=batch.ids).logits.mean() * (float("nan") if len(seen) == step else 1)
        return Terms(total, {"generation": total.detach()})

    return objective


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    schedule = replace(PLAIN, epochs=4, save_steps=1)
    trainer = trainer_of(tmp_path, nan_from(3), schedule=schedule)
    with pytest.raises(ModelError) as caught:
        trainer.train_or_resume()
    assert caught.value.code == "loss-not-finite"
    assert "checkpoint-2" in (caught.value.why or "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-2"]
    assert all(bool(p.isfinite().all()) for p in trainer.model.parameters()), "no step was made with it"


def test_a_gradient_that_is_not_finite_stops_too(tmp_path: Path) -> None:
    class Poisoned(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient * float("inf")

    def objective(vlm: Any, batch: Rows) -> Terms:
        total = Poisoned.apply(vlm.model(input_ids=batch.ids).logits).mean()
        return Terms(total, {"generation": total.detach()})

    trainer = trainer_of(tmp_path, objective, schedule=replace(PLAIN, save_steps=1))
    with pytest.raises(ModelError) as caught:
        trainer.train_or_resume()
    assert caught.value.code == "gradient-not-finite"
    assert all(bool(p.isfinite().all()) for p in trainer.model.parameters()), "no step was made with it"
    assert list(tmp_path.iterdir()) == [], "nothing is saved of it"


def test_the_images_of_the_bad_micro_batch_are_named(tmp_path: Path) -> None:
    vlm = toy()
    rows = align_rows(tmp_path)
    collator = AlignCollator(vlm)

    def spoilt(part: Sequence[Any]) -> dict[str, Any]:
        batch = collator(part)["batch"]
        if any(row.image.path.name == "6.png" for row in part):
            batch.inputs["pixel_values"] = batch.inputs["pixel_values"] * float("nan")
        return {"batch": batch}

    schedule = replace(PLAIN, batch=8, micro_batch=2)
    with pytest.raises(ModelError) as caught:
        trainer_of(tmp_path / "run", align(), rows, schedule, vlm=vlm, collator=spoilt).train_or_resume()
    named = (caught.value.where or "").split(", ")
    assert caught.value.code == "loss-not-finite"
    assert len(named) == 2
    assert str(tmp_path / "6.png") in named


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ..."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
        ),
    ],
)
def test_full_memory_is_told_with_the_next_move(tmp_path: Path, error: RuntimeError) -> None:
    def objective(vlm: Any, batch: Rows) -> Terms:
        raise error

    with pytest.raises(ModelError) as caught:
        trainer_of(tmp_path, objective).train_or_resume()
    assert caught.value.code == "out-of-memory"
    assert "micro_batch" in caught.value.hint


def test_another_error_is_not_taken_for_full_memory(tmp_path: Path) -> None:
    def objective(vlm: Any, batch: Rows) -> Terms:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        trainer_of(tmp_path, objective).train_or_resume()


@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_a_cut_up_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(SettingsError) as caught:
        trainer_of(tmp_path)
    assert caught.value.code == "sharded-training"


def test_mixed_precision_remembers_no_weights(tmp_path: Path) -> None:
    """Those cast in a pass without a graph would be used in the one with a graph, and get no gradient."""
    trainer = trainer_of(tmp_path)
    trainer.accelerator.native_amp = True
    trainer.accelerator.state._mixed_precision = "bf16"
    try:
        with trainer._autocast():
            assert torch.is_autocast_enabled("cpu")
            assert not torch.is_autocast_cache_enabled()
    finally:
        trainer.accelerator.state._mixed_precision = "no"


@pytest.mark.parametrize(
    ("batch", "micro_batch", "n", "fitted", "accumulation", "steps"),
    [
        (64, 8, 305, (64, 8), 8, 5),
        (64, 8, 10, (10, 5), 2, 1),
        (64, 8, 3, (3, 3), 1, 1),
        (4, 8, 9, (4, 4), 1, 3),
    ],
)
def test_a_batch_is_no_larger_than_the_examples(
    batch: int, micro_batch: int, n: int, fitted: tuple[int, int], accumulation: int, steps: int
) -> None:
    schedule = replace(PLAIN, batch=batch, micro_batch=micro_batch).fitted(n)
    assert (schedule.batch, schedule.micro_batch) == fitted
    assert (schedule.accumulation, schedule.n_steps(n)) == (accumulation, steps)
