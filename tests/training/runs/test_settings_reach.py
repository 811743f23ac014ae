"""Every setting of the recipe arrives where it is meant to: a default that is used by mistake shows here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from fgvr_kit.families.base import Vlm
from fgvr_kit.families.sequences.step import States
from fgvr_kit.training.loop.trainer import StageTrainer
from fgvr_kit.training.losses import alignment_loss
from fgvr_kit.training.objectives.finedefics import Align
from fgvr_kit.training.schedule import Schedule

SCHEDULE = Schedule(
    batch=6, micro_batch=2, epochs=3.0, learning_rate=0.0123, warmup=0.25, weight_decay=0.321, seed=7,
    save_steps=4, gradient_checkpointing=True,
)  # fmt: skip


def test_the_schedule_is_what_the_trainer_is_given(tmp_path: Path, toy_vlm_path: Path) -> None:
    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none")
    vlm.attach_lora(r=2, alpha=3, dropout=0.4, seed=0)
    trainer = StageTrainer(
        vlm, lambda *_: None, list(range(24)), lambda rows: {}, SCHEDULE, tmp_path, lambda *_: None
    )  # type: ignore[arg-type]
    args = trainer.args
    assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == (6, 1)
    assert (trainer.train_dataset.batch, trainer.train_dataset.micro_batch, trainer.train_dataset.seed) == (
        6,
        2,
        7,
    )
    assert (args.num_train_epochs, args.learning_rate, args.weight_decay) == (3.0, 0.0123, 0.321)
    assert args.warmup_steps == 3  # a quarter of 3 epochs x 4 steps
    assert (args.seed, args.save_steps) == (7, 4)
    layers = [m for m in vlm.base_model.modules() if getattr(m, "gradient_checkpointing", False)]
    assert layers, "gradient checkpointing is on in no layer"
    config = vlm.model.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (2, 3, 0.4)


@pytest.mark.parametrize("negatives", ["shared", "own"])
@pytest.mark.parametrize("ccc", ["paper", "bounded", "released", "off"])
def test_the_objective_uses_its_own_settings(negatives: Any, ccc: Any) -> None:
    from fgvr_kit.training.data.batch import Batch, Words

    torch.manual_seed(0)
    objects, texts = torch.randn(2, 8), torch.randn(5, 8)

    class Fixed:
        """Gives the vectors that the test made; only the objective is under test."""

        def image_features(self, inputs: Any) -> None: ...
        def logits(self, rows: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(rows), 6)

        def embed_step(self, _: Any, __: Any, asked: Any, labels: torch.Tensor) -> States:
            n = int((labels != -100).sum())
            rows = [texts["abcde".index(text)] for text in asked]
            return States(torch.zeros(n, 4), torch.ones(n, dtype=torch.long), objects, torch.stack(rows))

        def embed_texts(self, asked: Any) -> torch.Tensor:
            return torch.zeros(0, 8)

    words = Words(
        tuple("abcde"), torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([[1, 4], [0, 4]]),
        torch.tensor([[3, 4], [2, 4]]), torch.tensor([0, 1]), torch.tensor([[1, 2], [0, 2]]),
    )  # fmt: skip
    labels = torch.full((2, 3), -100)
    labels[:, 2] = 1
    terms = Align(attribute_temperature=0.2, category_temperature=0.5, negatives=negatives, ccc=ccc)(
        Fixed(),
        Batch({}, labels, words),  # type: ignore[arg-type]
    )
    unit = F.normalize(texts, dim=-1)
    expected = alignment_loss(
        F.normalize(objects, dim=-1), unit[words.attributes], unit[words.categories],
        unit[words.hard_attributes], unit[words.hard_categories],
        attribute_temperature=0.2, category_temperature=0.5, class_ids=words.class_ids,
        hard_class_ids=words.hard_class_ids, negatives=negatives, ccc=ccc,
    )  # fmt: skip
    for name in ("object_attribute", "attribute_category", "category_category"):
        assert float(terms.parts[name]) == pytest.approx(float(getattr(expected, name)), abs=1e-6), name
    generation = float(torch.log(torch.tensor(6.0)))
    assert float(terms.total) == pytest.approx(generation + float(expected.total), abs=1e-5)


def test_the_recipe_hands_every_setting_of_the_contrast_on() -> None:
    from fgvr_kit.recipes import finedefics

    settings = finedefics.Settings(
        attribute_temperature=0.2, category_temperature=0.3, temperature="learned", temperature_learning_rate=0.04,
        contrast="micro", negatives="own", ccc="bounded", negative_gradient=False, bank_steps=5,
    )  # fmt: skip
    align = finedefics._align(settings)
    assert {name: float(t) for name, t in align.named().items()} == pytest.approx(
        {"attribute_temperature": 0.2, "category_temperature": 0.3}
    )
    assert align.learning_rate == 0.04
    assert (align.contrast, align.negatives, align.ccc) == ("micro", "own", "bounded")
    assert (align.negative_gradient, align.bank.steps) == (False, 5)
    plain = finedefics._align(finedefics.Settings())
    assert (plain.contrast, plain.negatives, plain.ccc) == ("step", "shared", "paper")
    assert (plain.trained(), plain.negative_gradient, plain.bank.steps) == ([], True, 0)
