from __future__ import annotations

import threading
from typing import Any

import pytest

from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.batch import AlignCollator, InstructCollator
from fgvr_kit.training.data.examples import align_examples, instruct_examples
from fgvr_kit.training.data.steps import Micro, Steps, load_steps
from fgvr_kit.training.loop.prefetch import Ahead
from fgvr_kit.workspace import Workspace


class Kitchen:
    """A collator that notes what it makes, and in which thread."""

    def __init__(self, spoilt: int = -1) -> None:
        self.made: list[int] = []
        self.threads: set[int] = set()
        self.spoilt = spoilt
        self.bell = threading.Condition()

    def __call__(self, rows: Any) -> dict[str, Any]:
        with self.bell:
            if self.spoilt in rows:
                raise ValueError(f"row {self.spoilt}")
            self.made += rows
            self.threads.add(threading.get_ident())
            self.bell.notify_all()
        return {"batch": list(rows)}

    def has_made(self, n: int) -> bool:
        with self.bell:
            return self.bell.wait_for(lambda: len(self.made) >= n, timeout=10)


def steps(kitchen: Kitchen) -> Steps:
    return Steps(list(range(10)), kitchen, batch=2, micro_batch=1, seed=0)


def told(step: list[Micro]) -> list[int]:
    return [row for micro in step for row in micro.batch]


def test_the_next_step_is_made_before_it_is_asked_for() -> None:
    kitchen = Kitchen()
    ahead = Ahead(steps(kitchen))
    ahead[0, 0]
    assert kitchen.has_made(4)
    assert len(kitchen.made) == 4, "one step ahead, no more"
    assert kitchen.threads.isdisjoint({threading.get_ident()})


def test_steps_made_ahead_are_those_made_in_time_in_any_order() -> None:
    places = [(0, 0), (0, 1), (0, 2), (3, 4), (1, 0), (1, 1), (0, 1), (0, 1)]
    plain, ahead = steps(Kitchen()), Ahead(steps(Kitchen()))
    assert [told(ahead[place]) for place in places] == [told(plain[place]) for place in places]
    epoch = list(load_steps(plain, len(plain), lambda: 2))
    assert [told(ahead[2, n]) for n in range(len(ahead))] == [told(step) for step in epoch]


def test_nothing_is_made_ahead_of_the_next_epoch() -> None:
    """Its examples may look different (InstructRows.set_epoch)."""
    kitchen = Kitchen()
    ahead = Ahead(steps(kitchen))
    ahead[0, 4]
    told(ahead[1, 0])
    assert kitchen.has_made(6)
    assert kitchen.made[2:4] == told(steps(Kitchen())[1, 0])


def test_a_step_that_cannot_be_made_is_told_of_when_it_is_its_turn() -> None:
    order = [row for n in range(5) for row in told(steps(Kitchen())[0, n])]
    ahead = Ahead(steps(Kitchen(spoilt=order[2])))
    ahead[0, 0]
    with pytest.raises(ValueError, match=f"row {order[2]}"):
        ahead[0, 1]
    assert told(ahead[0, 2]) == order[4:6]


def test_collators_read_with_a_processor_of_their_own(workspace: Workspace) -> None:
    """A tokenizer used by two threads at once pads for the one as the other has told it to."""
    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none")
    align, instruct = AlignCollator(vlm), InstructCollator(vlm)
    vlm.processor = None
    assert align(align_examples(workspace).rows[:2])["batch"].labels.shape[0] == 2
    assert instruct(instruct_examples(workspace).rows[:2])["batch"].labels.shape[0] == 2
