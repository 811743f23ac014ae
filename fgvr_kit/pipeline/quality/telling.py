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
LEAST_WAYS = 20
"""Ways to share classes among groups below which no p-value can be 0.05."""
LEAST_GROUPS = 3
"""Groups of a class below which it is not judged whether it is told from another."""
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
) -> float | None:
    """The p-value of words going with classes: the share of shufflings in which they go together as well.

    Measured by the sum of squares between classes of the words that images have (PERMANOVA, Anderson 2001). Images of
    a group are not independent: classes are shuffled among whole groups of like size, and among the images of a group
    that has several classes. None where that can be done in too few ways for any answer to stand out.
    """
    from scipy.sparse import csr_matrix as sparse

    units, strata = _exchangeable(classes, groups)
    n, n_units = len(classes), len(strata)
    truth = np.zeros(n_units, dtype=np.intp)
    truth[units] = classes
    if _n_ways(truth, strata) < LEAST_WAYS:
        return None
    of_unit = sparse((np.ones(n), (units, np.arange(n))), shape=(n_units, n)) @ words  # (U, W)
    sizes, columns = np.bincount(units), np.arange(n_units)

    def between(labels: NDArray[np.intp]) -> float:
        counts = (
            sparse((np.ones(n_units), (labels, columns)), shape=(int(truth.max()) + 1, n_units)) @ of_unit
        )
        n_of_class = np.bincount(labels, weights=sizes, minlength=counts.shape[0])
        return float((counts.power(2).sum(axis=1).A1 / np.maximum(1, n_of_class)).sum())

    found, draw = between(truth), np.random.default_rng(0)
    order, shuffled = np.argsort(strata, kind="stable"), truth.copy()
    n_as_well = 0
    for _ in range(n_shuffles):
        shuffled[order] = truth[np.lexsort((draw.random(n_units), strata))]
        n_as_well += between(shuffled) >= found * (1 - 1e-6)
    return (1 + n_as_well) / (1 + n_shuffles)


def _exchangeable(
    classes: NDArray[np.intp], groups: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(unit of each image (N,), stratum of each unit (U,)): units of a stratum may swap their classes.

    A unit is a group of one class, and may swap with others of up to about twice its size; or an image of a group with
    several classes, and may swap with the others of that group.
    """
    groups = np.unique(groups, return_inverse=True)[1]
    lowest = np.full(int(groups.max()) + 1, classes.max())
    highest = np.zeros_like(lowest)
    np.minimum.at(lowest, groups, classes)
    np.maximum.at(highest, groups, classes)
    is_mixed = (lowest != highest)[groups]
    units = np.unique(np.where(is_mixed, len(lowest) + np.arange(len(groups)), groups), return_inverse=True)[
        1
    ]
    doublings = np.frexp(np.bincount(groups))[1]
    stratum = np.where(is_mixed, int(doublings.max()) + 1 + groups, doublings[groups])
    strata = np.zeros(int(units.max()) + 1, dtype=np.intp)
    strata[units] = stratum
    return units, strata


def _n_ways(classes: NDArray[np.intp], strata: NDArray[np.intp]) -> float:
    """Ways to share the classes among the units that can differ in what they show: classes that have as many units in
    each stratum may swap names. At most 1e9."""
    from scipy.special import gammaln

    places = np.unique(strata, return_inverse=True)[1]
    counts = np.zeros((int(classes.max()) + 1, int(places.max()) + 1))
    np.add.at(counts, (classes, places), 1)
    n_alike = np.unique(counts[counts.any(axis=1)], axis=0, return_counts=True)[1]
    log = gammaln(counts.sum(axis=0) + 1).sum() - gammaln(counts + 1).sum() - gammaln(n_alike + 1).sum()
    return float(np.exp(min(log, np.log(1e9))))


def balanced(
    right: NDArray[np.float64], is_first: NDArray[np.bool_], groups: NDArray[np.intp], *, n_tests: int = 1
) -> Balanced | None:
    """Balanced accuracy on the groups of two classes, with a lower bound at 95 % that holds for n_tests at once.

    right: as in HeldOut.pairs, is_first: whether the image is of the first class, groups: (n,). Groups are the units,
    whatever their size. None where a class has fewer than LEAST_GROUPS of them: nothing can be said of their spread.
    """
    from scipy.stats import t

    sides = [_by_group(right[side], groups[side]) for side in (is_first, ~is_first)]
    fewest = min(map(len, sides))
    if fewest < LEAST_GROUPS:
        return None
    accuracy = float(sum(side.mean() for side in sides)) / 2
    deviation = np.sqrt(sum(map(_variance, sides))) / 2
    return Balanced(accuracy, float(accuracy - t.ppf(1 - 0.05 / n_tests, fewest - 1) * deviation))


def _by_group(right: NDArray[np.float64], groups: NDArray[np.intp]) -> NDArray[np.float64]:
    """(G,) means."""
    places = np.unique(groups, return_inverse=True)[1]
    means: NDArray[np.float64] = np.bincount(places, weights=right) / np.bincount(places)
    return means


def _variance(means: NDArray[np.float64]) -> float:
    """Of the mean of (G,) groups, and never below that of so many yes and no with two of each added (Agresti and Coull
    1998): groups that all agree by chance would have none."""
    n = len(means)
    p = (means.sum() + 2) / (n + 4)
    return max(float(means.var(ddof=1)) / n, float(p * (1 - p) / (n + 4)))
