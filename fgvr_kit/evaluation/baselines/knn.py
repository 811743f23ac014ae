"""k-nearest neighbours: the k most similar training images vote, the more similar the louder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit.evaluation.baselines.material import Labelled
from fgvr_kit.evaluation.ranked import IMPOSSIBLE
from fgvr_kit.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgvr_kit.evaluation.baselines.classifier import Answering

    Floats = NDArray[np.floating[Any]]
    Numbers = NDArray[np.intp]

TEMPERATURE = 0.07
"""A neighbour's vote is exp(cosine / TEMPERATURE), as in Wu et al. (CVPR 2018) and DINO."""

CANDIDATES = (1, 3, 5, 10, 20, 50, 100)

MOST_ASKED = 5_000
"""Images on which k is chosen: its accuracy is known to 1.4 points then, and a million more cost hours."""

_WHISPER = 1e-6
"""Share of the votes that goes to the most similar image of each class, so that classes without a neighbour among
the k are still ranked: a question may offer only such."""

_BLOCK = 16_000_000  # cosines at once: 64 MB


class Knn:
    name = "k-nearest neighbours"

    @property
    def identity(self) -> dict[str, Any]:
        return {"knn": 1, "temperature": TEMPERATURE, "candidates": CANDIDATES, "asked": MOST_ASKED}

    def choose(self, vectors: Floats, labelled: Labelled, progress: Progress) -> dict[str, Any]:
        """The k of the highest accuracy where no image sees its own group; the smallest of equally good ones.

        An image whose class has no training image outside its group cannot be right, and is not asked.
        """
        learnt = np.flatnonzero(labelled.is_train)
        asked = _answerable(labelled)
        asked = np.sort(np.random.default_rng(0).permutation(asked)[:MOST_ASKED])
        usable = [k for k in CANDIDATES if k < len(learnt)]
        if not len(asked) or not usable:
            return {"k": 1, "asked": 0}
        right = np.zeros(len(usable))
        with progress.task("choosing k", len(asked)) as task:
            for block in _blocks(asked, len(learnt)):
                cosines = vectors[block] @ vectors[learnt].T  # (B, N)
                cosines[labelled.groups[block][:, None] == labelled.groups[learnt][None, :]] = -np.inf
                near, cosine = _nearest(cosines, usable[-1])
                voters = labelled.labels[learnt][near]  # (B, K)
                for n, k in enumerate(usable):
                    votes = _votes(voters[:, :k], cosine[:, :k], labelled.n_classes)
                    right[n] += (votes.argmax(axis=1) == labelled.labels[block]).sum()
                task.advance(len(block))
        best = int(right.argmax())
        return {"k": usable[best], "asked": len(asked), "accuracy": round(float(right[best] / len(asked)), 4)}

    def fit(self, vectors: Floats, labels: Numbers, n_classes: int, chosen: dict[str, Any]) -> Answering:
        """Exact search; memory does not grow with the product of both numbers of images."""
        order = np.argsort(labels, kind="stable")
        vectors, labels = np.ascontiguousarray(vectors[order]), labels[order]
        present, starts = np.unique(labels, return_index=True)
        k = min(int(chosen["k"]), len(labels))

        def scores_of(asked: Floats) -> Floats:
            return np.concatenate(
                [
                    _log_votes(asked[rows] @ vectors.T, labels, present, starts, k, n_classes)
                    for rows in _blocks(np.arange(len(asked)), len(labels))
                ]
            )

        return scores_of


def _log_votes(
    cosines: Floats, labels: Numbers, present: Numbers, starts: Numbers, k: int, n_classes: int
) -> Floats:
    """(B, C) log-probabilities.  cosines: (B, N), images of one class side by side from `starts` on."""
    near, cosine = _nearest(cosines, k)
    votes = _votes(labels[near], cosine, n_classes)
    closest = np.full((len(cosines), n_classes), -np.inf)
    closest[:, present] = np.maximum.reduceat(cosines, starts, axis=1)
    whisper = np.exp((closest - closest.max(axis=1, keepdims=True)) / TEMPERATURE)
    shares = votes / votes.sum(axis=1, keepdims=True) * (1 - _WHISPER)
    shares += _WHISPER * whisper / whisper.sum(axis=1, keepdims=True)
    return np.asarray(np.log(np.maximum(shares, np.exp(IMPOSSIBLE))))


def _nearest(cosines: Floats, k: int) -> tuple[Numbers, Floats]:
    """((B, k) columns, most similar first, their cosines); of equally similar ones the first columns.

    The k-th largest of the maxima of many pieces is a bound that k cosines reach: what is sorted are the few that do.
    """
    starts = np.arange(0, cosines.shape[1], max(1, cosines.shape[1] // (8 * k)))
    maxima = np.maximum.reduceat(cosines, starts, axis=1)
    bounds = np.partition(maxima, len(starts) - k, axis=1)[:, len(starts) - k]
    near = np.empty((len(cosines), k), dtype=np.intp)
    for row, (values, bound) in enumerate(zip(cosines, bounds, strict=True)):
        some = np.flatnonzero(values >= bound)
        near[row] = some[np.argsort(-values[some], kind="stable")[:k]]
    return near, np.take_along_axis(cosines, near, axis=1)


def _votes(voters: Numbers, cosines: Floats, n_classes: int) -> Floats:
    """(B, C) weights. The loudest vote is 1: no two rows are compared. voters: (B, k) labels."""
    weights = np.exp((cosines - cosines[:, :1]).astype(np.float64) / TEMPERATURE)
    weights[~np.isfinite(cosines)] = 0  # of its own group: there were no others
    cells = np.arange(len(voters))[:, None] * n_classes + voters
    votes = np.bincount(cells.ravel(), weights.ravel(), len(voters) * n_classes)
    return np.asarray(votes.reshape(-1, n_classes), dtype=np.float64)


def _answerable(labelled: Labelled) -> Numbers:
    """Rows with a training image of their class outside their group."""
    pairs = np.stack([labelled.labels, labelled.groups], axis=1)
    own, inverse = np.unique(pairs, axis=0, return_inverse=True)
    inside = np.bincount(inverse, labelled.is_train, len(own))[inverse]
    return np.flatnonzero(labelled.sizes[labelled.labels] - inside > 0)


def _blocks(rows: Numbers, n_columns: int) -> list[Numbers]:
    step = max(1, _BLOCK // max(1, n_columns))
    return [rows[start : start + step] for start in range(0, len(rows), step)]
