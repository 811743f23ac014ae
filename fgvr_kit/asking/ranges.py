"""A figure that is not known exactly: at least, most likely, at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Range(NamedTuple):
    """low <= likely <= high. A tuple: planning makes millions of them."""

    low: float
    likely: float
    high: float

    def plus(self, other: Range) -> Range:
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def times(self, factor: float) -> Range:
        return Range(self.low * factor, self.likely * factor, self.high * factor)

    def at_most(self, cap: float) -> Range:
        return Range(min(self.low, cap), min(self.likely, cap), min(self.high, cap))

    def rounded(self) -> Range:
        return Range(round(self.low), round(self.likely), round(self.high))


def exactly(value: float) -> Range:
    return Range(value, value, value)


NOTHING = Range(0, 0, 0)


@dataclass(slots=True)
class Total:
    """A sum of ranges that is added to in place."""

    low: float = 0.0
    likely: float = 0.0
    high: float = 0.0

    def add(self, part: Range) -> None:
        self.low += part.low
        self.likely += part.likely
        self.high += part.high

    def range(self) -> Range:
        return Range(self.low, self.likely, self.high)


def corners(function: Callable[[float, float], float], one: Range, other: Range) -> Range:
    """function of both at their low, likely and high ends; it must grow with both."""
    return Range(
        function(one.low, other.low), function(one.likely, other.likely), function(one.high, other.high)
    )
