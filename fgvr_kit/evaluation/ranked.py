"""Scores of many classes as stored predictions: the few that were most likely, and the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit.evaluation.protocols import LETTERS, Question
from fgvr_kit.types import Prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

MOST_KEPT = 5
"""Options that are stored of a question with many. The truth is one more where it is not among them."""

IMPOSSIBLE = -27.6
"""Log-probability (of 1e-12) of a class that cannot be named; JSON knows no infinity."""


def predictions_of(
    questions: Sequence[Question], scores: Floats, number: Mapping[str, int]
) -> list[Prediction]:
    """The predictions of a classifier that is restricted to the options of each question.

    scores: (B, C), a row for each question, any that softmax turns into probabilities.  number: name -> column.
    Of equally likely options the first one shown is the answer.
    A question with no more options than there are letters is stored as it was shown. Of one with more, the
    MOST_KEPT most likely are, most likely first, and behind them the truth where it is not among them: its
    rank is its place when that is one of the first MOST_KEPT, and worse than that if not.
    """
    found: list[Prediction] = []
    rows = zip(questions, scores, strict=True)
    for options, alike in groupby(rows, key=lambda row: row[0].options):
        asked, block = zip(*alike, strict=True)
        columns = [number[name] for name in options]
        found += _predictions(asked, options, np.stack(block)[:, columns])
    return found


def _predictions(questions: Sequence[Question], options: tuple[str, ...], scores: Floats) -> list[Prediction]:
    """scores: (B, K), a column for each option."""
    logs = np.asarray(scores, dtype=np.float64)
    logs = logs - logs.max(axis=1, keepdims=True)
    logs = np.maximum(logs - np.log(np.exp(logs).sum(axis=1, keepdims=True)), IMPOSSIBLE)
    best = scores.argmax(axis=1)
    is_whole = len(options) <= len(LETTERS)
    kept = np.tile(np.arange(len(options)), (len(logs), 1)) if is_whole else _most_likely(logs)
    values = np.take_along_axis(logs, kept, axis=1).round(6).tolist()
    found = []
    for row, (question, places) in enumerate(zip(questions, kept.tolist(), strict=True)):
        names, truth = [options[place] for place in places], question.image.class_name
        if truth not in names:
            names.append(truth)
            values[row].append(round(float(logs[row, options.index(truth)]), 6))
        found.append(
            Prediction(question.image.id, tuple(names), options[best[row]], truth, tuple(values[row]))
        )
    return found


def _most_likely(logs: Floats) -> NDArray[np.intp]:
    """(B, MOST_KEPT) columns, most likely first; the first one is the answer."""
    n = min(MOST_KEPT, logs.shape[1])
    return np.argsort(-logs, axis=1, kind="stable")[:, :n]


def is_in_top(prediction: Prediction, n: int = MOST_KEPT) -> bool:
    """Whether the truth is among the n most likely options, n up to MOST_KEPT."""
    order = sorted(range(len(prediction.scores)), key=lambda place: -prediction.scores[place])[:n]
    return prediction.truth in [prediction.options[place] for place in order]
