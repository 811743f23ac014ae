"""Linear probe: logistic regression on CLIP vectors, its penalty chosen by cross-validation over groups."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit.checks.shortcuts.guess import folds
from fgvr_kit.evaluation.baselines.material import Labelled
from fgvr_kit.evaluation.ranked import IMPOSSIBLE
from fgvr_kit.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgvr_kit.evaluation.baselines.classifier import Answering

    Floats = NDArray[np.floating[Any]]
    Numbers = NDArray[np.intp]

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)
"""Values of C, the inverse of the penalty, that are tried; vectors have length 1."""

USUAL = 10.0
"""C where none can be chosen, because no class has images of two groups."""

MOST_FITTED = 10_000
"""Images that the folds are cut from. C is a prior over weights, which does not change with their number."""

_MOST_STEPS = {"choosing": 100, "fitting": 1000}


class Probe:
    name = "linear probe"

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "probe": 1,
            "strengths": STRENGTHS,
            "usual": USUAL,
            "fitted": MOST_FITTED,
            "steps": _MOST_STEPS,
        }

    def choose(self, vectors: Floats, labelled: Labelled, progress: Progress) -> dict[str, Any]:
        """The C of the highest accuracy out of fold; of equally good ones, that of the lowest log loss.

        A fold holds whole groups of training and validation images; what is fitted are the training images of
        the other folds.
        """
        rows = np.sort(np.random.default_rng(0).permutation(len(labelled.labels))[:MOST_FITTED])
        part = labelled.part(rows)
        pieces = _folds(part)
        if not pieces:
            return {"C": USUAL, "folds": 0}
        right, loss, asked = np.zeros(len(STRENGTHS)), np.zeros(len(STRENGTHS)), 0
        with progress.task("choosing the penalty", len(pieces) * len(STRENGTHS)) as task:
            for learnt, held in pieces:
                asked += len(held)
                model = _regression(STRENGTHS[0], _MOST_STEPS["choosing"], warm_start=True)
                for n, strength in enumerate(STRENGTHS):
                    model.set_params(C=strength)
                    _fit(model, vectors[rows[learnt]], part.labels[learnt])
                    scores = _scores(model, vectors[rows[held]], part.n_classes)
                    right[n] += (scores.argmax(axis=1) == part.labels[held]).sum()
                    loss[n] -= scores[np.arange(len(held)), part.labels[held]].sum()
                    task.advance()
        best = min(range(len(STRENGTHS)), key=lambda n: (-right[n], loss[n]))
        return {
            "C": STRENGTHS[best],
            "folds": len(pieces),
            "asked": asked,
            "groups": len(np.unique(part.groups)),
            "accuracy": round(float(right[best] / asked), 4),
        }

    def fit(self, vectors: Floats, labels: Numbers, n_classes: int, chosen: dict[str, Any]) -> Answering:
        """A class without training images is never likely."""
        if len(np.unique(labels)) == 1:
            only = np.full(n_classes, IMPOSSIBLE)
            only[labels[0]] = 0.0
            return lambda asked: np.tile(only, (len(asked), 1))
        model = _regression(float(chosen["C"]), _MOST_STEPS["fitting"])
        _fit(model, vectors, labels)
        return lambda asked: _scores(model, asked, n_classes)


def _folds(part: Labelled) -> Sequence[tuple[Numbers, Numbers]]:
    """(training images of the other folds, all images of the fold), where two classes can be told apart."""
    pairs = np.unique(np.stack([part.labels, part.groups]), axis=1)[0]
    if not len(pairs) or np.bincount(pairs).max() < 2:
        return []
    cut = [(learnt[part.is_train[learnt]], held) for learnt, held in folds(part.labels, part.groups)]
    return [(learnt, held) for learnt, held in cut if len(np.unique(part.labels[learnt])) > 1 and len(held)]


def _regression(strength: float, most_steps: int, **more: Any) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=most_steps, **more)


def _fit(model: Any, vectors: Floats, labels: Numbers) -> None:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly fitted ranks as well
        model.fit(vectors, labels)


def _scores(model: Any, vectors: Floats, n_classes: int) -> Floats:
    """(B, C) log-probabilities, which do not end where probabilities are rounded to 0."""
    from scipy.special import log_softmax

    logits = model.decision_function(vectors)
    logits = (
        logits if logits.ndim == 2 else np.stack([np.zeros_like(logits), logits], axis=1)
    )  # of two classes
    scores = np.full((len(vectors), n_classes), IMPOSSIBLE)
    scores[:, model.classes_] = np.maximum(log_softmax(logits.astype(np.float64), axis=1), IMPOSSIBLE)
    return scores
