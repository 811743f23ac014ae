"""Numbers with their uncertainty: pure functions over counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Z95 = 1.959963984540054
N_RESAMPLES = 10_000


def wilson_interval(n_correct: int, n: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927), both ends in 0..1. Raises ValueError for n < 1."""
    if n < 1:
        raise ValueError("an interval needs at least one observation")
    p = n_correct / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_interval(
    first: Sequence[bool], second: Sequence[bool], *, seed: int = 0
) -> tuple[float, float, float]:
    """(difference, low, high) of accuracy(second) - accuracy(first) on the same questions, in -1..1.

    95 % percentile bootstrap over questions, seeded. Resampling whole questions keeps each one's two answers
    together, which is what makes it a paired comparison. Raises ValueError for unequal or empty input.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} answers cannot be paired")
    better = sum(b and not a for a, b in zip(first, second, strict=True))
    worse = sum(a and not b for a, b in zip(first, second, strict=True))
    n = len(first)
    # Only the three kinds of question matter, so a resample is one multinomial draw.
    draws = np.random.default_rng(seed).multinomial(
        n, [better / n, worse / n, 1 - (better + worse) / n], N_RESAMPLES
    )
    differences = (draws[:, 0] - draws[:, 1]) / n
    low, high = np.quantile(differences, [0.025, 0.975])
    return (better - worse) / n, float(low), float(high)
