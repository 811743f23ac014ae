"""What Finedefics is compared with in Table 3c: one stage that minimises the losses of both at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.batch import AlignCollator, Batch, InstructCollator
from fgvr_kit.training.data.examples import BothExample
from fgvr_kit.training.data.steps import Micro
from fgvr_kit.training.objectives.learning import Engine, StepObjective, Tally, Terms


@dataclass(frozen=True, slots=True)
class BothBatch:
    """A batch of each stage, about the same images."""

    align: Batch
    instruct: Batch

    def to(self, device: torch.device | str, **kept: Any) -> BothBatch:
        return BothBatch(self.align.to(device, **kept), self.instruct.to(device, **kept))


class BothCollator:
    """Makes a BothBatch out of rows that hold what both stages ask."""

    def __init__(self, vlm: Vlm) -> None:
        self._align, self._instruct = AlignCollator(vlm), InstructCollator(vlm)

    def __call__(self, examples: Sequence[BothExample]) -> dict[str, BothBatch]:
        align = self._align([example.align for example in examples])["batch"]
        asked = [question for example in examples for question in example.questions]
        return {"batch": BothBatch(align, self._instruct(asked)["batch"])}


class Both(StepObjective):
    """The sum of two stages' losses in every step. The state is that of stage align."""

    def __init__(self, align: StepObjective, instruct: StepObjective) -> None:
        self.align, self.instruct = align, instruct
        self.learning_rate = align.learning_rate

    def __call__(self, vlm: Vlm, batch: BothBatch) -> Terms:
        first, second = self.align(vlm, batch.align), self.instruct(vlm, batch.instruct)
        return Terms(first.total + second.total, {**first.parts, **_renamed(second.parts)})

    def learn(self, vlm: Vlm, rounds: Sequence[Micro], engine: Engine) -> Tally:
        parts = [(m.batch.align, m.batch.instruct) if m.batch else (None, None) for m in rounds]
        first, second = (
            stage.learn(
                vlm, [Micro(own[n], m.n, m.names) for own, m in zip(parts, rounds, strict=True)], engine
            )
            for n, stage in enumerate((self.align, self.instruct))
        )
        first.add(**_renamed({name: value for name, value in second.terms.items() if name != "total"}))
        first.add(total=second.terms["total"])
        first.unsound += second.unsound
        return first

    def trained(self) -> list[nn.Parameter]:
        return self.align.trained()

    def after_step(self) -> None:
        self.align.after_step()

    def named(self) -> dict[str, Tensor]:
        return self.align.named()

    def to(self, device: torch.device) -> None:
        self.align.to(device)

    def save(self, folder: Path) -> None:
        self.align.save(folder)

    def load(self, folder: Path) -> None:
        self.align.load(folder)


def _renamed(parts: Any) -> dict[str, Tensor]:
    return {f"instruct_{name}": part for name, part in parts.items()}
