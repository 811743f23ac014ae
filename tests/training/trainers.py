"""Small trainers: what the tests of the trainer start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import MistralConfig, MistralForCausalLM

from fgvr_kit.training.loop.trainer import StageTrainer
from fgvr_kit.training.objectives.finedefics import Align
from fgvr_kit.training.objectives.learning import Terms
from fgvr_kit.training.schedule import Schedule

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


class Rows:
    """What a collator of numbers makes."""

    def __init__(self, ids: Tensor) -> None:
        self.ids = ids

    def to(self, _: Any) -> Rows:
        return self

    def __len__(self) -> int:
        return len(self.ids)


def tiny_vlm() -> Any:
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=11, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0,
    )  # fmt: skip
    return SimpleNamespace(
        model=MistralForCausalLM(config),
        device=torch.device("cpu"),
        save_adapter=lambda folder: folder.mkdir(parents=True),
    )


def collate(rows: Sequence[int]) -> dict[str, Any]:
    return {"batch": Rows(torch.tensor([[row % 11, (row * 3) % 11] for row in rows]))}


def small_mean(vlm: Any, batch: Rows) -> Terms:
    """A mean over samples, so small that the clipping of gradients does not reach it."""
    total = 1e-3 * vlm.model(input_ids=batch.ids).logits.square().mean()
    return Terms(total, {"generation": total.detach()})


def trainer_of(
    folder: Path,
    objective: Any = small_mean,
    rows: Sequence[Any] = (1, 2, 3, 4),
    schedule: Schedule = PLAIN,
    *,
    vlm: Any = None,
    collator: Any = collate,
    on_step: Callable[..., None] = lambda *_: None,
) -> StageTrainer:
    return StageTrainer(vlm or tiny_vlm(), objective, list(rows), collator, schedule, folder, on_step)


def align(**options: Any) -> Align:
    given = {
        "attribute_temperature": 0.07,
        "category_temperature": 0.1,
        "negatives": "shared",
        "ccc": "paper",
    }
    return Align(**(given | options))
