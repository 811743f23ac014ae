"""Two processes that train together, for test_processes.py: `python -m tests.training.pair FOLDER`.

Started apart from pytest, whose process may hold threads that do not survive a fork. What each process found lies in
FOLDER/<rank>.pt, and what one process alone found in FOLDER/alone.pt.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import debug_launcher

from fgvr_kit.errors import ModelError
from fgvr_kit.families.base import Vlm
from fgvr_kit.training import processes
from fgvr_kit.training.data.batch import AlignCollator, InstructCollator
from fgvr_kit.training.loop.trainer import StageTrainer
from fgvr_kit.training.objectives.finedefics import Align, instruct
from fgvr_kit.training.schedule import Schedule
from tests.training.learned import align_rows, gradients, instruct_rows, learn, micros, toy

SHARES = ([0, 1, 2, 3, 4, 5], [6, 7])
"""Unequal, as at the end of an epoch."""


def align(**options: Any) -> Align:
    given: dict[str, Any] = {
        "attribute_temperature": 0.07,
        "category_temperature": 0.1,
        "negatives": "shared",
    }
    return Align(**(given | {"ccc": "paper"} | options))


OBJECTIVES = {
    "direct": lambda: align(learned=True),
    "cached": lambda: align(learned=True, negatives="own", ccc="bounded"),
    "bank": lambda: align(negative_gradient=False, bank_steps=2),
}
SIZES = {"direct": ([6], [2]), "cached": ([4, 2], [2, 0]), "bank": ([6], [2])}
"""Of each process's micro-batches."""


def one_step(vlm: Vlm, rows: list[Any]) -> dict[str, Any]:
    """Terms and gradients of one step of each kind, summed over the processes as a trainer does."""
    found = {}
    for name, make in OBJECTIVES.items():
        objective = make()
        sizes = SIZES[name][processes.rank()] if processes.size() > 1 else [8]
        mine = [rows[i] for i in SHARES[processes.rank()]] if processes.size() > 1 else rows
        rounds = micros(vlm, mine, sizes)
        for _ in range(2 if name == "bank" else 1):
            vlm.model.zero_grad()
            terms, _ = learn(vlm, objective, rounds)
        processes.sum_gradients(p for p in (*vlm.model.parameters(), *objective.trained()) if p.requires_grad)
        everyones = processes.everyone(terms)
        total = {k: sum(t.get(k, 0.0) for t in everyones) for k in everyones[0]}
        found[name] = {"terms": total, "gradients": gradients(vlm, objective), "texts": len(objective.bank)}
    return found


def both_stages(rows: list[Any], folder: Path, *, spoil: bool = False) -> dict[str, Any]:
    """Weights and terms after several steps of each stage, by the trainer."""
    vlm = toy()
    steps: list[dict[str, float]] = []
    stages = (
        ("align", align(learned=True), rows, AlignCollator(vlm)),
        ("instruct", instruct, instruct_rows(rows), InstructCollator(vlm)),
    )
    for name, objective, examples, collator in stages[: 1 if spoil else 2]:
        schedule = Schedule(
            batch=5, micro_batch=2, epochs=2, learning_rate=1e-2, warmup=0.0, weight_decay=0.1, seed=1,
            save_steps=2, gradient_checkpointing=True,
        )  # fmt: skip
        trainer = StageTrainer(
            vlm, objective, examples, _spoilt(collator) if spoil else collator, schedule, folder / name,
            lambda _, __, terms: steps.append(terms),
        )  # fmt: skip
        trainer.train_or_resume()
    weights = {n: p.detach().clone() for n, p in vlm.model.named_parameters() if p.requires_grad}
    return {"weights": weights, "steps": steps}


def _spoilt(collator: Any) -> Any:
    def collate(rows: list[Any]) -> dict[str, Any]:
        batch = collator(rows)["batch"]
        if any(row.image.path.name == "3.png" for row in rows):
            batch.inputs["pixel_values"] = batch.inputs["pixel_values"] * float("nan")
        return {"batch": batch}

    return collate


def main(folder: Path, name: str) -> None:
    torch.set_num_threads(1)
    rows = align_rows(folder) if name == "alone" else torch.load(folder / "rows.pt", weights_only=False)
    if name == "alone":
        torch.save(rows, folder / "rows.pt")
    name = name if name == "alone" else str(processes.rank())
    processes.meet(cpu=True)
    found = one_step(toy(), rows) | both_stages(rows, folder / ("alone" if name == "alone" else "pair"))
    if name != "alone":
        try:
            both_stages(rows, folder / "spoilt", spoil=True)
        except ModelError as error:
            found["error"] = (error.code, error.where)
    torch.save(found, folder / f"{name}.pt")


if __name__ == "__main__":
    where = Path(sys.argv[1])
    main(where, "alone")
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # the fork would inherit that it is alone
    debug_launcher(main, (where, "pair"), num_processes=2)
