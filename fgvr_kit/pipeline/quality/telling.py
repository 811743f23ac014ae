"""What an attribute tells of the class: pure functions over arrays. Nothing is judged on what it was learned from.

An attribute's words are taken for independent given the class (naive Bayes), and the class of each image is judged by
the images of other groups: photographs of one scene share words that have nothing to do with the class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

N_FOLDS = 10
N_SHUFFLES = 199
PRIOR = 2.0
"""Weight of what a word's frequency is in all classes, in images: a word seen once proves little."""
UNDECIDED = 0.1
"""Log-likelihood by which one of two classes must lead: less than that are rounding and folds of unequal size."""
SHARPNESS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0)
"""How far scores are believed; words are not independent, so that naive Bayes is too sure."""
_AT_ONCE = 4_096
_MANY_CELLS = 50_000_000

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """scores: (N, C) log-likelihood of each image's words in each class, but for a constant.

    pairs: for each pair of classes, of its images in order, 1 where the right one of the two leads, 0 where the wrong
    one, 0.5 where the answer says nothing about it.
    """

    scores: NDArray[np.floating]
    pairs: Mapping[Pair, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Balanced:
    """Balanced accuracy on two classes and its one-sided lower bound; 0.5 is chance."""

    accuracy: float
    low: float


def folds_of(groups: NDArray[np.intp], classes: NDArray[np.intp], n: int = N_FOLDS) -> NDArray[np.intp]:
    """The fold of each image (N,). Groups stay whole; the largest come first, each to the fold that has least of its
    class: a class that a fold has more of is rarer in the others, and would be guessed there less than by chance."""
    sizes = np.bincount(groups)
    first = np.zeros(len(sizes), dtype=np.intp)
    first[groups[::-1]] = classes[::-1]
    filled = np.zeros((int(classes.max()) + 1, min(n, len(sizes))))
    total = np.zeros(filled.shape[1])
    fold_of = np.zeros(len(sizes), dtype=np.intp)
    for group in np.argsort(-sizes, kind="stable"):
        own = filled[first[group]]
        fold = fold_of[group] = int(np.argmin(own + total / (1 + total.sum())))
        own[fold] += sizes[group]
        total[fold] += sizes[group]
    return fold_of[groups]


def held_out(
    words: csr_matrix,
    classes: NDArray[np.intp],
    folds: NDArray[np.intp],
    n_classes: int,
    pairs: Sequence[Pair] = (),
) -> HeldOut:
    """Score the images of each fold by those of the others.

    words: (N, W) ones and zeros.  classes, folds: (N,).  Words of an answer that no other fold knows say nothing, nor
    do words that are missing from it.
    """
    from scipy.sparse import csr_matrix as sparse

    n = len(classes)
    one_hot = sparse((np.ones(n, np.float32), (np.arange(n), classes)), shape=(n, n_classes))
    scores = np.zeros((n, n_classes), np.float16 if n * n_classes > _MANY_CELLS else np.float32)
    for fold in np.unique(folds):
        others = folds != fold
        weights = _weights(words[others], one_hot[others])  # (W, C)
        members = np.flatnonzero(~others)
        for start in range(0, len(members), _AT_ONCE):
            rows = members[start : start + _AT_ONCE]
            scores[rows] = words[rows] @ weights
    return HeldOut(scores, {pair: _leads(scores, classes, pair) for pair in pairs})


def _weights(words: csr_matrix, one_hot: csr_matrix) -> NDArray[np.float32]:
    """(W, C) log of how much likelier a word is in a class than anywhere."""
    counts = (words.T @ one_hot).toarray()
    n_of_class = np.asarray(one_hot.sum(axis=0)).ravel()
    anywhere = (counts.sum(axis=1, keepdims=True) + 0.5) / (words.shape[0] + 1)
    found: NDArray[np.float32] = np.log((counts + PRIOR * anywhere) / ((n_of_class + PRIOR) * anywhere))
    found[counts.sum(axis=1) == 0] = 0
    return found


def _leads(scores: NDArray[np.floating], classes: NDArray[np.intp], pair: Pair) -> NDArray[np.float64]:
    first, second = pair
    rows = np.flatnonzero(np.isin(classes, pair))
    lead = (scores[rows, first] - scores[rows, second]) * np.where(classes[rows] == first, 1, -1)
    found: NDArray[np.float64] = np.where(np.abs(lead) < UNDECIDED, 0.5, lead > 0)
    return found


def information(scores: NDArray[np.floating], classes: NDArray[np.intp]) -> float | None:
    """Mutual information of the answer and the class, as a share (0..1) of what can be known.

    1 - cross-entropy on held-out images / log C, every class weighing alike. What was learned from some images is
    judged on others, so that many different answers bring nothing by themselves: the figure is a lower bound, and not
    inflated by their number. None where there is nothing to know: one class.
    """
    n_classes = len(np.unique(classes))
    if n_classes < 2:
        return None
    weights = 1 / (np.bincount(classes, minlength=scores.shape[1])[classes] * n_classes)
    likely = max(float(_log_likely(scores, classes, sharpness) @ weights) for sharpness in SHARPNESS)
    return max(0.0, 1 + likely / float(np.log(n_classes)))


def _log_likely(
    scores: NDArray[np.floating], classes: NDArray[np.intp], sharpness: float
) -> NDArray[np.float64]:
    """(N,) log-probability of each image's class."""
    found = np.empty(len(classes))
    for start in range(0, len(classes), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        some = sharpness * scores[rows].astype(np.float32)
        some -= some.max(axis=1, keepdims=True)
        own = np.take_along_axis(some, classes[rows, None], axis=1)[:, 0]
        found[rows] = own - np.log(np.exp(some).sum(axis=1))
    return found


def chance_of(
    words: csr_matrix, classes: NDArray[np.intp], groups: NDArray[np.intp], *, n_shuffles: int = N_SHUFFLES
) -> float:
    """The p-value of words going with classes: the share of shufflings in which they go together as well.

    Measured by the sum of squares between classes of the words that images have (PERMANOVA, Anderson 2001). Groups
    are shuffled whole, because images of a group are not independent.
    """
    from scipy.sparse import csr_matrix as sparse

    order = np.argsort(groups, kind="stable")
    words, truth, ranks = words[order], classes[order], groups[order]
    n, sizes = len(truth), np.bincount(truth)
    ones, columns = np.ones(n, np.float32), np.arange(n)

    def between(labels: NDArray[np.intp]) -> float:
        counts = sparse((ones, (labels, columns)), shape=(len(sizes), n)) @ words  # (C, W)
        return float((counts.power(2).sum(axis=1).A1 / np.maximum(1, sizes)).sum())

    found = between(truth)
    draw = np.random.default_rng(0)
    n_as_well = 0
    for _ in range(n_shuffles):
        shuffled = np.argsort(draw.permutation(int(ranks.max()) + 1)[ranks], kind="stable")
        shuffled = np.roll(shuffled, draw.integers(n))  # where there are few groups
        n_as_well += between(truth[shuffled]) >= found * (1 - 1e-6)
    return (1 + n_as_well) / (1 + n_shuffles)


def balanced(
    right: NDArray[np.float64], is_first: NDArray[np.bool_], groups: NDArray[np.intp], *, n_tests: int = 1
) -> Balanced | None:
    """Balanced accuracy on the images of two classes, with a lower bound at 95 % that holds for n_tests at once.

    right: as in Guesses, is_first: whether the image is of the first class, groups: (n,). The variance counts groups as
    units, and is never below that of single images with two right and two wrong ones added (Agresti and Coull 1998).
    None where a class has no image.
    """
    from scipy.stats import norm

    sides = [is_first, ~is_first]
    if not all(side.any() for side in sides):
        return None
    recalls = [float(right[side].mean()) for side in sides]
    variance = sum(_variance(right[side], groups[side]) for side in sides) / 4
    accuracy = sum(recalls) / 2
    return Balanced(accuracy, float(accuracy - norm.ppf(1 - 0.05 / n_tests) * np.sqrt(variance)))


def _variance(right: NDArray[np.float64], groups: NDArray[np.intp]) -> float:
    """Of a mean."""
    n = len(right)
    by_group = np.bincount(np.unique(groups, return_inverse=True)[1], weights=right - right.mean())
    p = (right.sum() + 2) / (n + 4)
    return max(float((by_group**2).sum()) / n**2, float(p * (1 - p) / (n + 4)))
