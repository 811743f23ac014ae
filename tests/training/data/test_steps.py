from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.training.data.steps import Micro, Steps, StepSampler, load_steps
from fgvr_kit.types import ImageRef


def steps(n: int, *, batch: int, micro_batch: int) -> Steps:
    def collate(rows: Any) -> dict[str, Any]:
        return {"batch": list(rows)}

    return Steps(list(range(n)), collate, batch=batch, micro_batch=micro_batch, seed=3)


def told(step: list[Micro]) -> list[list[int]]:
    return [micro.batch or [] for micro in step]


@pytest.mark.parametrize(
    ("n", "batch", "micro_batch", "size"),
    [(23, 8, 3, 1), (23, 8, 3, 2), (9, 4, 1, 3), (5, 4, 4, 2), (3, 64, 2, 4)],
)
def test_a_step_has_the_same_examples_for_any_number_of_processes(
    n: int, batch: int, micro_batch: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [told(step) for step in _epoch(n, batch, micro_batch, 1, 0, monkeypatch)]
    shares = [
        [told(step) for step in _epoch(n, batch, micro_batch, size, rank, monkeypatch)]
        for rank in range(size)
    ]
    assert len(alone) == -(-n // batch)
    assert sorted(i for step in alone for micro in step for i in micro) == list(range(n))
    for k, step in enumerate(alone):
        mine = [share[k] for share in shares]
        assert sorted(i for m in step for i in m) == sorted(i for s in mine for m in s for i in m)
        assert len({len(s) for s in mine}) == 1, "as many micro-batches in every process"
        assert max(len(m) for s in mine for m in s) <= micro_batch


def _epoch(
    n: int, batch: int, micro_batch: int, size: int, rank: int, monkeypatch: pytest.MonkeyPatch
) -> list[list[Micro]]:
    monkeypatch.setenv("WORLD_SIZE", str(size))
    monkeypatch.setenv("RANK", str(rank))
    made = steps(n, batch=batch, micro_batch=micro_batch)
    return list(load_steps(made, len(made), lambda: 0))


def test_micro_batches_of_a_step_differ_by_one_sample_at_most() -> None:
    assert sorted(len(m.batch) for m in steps(9, batch=9, micro_batch=4)[0, 0]) == [3, 3, 3]
    assert sorted(len(m.batch) for m in steps(10, batch=10, micro_batch=4)[0, 0]) == [3, 3, 4]


def test_every_epoch_has_its_own_order_and_always_the_same() -> None:
    made = steps(20, batch=20, micro_batch=20)
    assert told(made[0, 0]) == told(made[0, 0]) != told(made[1, 0])
    epoch = 0
    sampler = StepSampler(2, lambda: epoch)
    assert list(sampler) == [[(0, 0)], [(0, 1)]]
    epoch = 4
    assert list(sampler) == [[(4, 0)], [(4, 1)]]


def test_a_micro_batch_names_its_images() -> None:
    class Row:
        def __init__(self, name: str) -> None:
            self.image = ImageRef(Path(name), "hash")

    made = Steps([Row("a.jpg"), Row("b.jpg")], lambda rows: {"batch": rows}, batch=2, micro_batch=2, seed=0)
    assert sorted(made[0, 0][0].names) == ["a.jpg", "b.jpg"]
