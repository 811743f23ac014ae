"""An optimizer step, learned without a trainer: what the tests of objectives compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.batch import AlignCollator
from fgvr_kit.training.data.examples import AlignExample, InstructExample, NegativeText
from fgvr_kit.training.data.steps import Micro
from fgvr_kit.training.objectives.learning import Engine, StepObjective
from fgvr_kit.types import ImageRef

NAMES = ("bee", "wasp", "red ant", "black ant", "hornet")


def align_rows(folder: Path, n: int = 8) -> list[AlignExample]:
    """Samples of five classes with one, two or three negatives, whose texts are of unlike length."""

    def said(i: int) -> str:
        return f"The {NAMES[i % 5]} is seen from above" + ", and again" * (i % 4) + f", number {i}."

    rows = []
    for i in range(n):
        path = folder / f"{i}.png"
        pixels = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((40 + i, 32)).save(path)
        others = [(i + 1 + k) % 5 for k in range(1 + i % 3)]
        rows.append(
            AlignExample(
                ImageRef(path, pixel_sha256(open_image(path))), "Describe it.", "", said(i), i % 5,
                NAMES[i % 5].title(),
                tuple(NegativeText(c, NAMES[c].title(), said(c + 5 * (i % 2))) for c in others),
            )
        )  # fmt: skip
    return rows


def instruct_rows(rows: Sequence[AlignExample]) -> list[InstructExample]:
    return [InstructExample(row.image, row.question, row.system, row.description) for row in rows]


def toy(*, dropout: float = 0.0) -> Vlm:
    """The toy model with an adapter that does something, ready to be trained."""
    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none")
    adapted(vlm, dropout=dropout)
    return vlm


def adapted(vlm: Vlm, *, dropout: float = 0.0) -> None:
    vlm.attach_lora(r=4, alpha=8, dropout=dropout, seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, p in vlm.model.named_parameters():
        if "lora_B" in name:
            p.data = torch.randn(p.shape, generator=generator) / 10
    vlm.model.train()


def micros(
    vlm: Vlm, rows: Sequence[Any], sizes: Sequence[int], collator: Callable[[Vlm], Any] = AlignCollator
) -> list[Micro]:
    collate, found, at = collator(vlm), [], 0
    for size in sizes:
        part = rows[at : at + size]
        names = tuple(row.image.path.name for row in part)
        found.append(Micro(collate(part)["batch"], size, names) if part else Micro())
        at += size
    return found


def learn(
    vlm: Vlm, objective: StepObjective, rounds: Sequence[Micro], engine: Engine | None = None
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The terms of a step, and the gradients that it leaves."""
    vlm.model.zero_grad()
    for parameter in objective.trained():
        parameter.grad = None
    tally = objective.learn(vlm, rounds, engine or Engine())
    return {name: float(value) for name, value in tally.terms.items()}, gradients(vlm, objective)


def gradients(vlm: Vlm, objective: StepObjective) -> dict[str, Tensor]:
    found = {n: p.grad.clone() for n, p in vlm.model.named_parameters() if p.grad is not None}
    return found | {
        f"beside.{n}": p.grad.clone() for n, p in enumerate(objective.trained()) if p.grad is not None
    }


def assert_alike(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    """Gradients of all weights together: the largest difference, in shares of the largest gradient."""
    assert ours.keys() == theirs.keys()
    largest = max(float(g.abs().max()) for g in theirs.values())
    assert largest > 1e-3, "there is a gradient to compare"
    worst = max(float((ours[name] - g).abs().max()) for name, g in theirs.items())
    assert worst <= tolerance * largest, f"gradients differ by {worst / largest:.2g}"
