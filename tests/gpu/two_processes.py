"""One step of stage align of one process, or of two that find each other as torchrun's do, for test_exact.py:
`python -m tests.gpu.two_processes FOLDER DEVICE`. The first one writes FOLDER/together.pt."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import Tensor

from fgvr_kit.training import processes
from fgvr_kit.training.objectives.finedefics import Align
from tests.training import learned

SIZES = ([4, 2], [2, 0])
"""Of each process's micro-batches: unequal, as at the end of an epoch."""


def step(folder: Path, device: str) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Terms and gradients, of all processes together."""
    place = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" else "cpu")
    if device == "cuda":
        torch.cuda.set_device(place)
    processes.meet(cpu=device == "cpu")
    rows = torch.load(folder / "rows.pt", weights_only=False)
    vlm = learned.toy()
    vlm.model.to(place)
    objective = Align(
        attribute_temperature=0.07, category_temperature=0.07, negatives="shared", ccc="paper", learned=True
    )
    objective.to(place)
    rank, is_alone = processes.rank(), processes.size() == 1
    mine, sizes = (rows, [8]) if is_alone else ((rows[:6], rows[6:])[rank], SIZES[rank])
    terms, _ = learned.learn(vlm, objective, learned.micros(vlm, mine, sizes))
    processes.sum_gradients(p for p in (*vlm.model.parameters(), *objective.trained()) if p.requires_grad)
    parts = processes.everyone(terms)
    total = {key: sum(part.get(key, 0.0) for part in parts) for key in parts[0]}
    return total, {key: gradient.cpu() for key, gradient in learned.gradients(vlm, objective).items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = step(Path(sys.argv[1]), sys.argv[2])
    if processes.is_first():
        torch.save(found, Path(sys.argv[1]) / "together.pt")
    processes.wait()
