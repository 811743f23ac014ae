"""How often the intervals hold the truth, by simulation: groups of one to five images, alike or not."""

from __future__ import annotations

import numpy as np
import pytest

from fgvr_kit.evaluation.resampling import Resamples, Shares, difference

pytestmark = pytest.mark.slow

N = 400


def drawn(
    random: np.random.Generator, n_groups: int, p: float, alike: float
) -> tuple[np.ndarray, np.ndarray]:
    """(right, group) of each image. alike: correlation of right and wrong inside a group."""
    sizes = random.integers(1, 6, n_groups)
    if alike in (0, 1) or p == 1:
        chances = np.full(n_groups, p) if alike < 1 else (random.random(n_groups) < p).astype(float)
    else:
        chances = random.beta(p * (1 - alike) / alike, (1 - p) * (1 - alike) / alike, n_groups)
    groups = np.repeat(np.arange(n_groups), sizes)
    return random.random(len(groups)) < chances[groups], groups


@pytest.mark.parametrize("n_groups", [30, 91, 400])
@pytest.mark.parametrize("p", [0.25, 0.75, 0.95, 1.0])
@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_the_interval_of_an_accuracy_holds_it(n_groups: int, p: float, alike: float) -> None:
    """An interval of no width would hold an accuracy of 1 as well."""
    random, held, width = np.random.default_rng(7), 0, 0.0
    for turn in range(N):
        right, groups = drawn(random, n_groups, p, alike)
        resamples = Resamples(groups, n=400, seed=turn)
        nowhere = np.zeros((1, len(right)), dtype=np.intp)
        hits = resamples.tables(nowhere, right[None].astype(float), 1)
        shares = Shares.of(resamples, hits, resamples.tables(nowhere, np.ones((1, len(right))), 1))
        low, high = shares.intervals()
        held += bool(low[0] - 1e-9 <= p <= high[0] + 1e-9)
        width += float(high[0] - low[0]) / N
    assert held / N >= 0.93
    assert width > 0.01


@pytest.mark.parametrize("n_groups", [30, 91, 400])
@pytest.mark.parametrize(("up", "down"), [(0.02, 0.02), (0.1, 0.05), (0.3, 0.1)])
@pytest.mark.parametrize("alike", [False, True])
def test_the_interval_of_a_difference_holds_it(n_groups: int, up: float, down: float, alike: bool) -> None:
    random, held = np.random.default_rng(7), 0
    for turn in range(N):
        groups = np.repeat(np.arange(n_groups), random.integers(1, 6, n_groups))
        draws = random.random(n_groups)[groups] if alike else random.random(len(groups))
        gains = np.where(draws < up, 1.0, np.where(draws < up + down, -1.0, 0.0))
        found = difference(Resamples(groups, n=400, seed=turn), gains)
        held += found.low - 1e-9 <= up - down <= found.high + 1e-9
    assert held / N >= 0.93
