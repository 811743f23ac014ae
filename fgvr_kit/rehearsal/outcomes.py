"""Two outcomes on the same images: their difference with its interval, and what it says in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fgvr_kit.evaluation.metrics import Z95, paired_interval
from fgvr_kit.pipeline.quality.words import UNSEEN, Words


@dataclass(frozen=True, slots=True)
class Measure:
    """a, b: means over the images.  difference: b - a, with its 95 % interval.  b_wins, a_wins: images on which one is
    better."""

    name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    a_wins: int
    b_wins: int

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def measure_of_right(name: str, a: Sequence[bool], b: Sequence[bool]) -> Measure:
    """Of right and wrong; the interval is that of `eval` (Agresti and Min 2005)."""
    difference, low, high = paired_interval(a, b)
    return _measure(name, [float(x) for x in a], [float(x) for x in b], difference, low, high)


def measure(name: str, a: Sequence[float], b: Sequence[float]) -> Measure:
    """Of figures in 0..1 (or -1..1). The interval is that of paired proportions (Agresti and Min 2005) with squares in
    place of counts: it does not shrink to nothing where the two are alike."""
    n = len(a)
    differences = [y - x for x, y in zip(a, b, strict=True)]
    total, squares = sum(differences), sum(d * d for d in differences)
    centre, error = total / (n + 2), math.sqrt(squares + 1 - total**2 / (n + 2)) / (n + 2)
    low, high = centre - Z95 * error, centre + Z95 * error
    return _measure(name, a, b, total / n, min(low, total / n), max(high, total / n))


def _measure(
    name: str, a: Sequence[float], b: Sequence[float], difference: float, low: float, high: float
) -> Measure:
    n = len(a)
    pairs = list(zip(a, b, strict=True))
    return Measure(
        name, sum(a) / n, sum(b) / n, difference, max(-1.0, low), min(1.0, high),
        sum(x > y + 1e-9 for x, y in pairs), sum(y > x + 1e-9 for x, y in pairs),
    )  # fmt: skip


def decide(measures: Sequence[Measure], a: str, b: str, n: int) -> str:
    """The first measure decides; the others are told where they differ."""
    first, *others = measures
    if first.is_shown:
        better, worse = (b, a) if first.difference > 0 else (a, b)
        said = f"{better} is better than {worse}: {first.name}, {_points(first)}"
    else:
        most = max(abs(first.low), abs(first.high))
        said = (
            f"no difference that {n} images can show in: {first.name} ({_points(first)});"
            f" one of up to {100 * most:.0f} points may be there"
        )
    beside = [
        f"{b if one.difference > 0 else a} has the better share of {one.name} ({_points(one)})"
        if one.name.startswith(("usable", "visible"))
        else f"{b if one.difference > 0 else a} is better in: {one.name} ({_points(one)})"
        for one in others
        if one.is_shown
    ]
    return ". Beside that, ".join([said, *beside][:2]) + "".join(f"; {one}" for one in beside[1:])


def _points(one: Measure) -> str:
    low, high = (one.low, one.high) if one.difference >= 0 else (-one.high, -one.low)
    return f"by {100 * abs(one.difference):.1f} points, 95 % interval {100 * low:.1f} to {100 * high:.1f}"


def nearest_and_apart(
    answers: Sequence[Mapping[str, Words | None]], classes: Sequence[str]
) -> tuple[list[bool], list[float]]:
    """For each image: whether the image with the most alike answers is of its class, and how much more alike it is to
    its own class than to the others, on the mean.

    Alike: words in common, rare ones counting more (Jaccard weighted by inverse document frequency). An image that has
    nothing in common with any other is wrong. Of equally alike ones, the first in a fixed order counts.
    """
    alike = _alikeness(answers)
    names = np.array(classes)
    same = names[:, None] == names[None, :]
    others = ~np.eye(len(names), dtype=bool)
    hidden = np.where(others, alike, -1.0)
    nearest = hidden.argmax(axis=1)
    is_found = hidden.max(axis=1) > 0
    right = [bool(names[j] == names[i] and is_found[i]) for i, j in enumerate(nearest)]
    return right, [
        _mean(alike[i], same[i] & others[i]) - _mean(alike[i], ~same[i]) for i in range(len(names))
    ]


def _mean(row: np.ndarray, where: np.ndarray) -> float:
    return float(row[where].mean()) if where.any() else 0.0


def _alikeness(answers: Sequence[Mapping[str, Words | None]]) -> np.ndarray:
    """(N, N) weighted Jaccard; what is not visible is no word."""
    said = [
        {(name, word) for name, words in one.items() if words and words != UNSEEN for word in words}
        for one in answers
    ]
    places = {word: place for place, word in enumerate(sorted(set().union(*said)))}
    table = np.zeros((len(said), max(1, len(places))))
    for row, words in enumerate(said):
        table[row, [places[word] for word in words]] = 1
    rarity = np.log((1 + len(said)) / (1 + table.sum(axis=0))) + 1e-3
    common = (table * rarity) @ table.T
    total = table @ rarity
    union = total[:, None] + total[None, :] - common
    found: np.ndarray = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return found
