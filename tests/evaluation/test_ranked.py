from __future__ import annotations

import numpy as np
import pytest

from fgvr_kit.evaluation.protocols import Question
from fgvr_kit.evaluation.ranked import IMPOSSIBLE, is_in_top, predictions_of
from fgvr_kit.types import Image

MANY = tuple(f"class {n}" for n in range(40))


def question(truth: str, options: tuple[str, ...], number: int = 0) -> Question:
    return Question(Image(number, "x.png", truth, "test", "0" * 64), options, "")


def numbered(names: tuple[str, ...]) -> dict[str, int]:
    return {name: n for n, name in enumerate(names)}


def test_few_options_are_stored_as_they_were_shown() -> None:
    scores = np.array([[3.0, 1.0, 2.0, 0.0]])
    (one,) = predictions_of([question("b", ("d", "b", "c"))], scores, numbered(("a", "b", "c", "d")))
    assert (one.options, one.predicted, one.truth) == (("d", "b", "c"), "c", "b")
    expected = np.log(np.exp([0.0, 1, 2]) / np.exp([0.0, 1, 2]).sum())
    assert one.scores == pytest.approx(expected, abs=1e-6)


def test_of_many_options_the_likeliest_are_kept_and_the_truth() -> None:
    scores = -np.arange(40.0)[None, :]
    far, near = predictions_of(
        [question("class 30", MANY), question("class 3", MANY, 1)], scores.repeat(2, 0), numbered(MANY)
    )
    assert far.options == (*MANY[:5], "class 30")
    assert far.scores[5] == pytest.approx(IMPOSSIBLE)
    assert near.options == MANY[:5]
    assert (is_in_top(far), is_in_top(near), is_in_top(near, 3)) == (False, True, False)


def test_questions_of_different_options_keep_their_order() -> None:
    asked = [question("a", ("a", "b")), question("b", ("b", "c"), 1), question("a", ("a", "b"), 2)]
    found = predictions_of(asked, np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]), numbered(("a", "b", "c")))
    assert [p.image_id for p in found] == [0, 1, 2]
    assert [p.predicted for p in found] == ["a", "c", "b"]
