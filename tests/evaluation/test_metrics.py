from __future__ import annotations

import pytest
from scipy.stats import binomtest

from fgvr_kit.evaluation.metrics import paired_interval, wilson_interval


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (1, 1), (37, 155), (77, 155), (5000, 9999)])
def test_the_wilson_interval_is_scipys(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(k, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_equal_answers_have_no_difference_but_leave_room_for_one() -> None:
    """b = c = 0: 1.96 * sqrt(1) / (n + 2), which is 0.0192 for n = 100."""
    same = [True, False] * 50
    difference, low, high = paired_interval(same, same)
    assert difference == 0.0
    assert (low, high) == pytest.approx((-0.0192, 0.0192), abs=1e-4)


@pytest.mark.parametrize(("n", "better"), [(1, 1), (3, 3), (10, 10), (1000, 1000), (155, 1)])
def test_the_interval_holds_what_was_measured_and_stays_possible(n: int, better: int) -> None:
    difference, low, high = paired_interval([False] * n, [True] * better + [False] * (n - better))
    assert -1 <= low <= difference <= high <= 1
    assert difference == better / n
    mirrored = paired_interval([True] * better + [False] * (n - better), [False] * n)
    assert mirrored == pytest.approx((-difference, -high, -low))


def test_the_paired_interval_ignores_questions_both_get_right() -> None:
    """10 gained, 0 lost of 1000: sd of the mean is sqrt(0.01 * 0.99 / 1000) = 0.00315, so about 0.01 +- 0.006."""
    first = [True] * 500 + [False] * 500
    second = [True] * 510 + [False] * 490
    difference, low, high = paired_interval(first, second)
    assert difference == pytest.approx(0.01)
    assert low == pytest.approx(0.004, abs=0.0015)
    assert high == pytest.approx(0.016, abs=0.0015)


def test_the_interval_has_its_coverage() -> None:
    """Of 300 draws with a true difference of 0.1, about 95 % of the intervals hold it."""
    import numpy as np

    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        first = random.random(200) < 0.5
        second = np.where(first, random.random(200) < 0.8, random.random(200) < 0.4)  # 0.6 in all
        _, low, high = paired_interval(first.tolist(), second.tolist())
        held += low <= 0.1 <= high
    assert 0.91 <= held / 300 <= 0.99


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        wilson_interval(0, 0)
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_interval([True], [])
