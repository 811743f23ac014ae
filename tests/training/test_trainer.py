from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import MistralConfig, MistralForCausalLM, TrainerCallback

from fgvr_kit.errors import ModelError, SettingsError
from fgvr_kit.training.objectives import Terms
from fgvr_kit.training.trainer import Schedule, StageTrainer

PLAIN = Schedule(
    batch=4,
    micro_batch=4,
    epochs=1,
    learning_rate=1e-3,
    warmup=0.0,
    weight_decay=0.0,
    seed=0,
    save_steps=100,
    gradient_checkpointing=False,
)


def tiny_model() -> MistralForCausalLM:
    torch.manual_seed(0)
    return MistralForCausalLM(
        MistralConfig(
            vocab_size=11,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            pad_token_id=0,
        )
    )


def vlm_of(model: Any) -> Any:
    return SimpleNamespace(
        model=model, device=torch.device("cpu"), save_adapter=lambda folder: folder.mkdir()
    )


def collate(rows: Sequence[int]) -> dict[str, Any]:
    return {"batch": torch.tensor([[row % 11, (row * 3) % 11] for row in rows])}


def small_mean(vlm: Any, batch: Tensor) -> Terms:
    """A mean over samples, so small that the clipping of gradients does not reach it."""
    total = 1e-3 * vlm.model(input_ids=batch).logits.square().mean()
    return Terms(total, {"generation": total.detach()})


class KeepGradient(TrainerCallback):
    def __init__(self) -> None:
        self.gradients: list[dict[str, Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        named = kwargs["model"].named_parameters()
        self.gradients.append({name: p.grad.clone() for name, p in named if p.grad is not None})


def first_gradient(schedule: Schedule, folder: Path, accepts_loss_kwargs: bool) -> dict[str, Tensor]:
    model = tiny_model()
    model.accepts_loss_kwargs = accepts_loss_kwargs
    trainer = StageTrainer(
        vlm_of(model),
        small_mean,
        [3, 4, 5, 6],
        collate,
        schedule,
        folder,
        on_step=lambda *_: None,
    )
    keeper = KeepGradient()
    trainer.add_callback(keeper)
    trainer.train_or_resume()
    return keeper.gradients[0]


@pytest.mark.parametrize("accepts_loss_kwargs", [True, False])
def test_four_micro_batches_give_the_gradient_of_one_big_batch(
    tmp_path: Path, accepts_loss_kwargs: bool
) -> None:
    """transformers divides an own loss by the accumulation steps for some families only."""
    big = first_gradient(PLAIN, tmp_path / "big", accepts_loss_kwargs)
    small = first_gradient(replace(PLAIN, micro_batch=1), tmp_path / "small", accepts_loss_kwargs)
    assert big.keys() == small.keys()
    for name, gradient in big.items():
        torch.testing.assert_close(small[name], gradient, rtol=1e-4, atol=1e-9)


def test_terms_of_a_step_are_means_over_its_micro_batches(tmp_path: Path) -> None:
    seen: list[tuple[int, float, dict[str, float]]] = []
    schedule = Schedule(
        **{**{f: getattr(PLAIN, f) for f in PLAIN.__slots__}, "micro_batch": 2, "epochs": 2.0}
    )

    def objective(vlm: Any, batch: Tensor) -> Terms:
        total = vlm.model(input_ids=batch).logits.square().mean() * 0 + float(len(batch))
        return Terms(total, {"generation": torch.tensor(float(len(batch)) + 1)})

    trainer = StageTrainer(
        vlm_of(tiny_model()),
        objective,
        [1, 2, 3, 4, 5, 6],
        collate,
        schedule,
        tmp_path,
        on_step=lambda *step: seen.append(step),
    )
    trainer.train_or_resume()
    assert [step for step, _, _ in seen] == [1, 2, 3, 4]
    assert seen[0][2] == {"generation": 3.0, "total": 2.0, "lr": 1e-3}
    assert seen[-1][1] == 2.0
    assert schedule.n_steps(6) == 4


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    def objective(vlm: Any, batch: Tensor) -> Terms:
        total = vlm.model(input_ids=batch).logits.mean() * float("nan")
        return Terms(total, {"generation": total.detach()})

    trainer = StageTrainer(
        vlm_of(tiny_model()),
        objective,
        [1, 2],
        collate,
        PLAIN,
        tmp_path,
        on_step=lambda *_: None,
    )
    with pytest.raises(ModelError) as caught:
        trainer.train_or_resume()
    assert caught.value.code == "loss-not-finite"


def test_a_full_gpu_is_told_with_the_next_move(tmp_path: Path) -> None:
    def objective(vlm: Any, batch: Tensor) -> Terms:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")

    trainer = StageTrainer(
        vlm_of(tiny_model()),
        objective,
        [1, 2],
        collate,
        PLAIN,
        tmp_path,
        on_step=lambda *_: None,
    )
    with pytest.raises(ModelError) as caught:
        trainer.train_or_resume()
    assert caught.value.code == "out-of-memory"
    assert "micro_batch" in caught.value.hint


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError) as caught:
        first_gradient(PLAIN, tmp_path, accepts_loss_kwargs=True)
    assert caught.value.code == "several-processes"


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
