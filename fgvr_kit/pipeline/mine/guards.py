"""What must not become a negative: the anchor once more, its class under another name, and suspected wrong labels.

Two objects on one photograph, or two images of one group that the split keeps together (an observer, a place, a
camera), are guarded only where they are copies of each other: of different classes, they are the best negatives
there are, since all but the class is the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgvr_kit.dataset.groups import Groups
from fgvr_kit.dataset.names import folded
from fgvr_kit.pipeline.leaks import names_of
from fgvr_kit.pipeline.mine.mined import GUARDS, Guard
from fgvr_kit.pipeline.mine.neighbours import Vectors, blocks, mean_of
from fgvr_kit.store import Store
from fgvr_kit.types import Image, ImageClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Codes = NDArray[np.int8]
    Floats = NDArray[np.float32]
    Numbers = NDArray[np.intp]

SAME, COPY, NEAR, SUSPECT = range(1, 5)
"""Codes of the guards that look at images, in the order of GUARDS; 0 is none."""
OF_CODE: dict[int, Guard] = dict(enumerate(GUARDS, start=1))

_EQUAL = 1 - 2e-6  # cosine of two vectors that differ by rounding only
_ROUNDING = 1e-4  # what lies so close to a bound is looked at


# --- images ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is known of N training images beside their classes.

    vectors: (N, D) unit rows.  pixels: (N,) the same number for the same pixels.  copies: (N,) the same number for
    copies of one picture.  suspect: (N,) whose label is likely wrong.  mean: (D,) of all vectors.  away, along:
    (N,) length of each without the mean, product of each with it.  near_copy: least cosine of two images that
    show the same thing, the mean taken away; 1: not looked at.
    """

    vectors: Vectors
    pixels: Numbers
    copies: Numbers
    suspect: Bools
    mean: Floats
    away: Floats
    along: Floats
    near_copy: float

    @classmethod
    def of(
        cls, vectors: Vectors, pixels: Numbers, copies: Numbers, suspect: Bools, near_copy: float
    ) -> Pictures:
        mean = mean_of(vectors)
        away, along = np.empty((2, len(pixels)), dtype=np.float32)
        for block in blocks(len(pixels), len(mean)):
            rows = vectors[block]
            along[block] = rows @ mean
            away[block] = np.linalg.norm(rows - mean, axis=1)
        return cls(vectors, pixels, copies, suspect, mean, away, along, near_copy)

    def of_pairs(self, anchors: Numbers, others: Numbers, cosines: Floats) -> Codes:
        """(P,) codes: why others[i] is no negative of anchors[i]; cosines: (P,) of the two."""
        found = self._known(anchors, others)
        near = np.flatnonzero(
            (found == 0) & self.may_be_near(self.away[others], self.along[others], anchors, cosines)
        )
        if len(near):
            first, second = (self._centred(part[near]) for part in (anchors, others))
            found[near[self._is_near(np.einsum("ij,ij->i", first, second), cosines[near])]] = NEAR
        return self._with_suspects(found, others)

    def of_all(self, anchors: Numbers, others: Numbers, cosines: Floats) -> Codes:
        """(A, M) codes of every pair; cosines: (A, M)."""
        found = self._known(anchors[:, None], others[None, :])
        if self.near_copy < 1:
            centred = self._centred(anchors) @ self._centred(others).T
            found[(found == 0) & self._is_near(centred, cosines)] = NEAR
        return self._with_suspects(found, others[None, :])

    def may_be_near(self, away: Floats, along: Floats, anchors: Numbers, cosines: Floats) -> Bools:
        """Whether images of this length and product (or more of either) could be near copies; arrays that broadcast.

        cos(a - m, b - m) >= t is a.b >= t |a - m| |b - m| + a.m + b.m - m.m: nearly all pairs are settled by that
        without a look at their vectors.
        """
        if self.near_copy == 1:
            return np.zeros(np.broadcast_shapes(away.shape, cosines.shape), dtype=bool)
        bound = (
            self.near_copy * self.away[anchors] * away + self.along[anchors] + along - self.mean @ self.mean
        )
        return np.asarray(cosines >= np.minimum(bound, _EQUAL) - _ROUNDING)

    def _known(self, anchors: Numbers, others: Numbers) -> Codes:
        found = np.where(self.copies[anchors] == self.copies[others], np.int8(COPY), np.int8(0))
        found[self.pixels[anchors] == self.pixels[others]] = SAME
        return found

    def _with_suspects(self, found: Codes, others: Numbers) -> Codes:
        return np.where((found == 0) & self.suspect[others], np.int8(SUSPECT), found)

    def _is_near(self, centred: Floats, plain: Floats) -> Bools:
        """Where all vectors are alike, nothing is left without their mean, and only equality tells."""
        return np.asarray((centred >= self.near_copy) | (plain >= _EQUAL))

    def _centred(self, numbers: Numbers) -> Floats:
        away = self.vectors[numbers] - self.mean
        return np.asarray(away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9))


def copies_of(
    images: Sequence[Image], duplicates: Sequence[tuple[str, str, float]]
) -> tuple[Numbers, Numbers]:
    """(pixels, copies) as in Pictures.  duplicates: pairs of pixel hashes; they connect all that belong together,
    so that two copies need not stand in one pair."""
    number = {sha256: n for n, sha256 in enumerate(dict.fromkeys(image.sha256 for image in images))}
    for one, other, _ in duplicates:  # what connects two training images may be a test image
        number.setdefault(one, len(number))
        number.setdefault(other, len(number))
    groups = Groups(len(number))
    for one, other, _ in duplicates:
        groups.join(number[one], number[other])
    pixels = np.array([number[image.sha256] for image in images], dtype=np.intp)
    roots = np.array([groups.root(n) for n in range(len(number))], dtype=np.intp)
    return pixels, roots[pixels]


@dataclass(frozen=True, slots=True)
class Suspects:
    """Images whose label is likely wrong: path -> the class that they look like, "" where nobody knows it.

    was_checked: whether `check` has looked for them.
    """

    looks_like: Mapping[str, str]
    was_checked: bool

    @classmethod
    def of(cls, store: Store, images: Sequence[Image]) -> Suspects:
        """As the last `check` left them; of images that are not there any more nothing is kept."""
        class_of = {image.path: image.class_name for image in images}
        found = {
            finding.path: class_of.get(finding.other or "", "")
            for finding in store.findings("wrong-label")
            if finding.path in class_of
        }
        told = str(store.walk().get("check", {}).get("summary", {}).get("done", {}).get("labels", ""))
        is_silent = not told or "not looked for" in told.partition(";")[0] or "cannot be told" in told
        return cls(found, bool(found) or not is_silent)


# --- classes --------------------------------------------------------------------------------------------------


def same_or_related(classes: Mapping[str, ImageClass]) -> dict[str, dict[str, Guard]]:
    """Class -> the classes that are no wrong answer for its images: those that share a name with it, and those
    above or below it by column parent, however far. Classes of one parent are as wrong as any."""
    bearers: dict[str, set[str]] = defaultdict(set)
    for name, image_class in classes.items():
        for called in names_of(image_class):
            bearers[folded(called)].add(name)
    found: dict[str, dict[str, Guard]] = defaultdict(dict)
    for name in classes:
        for above in _ancestors(name, classes, bearers):
            found[name][above] = found[above][name] = "parent class"
    for same in bearers.values():
        for name in same:
            found[name] |= dict.fromkeys(same - {name}, "synonym")
    return {name: related for name, related in found.items() if related}


def _ancestors(name: str, classes: Mapping[str, ImageClass], bearers: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        parent = classes[waiting.pop()].parent
        new = bearers.get(folded(parent), set()) - found - {name} if parent else set()
        found |= new
        waiting += new
    return found
