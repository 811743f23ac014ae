"""Uncertainty of numbers that rest on groups of images: whole groups are drawn, never single images.

Ten photographs of one beetle are one beetle. Which rule to put on top of the bootstrap was found by simulation
(tests/evaluation/test_coverage.py): at few groups, and near 0 and 100 %, where the bootstrap's interval shrinks
to nothing, Wilson's interval for as many independent observations as the bootstrap's variance amounts to is
wider, and the wider end counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit.evaluation.metrics import Z95

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.intp]

_BLOCK = 100  # draws at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Resamples:
    """Draws of groups with replacement, the same for everything that is asked of them.

    groups: (N,) numbers 0..G-1, the group of each question.
    """

    def __init__(self, groups: Numbers, *, n: int, seed: int) -> None:
        self.groups = groups
        self.n_groups = int(groups.max()) + 1
        random = np.random.default_rng(seed)
        size = self.n_groups
        self._times = np.empty((n, size), dtype=np.uint8)  # how often a draw holds a group
        for start in range(0, n, _BLOCK):
            rows = min(_BLOCK, n - start)
            cells = random.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
            times = np.bincount(cells.ravel(), minlength=rows * size).reshape(rows, size)
            self._times[start : start + rows] = np.minimum(times, 255)

    def sums(self, table: Any) -> Floats:
        """(R, M) sums of a table (G, M), dense or sparse, over the groups of each draw."""
        blocks = [
            np.asarray((table.T @ self._times[start : start + _BLOCK].T.astype(np.float64)).T)
            for start in range(0, len(self._times), _BLOCK)
        ]
        return np.concatenate(blocks)

    def tables(self, columns: Numbers, weights: Floats, n_columns: int) -> Any:
        """(G, M) sparse sums of weights (S, N) of the questions, each in its column (S, N), by group."""
        from scipy.sparse import csr_matrix

        rows = np.broadcast_to(self.groups, columns.shape)
        cells = (weights.ravel(), (rows.ravel(), columns.ravel()))
        return csr_matrix(cells, shape=(self.n_groups, n_columns))


@dataclass(frozen=True, slots=True)
class Shares:
    """M shares of something, each with its draws and with what is known of the evidence behind it.

    values: (M,).  draws: (R, M), NaN where a draw holds nothing of it.  groups: (M,) that it rests on.
    independent: (M,) groups of equal size that they amount to (Kish).  most: (M,) observations, if all of them
    were independent.
    """

    values: Floats
    draws: Floats
    groups: Floats
    independent: Floats
    most: Floats

    @classmethod
    def of(cls, resamples: Resamples, hits: Any, of: Any) -> Shares:
        """The shares hits / of, both (G, M) sparse; hits never above of."""
        total = np.asarray(of.sum(axis=0)).ravel().astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.asarray(hits.sum(axis=0)).ravel() / total
            draws = resamples.sums(hits) / resamples.sums(of)
            squares = np.asarray(of.multiply(of).sum(axis=0)).ravel()
            independent = total**2 / squares
        groups = np.asarray((of > 0).sum(axis=0)).ravel().astype(float)
        return cls(values, draws, groups, independent, total)

    def mean(self, which: NDArray[np.bool_]) -> Shares:
        """The mean of some of them, as one share: classes count alike, however many images they have."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a draw may hold none of them
            draws = np.nanmean(self.draws[:, which], axis=1)
        n = int(which.sum())
        independent = n**2 / (1 / self.independent[which]).sum()
        return Shares(
            np.array([self.values[which].mean()]),
            draws[:, None],
            np.array([self.groups[which].sum()]),
            np.array([independent]),
            np.array([self.most[which].sum()]),
        )

    def intervals(self) -> tuple[Floats, Floats]:
        """(low, high), each (M,): the wider of the bootstrap's 95 % and Wilson's for the effective number.

        That number is what a simple random sample of the same variance would have; where the bootstrap has no
        variance (all right, all wrong) it is that of the independent groups. A quantile of t instead of the
        normal's, since the variance is estimated from few groups.
        """
        from scipy.stats import t

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            low, high = np.nanquantile(self.draws, [0.025, 0.975], axis=0)
            variance = np.nanvar(self.draws, axis=0) * self.groups / np.maximum(1, self.groups - 1)
        p = self.values
        is_certain = (p <= 0) | (p >= 1) | ~(variance > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            effective = np.minimum(p * (1 - p) / variance, self.most)
        effective = np.where(is_certain, self.independent, effective)
        quantile = np.where(is_certain, Z95, t.ppf(0.975, np.maximum(1, self.groups - 1)))
        wide_low, wide_high = wilson(p, effective, quantile)
        return np.fmin(low, wide_low), np.fmax(high, wide_high)


def wilson(p: Floats, n: Floats, quantile: Floats | float = Z95) -> tuple[Floats, Floats]:
    """(low, high) of a share p of n observations (Wilson 1927); n need not be whole."""
    square = quantile**2
    centre = (p + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * np.sqrt(np.maximum(0, p * (1 - p) / n + square / (4 * n**2)))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def difference(resamples: Resamples, gains: Floats) -> Interval:
    """The mean of gains (N,), each -1..1, of the questions: how much better one contender is than another.

    The wider of the bootstrap's 95 % and of Agresti and Min's (2005) with groups in place of images: half a
    group added on each side, so that two who never differ leave room for a difference.
    """
    from scipy.stats import t

    n_groups = resamples.n_groups
    sizes = np.bincount(resamples.groups, minlength=n_groups).astype(float)
    by_group = np.bincount(resamples.groups, gains, n_groups)
    value = float(by_group.sum() / sizes.sum())
    sums = resamples.sums(np.stack([by_group, sizes], axis=1))
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    away = ((by_group - value * sizes) ** 2).sum() / sizes.mean() ** 2
    error = np.sqrt(away + 1) / (n_groups + 2) * t.ppf(0.975, max(1, n_groups - 1))
    centre = value * n_groups / (n_groups + 2)
    return Interval(
        value,
        float(max(-1, min(low, centre - error, value))),
        float(min(1, max(high, centre + error, value))),
    )


def sign_flip_p(gains: Sequence[int] | NDArray[Any]) -> float:
    """How often the sum of whole numbers (G,) is as far from 0 when their signs are drawn: a two-sided p-value.

    Exact for any number of groups: equal numbers give a binomial distribution, and those of the different
    numbers are folded into one another.
    """
    from scipy.signal import convolve
    from scipy.stats import binom

    numbers = np.abs(np.asarray(gains, dtype=np.int64))
    numbers = numbers[numbers > 0]
    if not len(numbers):
        return 1.0
    divisor = int(np.gcd.reduce(numbers))
    observed = abs(int(np.sum(np.asarray(gains, dtype=np.int64)))) // divisor
    sizes, times = np.unique(numbers // divisor, return_counts=True)
    chances = np.ones(1)  # of the sum of those that keep their sign, 0 .. total
    for size, n in zip(sizes.tolist(), times.tolist(), strict=True):
        steps = np.zeros(size * n + 1)
        steps[::size] = binom.pmf(np.arange(n + 1), n, 0.5)
        chances = np.maximum(0, convolve(chances, steps))
    total = len(chances) - 1
    sums = np.abs(2 * np.arange(total + 1) - total)
    return float(min(1.0, chances[sums >= observed].sum()))
