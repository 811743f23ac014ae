"""Numbers with their uncertainty: pure functions over counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z95 = 1.959963984540054


def wilson_interval(n_correct: int, n: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927), both ends in 0..1. Raises ValueError for n < 1."""
    if n < 1:
        raise ValueError("an interval needs at least one observation")
    p = n_correct / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_interval(first: Sequence[bool], second: Sequence[bool]) -> tuple[float, float, float]:
    """(difference, low, high) of accuracy(second) - accuracy(first) on the same questions, in -1..1.

    95 % interval for paired proportions: Wald's with half an observation added to each of the four cells
    (Agresti and Min 2005). Unlike a bootstrap it does not shrink to nothing when the two answer alike: that
    they do so on n questions leaves room for a difference of about 2 / n. Raises ValueError for unequal or
    empty input.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} answers cannot be paired")
    n = len(first)
    better = sum(b and not a for a, b in zip(first, second, strict=True))
    worse = sum(a and not b for a, b in zip(first, second, strict=True))
    difference = (better - worse) / n
    centre = (better - worse) / (n + 2)
    error = math.sqrt(better + worse + 1 - (better - worse) ** 2 / (n + 2)) / (n + 2)
    low, high = centre - Z95 * error, centre + Z95 * error
    return difference, max(-1.0, min(low, difference)), min(1.0, max(high, difference))
