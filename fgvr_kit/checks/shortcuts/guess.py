"""How well traces guess the class of images that were not shown: folds, a forest, and an honest interval."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit.types import ScannedImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Numbers = NDArray[np.intp]

MOST_IMAGES = 5_000
"""Images that the forests see; more would change a share by about a point and cost minutes."""
MOST_CLASSES = 100
"""Classes among them: fifty images of each say more than five of each of a thousand."""
GIVEN_AWAY = 0.5
"""A class is given away when its name is guessed that much more often for its own images than for others."""

_FOLDS, _TREES = 5, 30
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Sample:
    """The images that are looked at.

    labels: (N,) numbers into classes.  groups: (N,) numbers; a group is one piece of evidence.  forms: how
    classes are written in file names.  n_left_out: classes with fewer than two groups, which cannot be tested.
    """

    images: list[ScannedImage]
    labels: Numbers
    groups: Numbers
    classes: list[str]
    forms: Mapping[str, set[str]]
    n_left_out: int

    @classmethod
    def of(cls, images: Sequence[ScannedImage], forms: Mapping[str, set[str]]) -> Sample:
        """At most MOST_IMAGES of at most MOST_CLASSES, chosen by hash; every group before any a second time."""
        per_class: dict[str, list[tuple[int, ScannedImage]]] = defaultdict(list)
        n_seen: Counter[tuple[str, str]] = Counter()
        for image in sorted(images, key=lambda image: _hash(image.path)):
            if image.file_facts and image.pixel_facts:
                key = image.class_name, group_of(image)
                per_class[image.class_name].append((n_seen[key], image))
                n_seen[key] += 1
        n_groups = Counter(name for name, _ in n_seen)
        classes = sorted(sorted((name for name in n_groups if n_groups[name] > 1), key=_hash)[:MOST_CLASSES])
        fits = sum(len(per_class[name]) for name in classes) <= MOST_IMAGES
        most = MOST_IMAGES if fits else MOST_IMAGES // len(classes)
        chosen: list[ScannedImage] = []
        for name in classes:
            in_order = sorted(per_class[name], key=lambda entry: entry[0])  # stable: by hash within a round
            chosen += [image for _, image in in_order[:most]]
        number = {name: n for n, name in enumerate(classes)}
        return cls(
            chosen,
            np.array([number[image.class_name] for image in chosen], dtype=np.intp),
            np.unique([group_of(image) for image in chosen], return_inverse=True)[1],
            classes,
            forms,
            sum(n < 2 for n in n_groups.values()),
        )


def group_of(image: ScannedImage) -> str:
    """Key of the images that are no independent evidence of each other."""
    return image.group or image.sha256


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def folds(labels: Numbers, groups: Numbers) -> list[tuple[Numbers, Numbers]]:
    """(train, test) numbers of five folds, fewer where no class has five groups: stratified by label, no group on
    both sides, always the same."""
    from sklearn.model_selection import StratifiedGroupKFold

    in_class = np.unique(np.stack([labels, groups]), axis=1)[0]
    n_folds = min(_FOLDS, int(np.bincount(in_class).max()))
    cutter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class may have fewer groups than there are folds
        return list(cutter.split(labels, labels, groups))


def guessed(traces: Floats, sample: Sample, pieces: Sequence[tuple[Numbers, Numbers]]) -> Numbers:
    """(N,) the class that a forest grown on the other folds names for each image.  traces: (N, F)."""
    from sklearn.ensemble import ExtraTreesClassifier

    named = np.zeros(len(traces), dtype=np.intp)
    for train, test in pieces:
        forest = ExtraTreesClassifier(
            _TREES, min_samples_leaf=2, class_weight="balanced", random_state=0, n_jobs=1
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # many classes of few images each
            named[test] = forest.fit(traces[train], sample.labels[train]).predict(traces[test])
    return named


@dataclass(frozen=True, slots=True)
class Guess:
    """Balanced accuracy with its 95 % interval; the images of a group count as one.

    recall: (K,) share of right guesses of each class.  given_away: (K,) which classes stand out on their own.
    """

    accuracy: float
    low: float
    high: float
    recall: Floats
    given_away: NDArray[np.bool_]

    @classmethod
    def of(cls, named: Numbers, sample: Sample, n_folds: int) -> Guess:
        """Of the guesses (N,) of so many folds.

        The interval is the exact one for as many independent guesses as the groups amount to (Korn and Graubard
        1998), fewer because forests of different folds share most of their images (Nadeau and Bengio 2003). It
        is honest for few images, also where all guesses are right.
        """
        n_classes, right = len(sample.classes), named == sample.labels
        in_class, group = np.unique(np.stack([sample.labels, sample.groups]), axis=1, return_inverse=True)
        shares = np.bincount(group, right) / np.bincount(group)  # (P,) of each class and group
        n_groups = np.bincount(in_class[0], minlength=n_classes)  # (K,)
        recall = np.bincount(in_class[0], shares, n_classes) / n_groups  # (K,)
        shared = 1 + n_folds / (n_folds - 1)
        low, high = exact_interval(recall.mean(), n_classes**2 / (1 / n_groups).sum() / shared)
        n_own, n_right = np.bincount(sample.labels), np.bincount(sample.labels, right)
        elsewhere = (np.bincount(named, minlength=n_classes) - n_right) / (len(named) - n_own)  # (K,)
        sure = 1 - (1 - _CONFIDENCE) / n_classes  # Bonferroni: one of many classes stands out by chance
        given_away = exact_interval(recall, n_groups, sure)[0] - elsewhere > GIVEN_AWAY
        return cls(float(recall.mean()), float(low), float(high), recall, given_away)

    def figures(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in ("accuracy", "low", "high")}


def exact_interval(share: Any, n: Any, confidence: float = _CONFIDENCE) -> tuple[Floats, Floats]:
    """(low, high) of a share of n independent cases (Clopper and Pearson 1934); n need not be whole."""
    from scipy.stats import beta

    tail, hits, misses = (1 - confidence) / 2, share * n, n - share * n
    tiny = 1e-9  # beta has no quantiles at 0
    low = np.where(hits > tiny, beta.ppf(tail, np.maximum(hits, tiny), misses + 1), 0.0)
    high = np.where(misses > tiny, beta.ppf(1 - tail, hits + 1, np.maximum(misses, tiny)), 1.0)
    return low, high
