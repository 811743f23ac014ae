"""What is trained beside the adapter: it learns, it is saved, and it comes back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fgvr_kit.errors import ModelError
from fgvr_kit.training.data.batch import AlignCollator
from fgvr_kit.training.loop.trainer import StageTrainer
from tests.training.learned import align_rows, toy
from tests.training.trainers import PLAIN, align, trainer_of

LEARNED = {"learned": True, "negative_gradient": False, "bank_steps": 3, "temperature_learning_rate": 0.1}


def test_temperatures_learn_at_their_own_rate_without_decay_and_are_told(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    vlm, objective = toy(), align(learned=True, temperature_learning_rate=0.02)
    schedule = replace(PLAIN, batch=8, epochs=2, weight_decay=0.5)
    trainer = trainer_of(
        tmp_path / "run", objective, align_rows(tmp_path), schedule, vlm=vlm, collator=AlignCollator(vlm),
        on_step=lambda _, __, terms: seen.append(terms),
    )  # fmt: skip
    trainer.train_or_resume()
    group = trainer.optimizer.param_groups[-1]
    assert (group["initial_lr"], group["weight_decay"]) == (0.02, 0.0)
    told = [step["attribute_temperature"] for step in seen]
    # Adam's first step is the learning rate, on the logarithm.
    assert abs(math.log(told[0] / 0.07)) == pytest.approx(0.02, rel=1e-3)
    assert told[1] != told[0]
    assert seen[-1]["lr"] == pytest.approx(5e-4)


def test_a_run_that_goes_on_from_a_checkpoint_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    """With dropout, a gradient cache, learned temperatures and a bank: all of them come back bit for bit."""
    rows = align_rows(tmp_path)
    schedule = replace(PLAIN, batch=3, micro_batch=2, epochs=2, save_steps=2)

    def train(name: str, stop_after: int = 99) -> list[dict[str, float]]:
        seen: list[dict[str, float]] = []
        vlm = toy(dropout=0.3)

        def on_step(step: int, _: float, terms: dict[str, float]) -> None:
            seen.append(terms)
            if step == stop_after:
                raise KeyboardInterrupt

        trainer = trainer_of(
            tmp_path / name, align(**LEARNED), rows, schedule, vlm=vlm, collator=AlignCollator(vlm),
            on_step=on_step,
        )  # fmt: skip
        trainer.train_or_resume()
        trainer.save_weights(tmp_path / name / "end")
        return seen

    whole = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("cut", stop_after=5)
    rest = train("cut")
    assert len(whole) == 6
    assert rest == whole[4:]
    for file in ("adapter_model.safetensors", "temperatures.safetensors", "bank.safetensors"):
        ours, theirs = (load_file(tmp_path / name / "end" / file) for name in ("cut", "whole"))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), file
    words = [json.loads((tmp_path / name / "end" / "bank.json").read_text()) for name in ("cut", "whole")]
    assert words[0] == words[1]
    assert words[0]["texts"]


def test_a_checkpoint_without_its_temperatures_is_not_resumed(tmp_path: Path) -> None:
    vlm, rows = toy(), align_rows(tmp_path)
    schedule = replace(PLAIN, batch=8, save_steps=1)

    def trainer() -> StageTrainer:
        return trainer_of(
            tmp_path / "run", align(learned=True), rows, schedule, vlm=vlm, collator=AlignCollator(vlm)
        )

    trainer().train_or_resume()
    (tmp_path / "run" / "checkpoint-1" / "temperatures.safetensors").unlink()
    with pytest.raises(ModelError) as caught:
        trainer().train_or_resume()
    assert caught.value.code == "temperatures-missing"


def test_a_training_that_begins_again_begins_with_the_temperatures_it_was_given(tmp_path: Path) -> None:
    """As after a step down for want of memory, before there was a checkpoint."""
    vlm, objective, rows = toy(), align(**LEARNED), align_rows(tmp_path)
    told: list[float] = []
    for name in ("first", "second"):
        trainer = trainer_of(
            tmp_path / name, objective, rows, replace(PLAIN, batch=8), vlm=toy(), collator=AlignCollator(vlm),
            on_step=lambda _, __, terms: told.append(terms["attribute_temperature"]),
        )  # fmt: skip
        trainer.train_or_resume()
    assert told[0] == told[1]
