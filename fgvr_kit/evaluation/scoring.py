"""Predictions of one exam as rows of table `scores`.

accuracy            share of right answers
macro accuracy      mean of the recalls of the classes that have test images
top-5 accuracy      the truth is among the five likeliest of more than five
macro F1            mean of the F1 of the classes that have test images
recall, precision, F1                   of one class (Score.class_name); precision where it was ever named
difference from X, p of difference from X   on the same questions; p by flipping signs of groups

All but p have a 95 % interval by drawing groups (evaluation/resampling.py); p stands in value, low and high.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit.evaluation.contenders import Role
from fgvr_kit.evaluation.exams import Exam
from fgvr_kit.evaluation.ranked import MOST_KEPT, is_in_top
from fgvr_kit.evaluation.resampling import Interval, Resamples, Shares, difference, sign_flip_p
from fgvr_kit.evaluation.rules import CHANCE
from fgvr_kit.types import Prediction, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.intp]

DIFFERENCE, P_VALUE = "difference from ", "p of difference from "


@dataclass(frozen=True, eq=False)
class Row:
    """What one line of the table rests on: S draws of a contender (1, but for shots), each with N answers.

    named: (S, N) numbers of the classes that were answered.  is_in_top: (S, N), None where all would be.
    """

    label: str
    role: Role
    note: str | None
    named: Numbers
    is_in_top: NDArray[np.bool_] | None = None


class Marked:
    """An exam with what is right, and the draws of groups that all its rows share.

    groups: image id -> key.  names: classes; a number is a place among them.
    """

    def __init__(
        self, exam: Exam, names: Sequence[str], groups: Mapping[int, str], *, n_resamples: int, seed: int
    ) -> None:
        self.exam, self.names = exam, tuple(names)
        self._number = {name: n for n, name in enumerate(self.names)}
        images = [question.image for question in exam.questions]
        self.truth = np.array([self._number[image.class_name] for image in images], dtype=np.intp)  # (N,)
        keys = np.unique([groups[image.id] for image in images], return_inverse=True)[1]
        self.resamples = Resamples(keys.astype(np.intp), n=n_resamples, seed=seed)

    @property
    def n(self) -> int:
        return len(self.truth)

    @cached_property
    def n_of_class(self) -> Numbers:
        """(C,) test images of each class."""
        return np.bincount(self.truth, minlength=len(self.names))

    def row(self, label: str, role: Role, note: str | None, draws: Sequence[Mapping[int, Prediction]]) -> Row:
        """draws: for each, image id -> prediction."""
        ids = [question.image.id for question in self.exam.questions]
        named = np.array([[self._number[one[i].predicted] for i in ids] for one in draws], dtype=np.intp)
        most = max(len(question.options) for question in self.exam.questions)
        has_top = most > MOST_KEPT and role != "rule"  # whatever a rule names second means nothing
        top = np.array([[is_in_top(one[i]) for i in ids] for one in draws]) if has_top else None
        return Row(label, role, note, named, top)

    # --- one row ----------------------------------------------------------------------------------------------

    def scores(self, row: Row) -> list[Score]:
        right = row.named == self.truth
        found = [self._whole(row, "accuracy", right)]
        if row.is_in_top is not None:
            found.append(self._whole(row, f"top-{MOST_KEPT} accuracy", row.is_in_top))
        recall = self._of_classes(right, self._true(row), of=[self._true(row)])
        precision = self._of_classes(right, self._true(row), of=[row.named])
        f1 = self._of_classes(2 * right, self._true(row), of=[self._true(row), row.named])
        has_images = self.n_of_class > 0
        found.append(self._mean(row, "macro accuracy", recall, has_images))
        found.append(self._mean(row, "macro F1", f1, has_images))
        n_named = np.bincount(row.named.ravel(), minlength=len(self.names)) / len(row.named)
        found += self._each(row, "recall", recall, self.n_of_class)
        found += self._each(row, "precision", precision, n_named)
        found += self._each(row, "F1", f1, self.n_of_class)
        return found

    def accuracy(self, row: Row) -> Interval:
        score = self._whole(row, "accuracy", row.named == self.truth)
        return Interval(score.value, score.low, score.high)

    def _true(self, row: Row) -> Numbers:
        return np.broadcast_to(self.truth, row.named.shape)

    def _whole(self, row: Row, metric: str, right: NDArray[np.bool_]) -> Score:
        nowhere = np.zeros(right.shape, dtype=np.intp)
        tables = self.resamples.tables
        shares = Shares.of(
            self.resamples, tables(nowhere, right.astype(float), 1), tables(nowhere, np.ones(right.shape), 1)
        )
        return self._score(row, metric, self.n, shares)

    def _of_classes(self, hits: NDArray[Any], columns: Numbers, *, of: Sequence[Numbers]) -> Shares:
        """One share for each class: the hits in its column, of all answers that the columns of `of` give it."""
        tables, n = self.resamples.tables, len(self.names)
        whole = sum(tables(one, np.ones(one.shape), n) for one in of)
        return Shares.of(self.resamples, tables(columns, hits.astype(float), n), whole)

    def _mean(self, row: Row, metric: str, shares: Shares, which: NDArray[np.bool_]) -> Score:
        return self._score(row, metric, self.n, shares.mean(which))

    def _score(self, row: Row, metric: str, n: int, shares: Shares) -> Score:
        low, high = shares.intervals()
        return Score(
            row.label, self.exam.protocol, metric, n, *_ends(shares.values[0], low[0], high[0]), row.note
        )

    def _each(self, row: Row, metric: str, shares: Shares, n: NDArray[Any]) -> list[Score]:
        low, high = shares.intervals()
        return [
            Score(
                row.label, self.exam.protocol, metric, max(1, round(float(n[c]))),
                *_ends(shares.values[c], low[c], high[c]), row.note, name,
            )
            for c, name in enumerate(self.names)
            if n[c]
        ]  # fmt: skip

    # --- two rows ---------------------------------------------------------------------------------------------

    def gain(self, row: Row, over: Row) -> Interval:
        """accuracy(row) - accuracy(over) on the same questions."""
        return difference(self.resamples, self._right(row) - self._right(over))

    def compared(self, row: Row, over: Row) -> list[Score]:
        gains = self._right(row) - self._right(over)
        interval = difference(self.resamples, gains)
        n_draws = len(row.named) * len(over.named)
        by_group = np.bincount(self.resamples.groups, np.round(gains * n_draws))
        p = sign_flip_p(by_group.round().astype(int))
        note = "; ".join(dict.fromkeys(note for note in (over.note, row.note) if note)) or None
        shared = (row.label, self.exam.protocol)
        return [
            Score(
                *shared, DIFFERENCE + over.label, self.n, interval.value, interval.low, interval.high, note
            ),
            Score(*shared, P_VALUE + over.label, self.n, p, p, p, note),
        ]

    def _right(self, row: Row) -> NDArray[np.float64]:
        """(N,) share of the draws that are right."""
        return np.asarray((row.named == self.truth).mean(axis=0))

    def chance(self) -> Score:
        value = self.exam.chance
        return Score(CHANCE, self.exam.protocol, "accuracy", self.n, value, value, value)


def _ends(value: float, low: float, high: float) -> tuple[float, float, float]:
    """A rounding error must not leave a value outside of its interval."""
    return float(value), float(min(low, value)), float(max(high, value))


def accuracies(scores: Sequence[Score]) -> list[Score]:
    """The rows that tell how often a contender is right about everything."""
    return [score for score in scores if score.metric == "accuracy" and not score.class_name]
