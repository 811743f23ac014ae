from __future__ import annotations

import itertools

import numpy as np
import pytest

from fgvr_kit.evaluation.metrics import wilson_interval
from fgvr_kit.evaluation.resampling import Resamples, Shares, difference, sign_flip_p, wilson


def interval(right: np.ndarray, groups: np.ndarray, n: int = 1000) -> tuple[float, float]:
    resamples = Resamples(groups, n=n, seed=0)
    nowhere = np.zeros((1, len(right)), dtype=np.intp)
    hits = resamples.tables(nowhere, right[None].astype(float), 1)
    low, high = Shares.of(resamples, hits, resamples.tables(nowhere, np.ones((1, len(right))), 1)).intervals()
    return float(low[0]), float(high[0])


@pytest.fixture
def right() -> np.ndarray:
    return np.random.default_rng(0).random(80) < 0.7


def test_copies_of_every_image_in_its_group_do_not_narrow_the_interval(right: np.ndarray) -> None:
    alone = interval(right, np.arange(80))
    assert interval(np.repeat(right, 4), np.repeat(np.arange(80), 4)) == pytest.approx(alone)
    low, high = interval(np.repeat(right, 4), np.arange(320))  # as if they were independent
    assert high - low < 0.6 * (alone[1] - alone[0])


def test_single_images_have_about_the_interval_of_a_binomial(right: np.ndarray) -> None:
    assert interval(right, np.arange(80)) == pytest.approx(wilson_interval(int(right.sum()), 80), abs=0.02)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_right_or_all_wrong_leaves_the_room_that_the_groups_leave(share: float) -> None:
    """Twelve groups of three are twelve observations, not 36 and not certainty."""
    low, high = interval(np.full(36, bool(share)), np.repeat(np.arange(12), 3))
    assert (low, high) == pytest.approx(wilson_interval(int(12 * share), 12))


def test_one_group_is_one_observation() -> None:
    assert interval(np.ones(50, dtype=bool), np.zeros(50, dtype=np.intp)) == pytest.approx(
        wilson_interval(1, 1)
    )


def test_the_wilson_interval_of_whole_numbers_is_the_usual_one() -> None:
    assert [float(x) for x in wilson(np.array(0.3), np.array(50.0))] == pytest.approx(wilson_interval(15, 50))


def test_draws_are_of_groups_and_the_same_for_the_same_seed() -> None:
    groups = np.array([0, 0, 1, 2, 2, 2])
    sizes = np.bincount(groups)[:, None].astype(float)
    sums = Resamples(groups, n=200, seed=1).sums(sizes)[:, 0]
    assert set(sums) <= {float(sum(pick)) for pick in itertools.product((2, 1, 3), repeat=3)}
    assert (sums == Resamples(groups, n=200, seed=1).sums(sizes)[:, 0]).all()
    assert (sums != Resamples(groups, n=200, seed=2).sums(sizes)[:, 0]).any()
    assert sums.mean() == pytest.approx(6, abs=0.3)


def test_contenders_that_never_differ_leave_room_for_a_difference() -> None:
    found = difference(Resamples(np.arange(60), n=500, seed=0), np.zeros(60))
    assert found.value == 0
    assert -0.05 < found.low < 0 < found.high < 0.05


def test_a_difference_in_one_group_only_is_none() -> None:
    gains = np.zeros(60)
    gains[:20] = 1  # one beetle of which twenty pictures were taken
    spread = difference(Resamples(np.arange(60), n=500, seed=0), gains)
    one = difference(Resamples(np.array([0] * 20 + list(range(1, 41))), n=500, seed=0), gains)
    assert spread.value == one.value == pytest.approx(1 / 3)
    assert spread.low > 0.2
    assert one.low <= 0


@pytest.mark.parametrize(
    "gains", [[1], [1, 1, 1, -1, 0, 2], [3, -1, -1], [0, 0], [2, 2, 2, 2, 2], [5, -3, 1, 1, -1, 4, 2, 0, 0]]
)
def test_the_p_value_is_that_of_every_sign_flipped(gains: list[int]) -> None:
    sums = [abs(sum(s * g for s, g in zip(signs, gains, strict=True)))
            for signs in itertools.product((1, -1), repeat=len(gains))]  # fmt: skip
    expected = sum(s >= abs(sum(gains)) for s in sums) / len(sums)
    assert sign_flip_p(gains) == pytest.approx(expected)


def test_the_p_value_of_many_groups_is_mcnemars_exact_one() -> None:
    from scipy.stats import binomtest

    assert sign_flip_p([1] * 700 + [-1] * 620 + [0] * 9000) == pytest.approx(binomtest(700, 1320).pvalue)
