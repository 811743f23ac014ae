from __future__ import annotations

import numpy as np
import pytest

from fgvr_kit.pipeline.quality.repeats import repeats
from fgvr_kit.pipeline.quality.words import UNSEEN, Words, words_of

N = 300


def yes_no(are: np.ndarray) -> dict[int, Words]:
    return {n: words_of("yes" if one else "no") for n, one in enumerate(are)}


def seen(values: list[str | None]) -> dict[int, Words]:
    """None: not visible."""
    return {n: UNSEEN if value is None else words_of(value) for n, value in enumerate(values)}


def test_two_rare_things_are_not_the_same_for_both_being_rare() -> None:
    draw = np.random.default_rng(0)
    spots, stripes = (yes_no(draw.random(N) < 0.05) for _ in range(2))
    assert sum(spots[n] == stripes[n] for n in range(N)) > 0.85 * N
    assert repeats({"spots": spots, "stripes": stripes}, N) == {}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_same_yes_and_no_is_the_same_however_rare(share: float) -> None:
    are = np.random.default_rng(0).random(N) < share
    assert repeats({"spots": yes_no(are), "dots": yes_no(are)}, N) == {"dots": "spots"}


def test_two_that_are_rarely_visible_are_not_the_same_for_not_being_seen() -> None:
    draw = np.random.default_rng(0)
    hues = [[f"hue{draw.integers(3)}" if n % 15 == 0 else None for n in range(N)] for _ in range(2)]
    first, second = hues
    assert repeats({"eye": seen(first), "claw": seen(second)}, N) == {}
    assert repeats({"eye": seen(first), "iris": seen(first)}, N) == {"iris": "eye"}


def test_two_that_never_vary_say_nothing_of_each_other() -> None:
    six = {n: words_of("six") for n in range(N)}
    assert repeats({"legs": six, "feet": six}, N) == {}


def test_a_few_images_do_not_make_two_the_same() -> None:
    few = dict(list(yes_no(np.arange(N) % 2 == 0).items())[:8])
    assert repeats({"spots": few, "dots": few}, N) == {}


def test_all_repeat_the_first_of_them() -> None:
    are = yes_no(np.arange(N) % 3 == 0)
    assert repeats({"a": are, "b": are, "c": are}, N) == {"b": "a", "c": "a"}
