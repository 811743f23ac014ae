from __future__ import annotations

import numpy as np
import pytest

from fgvr_kit.evaluation.metrics import paired_interval
from fgvr_kit.pipeline.quality.words import words_of
from fgvr_kit.rehearsal.outcomes import decide, measure, measure_of_right, nearest_and_apart


def test_shares_that_are_only_right_or_wrong_have_the_interval_of_proportions() -> None:
    draw = np.random.default_rng(1)
    a, b = draw.random(40) < 0.4, draw.random(40) < 0.7
    found = measure("x", a.astype(float).tolist(), b.astype(float).tolist())
    assert (found.difference, found.low, found.high) == pytest.approx(paired_interval(a.tolist(), b.tolist()))
    assert (found.a_wins, found.b_wins) == (int((a & ~b).sum()), int((b & ~a).sum()))


def test_being_alike_on_few_images_leaves_room_for_a_difference() -> None:
    found = measure("x", [0.5] * 10, [0.5] * 10)
    assert found.difference == 0
    assert found.low < -0.05
    assert found.high > 0.05
    assert not found.is_shown


def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    draw = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        a = draw.random(40) * 0.8
        b = np.clip(a + draw.normal(0.1, 0.2, 40), -1, 1)
        found = measure("x", a.tolist(), b.tolist())
        held += found.low <= 0.1 <= found.high
    assert held >= 0.93 * 400


def test_the_better_one_is_named_only_where_the_images_show_it() -> None:
    clear = measure_of_right("accuracy", [False] * 40, [True] * 40)
    unclear = measure_of_right(
        "accuracy", [False] * 20 + [True] * 20, [True] * 2 + [False] * 18 + [True] * 20
    )
    assert decide([clear], "one", "two", 40).startswith("two is better than one")
    assert decide([measure_of_right("accuracy", [True] * 40, [False] * 40)], "one", "two", 40).startswith(
        "one is"
    )
    assert decide([unclear], "one", "two", 40).startswith("no difference that 40 images can show")
    assert "two has the better share of usable values" in decide(
        [unclear, measure("usable values", [0.2] * 40, [1.0] * 40)], "one", "two", 40
    )


def test_answers_that_go_with_the_class_find_their_neighbour_in_it() -> None:
    classes = ["bee", "wasp"] * 5
    telling = [{"hue": words_of(f"{name} brown"), "legs": words_of("six")} for name in classes]
    right, apart = nearest_and_apart(telling, classes)
    assert right == [True] * 10
    assert min(apart) > 0.5
    same = [{"hue": words_of("brown")} for _ in classes]
    assert nearest_and_apart(same, classes)[1] == pytest.approx([0] * 10)


def test_what_is_not_visible_makes_nothing_alike() -> None:
    answers = [{"hue": words_of("not visible"), "legs": None} for _ in range(4)]
    right, apart = nearest_and_apart(answers, ["bee", "bee", "wasp", "wasp"])
    assert right == [False] * 4
    assert apart == [0] * 4
