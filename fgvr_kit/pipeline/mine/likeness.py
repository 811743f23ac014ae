"""How alike an anchor and a class are: by a vector of the class, by its nearest image, or as a draw has it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fgvr_kit.pipeline.mine.guards import Pictures
from fgvr_kit.pipeline.mine.neighbours import Grouped, Vectors, blocks, drawn, nearest_members

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgvr_kit.pipeline.mine.neighbours import Floats, Keys, Numbers


class Likeness(Protocol):
    def scores(self, anchors: Numbers) -> Floats:
        """(A, C) of anchors by number, the largest for the most similar class; the caller may change them."""
        ...


@dataclass(frozen=True)
class ToCentres:
    """Cosine with one vector of a class: of its text, or the mean of its images.  centres: (C, D) unit rows."""

    vectors: Vectors
    centres: Floats

    def scores(self, anchors: Numbers) -> Floats:
        return np.asarray(rows_of(self.vectors, anchors) @ self.centres.T)


@dataclass(frozen=True)
class Draws:
    """No likeness: numbers drawn for each anchor and class.  anchors, classes: (N,), (C,) keys of what is drawn."""

    seed: int
    anchors: Keys
    classes: Keys

    def scores(self, anchors: Numbers) -> Floats:
        return drawn(self.seed, self.anchors[anchors], self.classes)


@dataclass(frozen=True)
class ToImages:
    """Cosine with the most similar image of a class that is not guarded; -inf where a class has none.

    candidates: without suspected labels.  classes: (N,) of all anchors.
    """

    vectors: Vectors
    candidates: Grouped
    classes: Numbers
    pictures: Pictures

    def scores(self, anchors: Numbers) -> Floats:
        best = nearest_members(self.vectors, anchors, self.candidates)  # (C, A)
        doubted = self._doubted(best, anchors)
        for number in np.flatnonzero(doubted.any(axis=1)).tolist():
            members, columns = self.candidates[number], np.flatnonzero(doubted[number])
            for block in blocks(len(columns), max(len(members), self.vectors.shape[1])):
                some = columns[block]
                cosines = self.vectors[anchors[some]] @ self.vectors[members].T  # (A, M)
                cosines[self.pictures.of_all(anchors[some], members, cosines) > 0] = -np.inf
                best[number, some] = cosines.max(axis=1)
        return np.ascontiguousarray(best.T)

    def _doubted(self, best: Floats, anchors: Numbers) -> NDArray[np.bool_]:
        """(C, A) where the most similar image may be guarded; everything else is right as it is."""
        away, along = self._least
        doubted = self.pictures.may_be_near(away[:, None], along[:, None], anchors, best)
        for column, copy in enumerate(self.pictures.copies[anchors].tolist()):
            if copy in self._copied:
                doubted[self._copied[copy], column] = True
        doubted[self.classes[anchors], np.arange(len(anchors))] = False  # never asked for
        return doubted & (self.candidates.sizes > 0)[:, None]

    @cached_property
    def _least(self) -> tuple[Floats, Floats]:
        """(C,) each: of the images of each class the least length without the mean, and least product with it."""
        found = np.zeros((2, len(self.candidates.sizes)), dtype=np.float32)
        for number in np.flatnonzero(self.candidates.sizes).tolist():
            members = self.candidates[number]
            found[:, number] = self.pictures.away[members].min(), self.pictures.along[members].min()
        return found[0], found[1]

    @cached_property
    def _copied(self) -> dict[int, Numbers]:
        """Number of a picture -> the classes that copies of it stand in, where they are several."""
        classes: dict[int, set[int]] = defaultdict(set)
        for copy, number in zip(self.pictures.copies.tolist(), self.classes.tolist(), strict=True):
            classes[copy].add(number)
        return {copy: np.array(sorted(some)) for copy, some in classes.items() if len(some) > 1}


def rows_of(vectors: Vectors, numbers: Numbers) -> Floats:
    """These rows; read as one piece where they follow each other."""
    first = int(numbers[0]) if len(numbers) else 0
    if len(numbers) and int(numbers[-1]) - first + 1 == len(numbers) and (np.diff(numbers) == 1).all():
        return vectors[first : first + len(numbers)]
    return vectors[numbers]
