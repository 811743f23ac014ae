from __future__ import annotations

import pytest

from fgvr_kit.checks.base import Belief, counted
from fgvr_kit.types import Finding

PROBLEM, WARNING = Finding("conflict", "problem", "x"), Finding("small-class", "warning", "x")
NOTE = Finding("stray", "note", "x")


def test_problems_speak_against_a_dataset_whatever_fails_the_check() -> None:
    belief = Belief.of([PROBLEM, PROBLEM, WARNING, NOTE], [])
    assert belief == Belief({"conflict": 2}, {"small-class": 1})


def test_what_the_user_calls_a_failure_speaks_against_it_too_and_is_told_once() -> None:
    assert Belief.of([WARNING, NOTE], ["small-class", "stray"]) == Belief({"small-class": 1, "stray": 1}, {})


@pytest.mark.parametrize(
    ("n", "told"),
    [(0, "no near copy"), (1, "1 near copy"), (2, "2 near copies"), (1234, "1,234 near copies")],
)
def test_a_number_stands_with_its_noun(n: int, told: str) -> None:
    assert counted(n, "near copy", "near copies") == told
