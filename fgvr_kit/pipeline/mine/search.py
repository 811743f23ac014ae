"""For each anchor its n look-alikes: classes in order of likeness, and one image of each, past the guards.

Where the guards leave nothing of a class, the next class takes its place, exactly: no list of candidates is cut
short. Everything here is numbers; negatives.py gives them their meaning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fgvr_kit.pipeline.mine.guards import OF_CODE, Pictures
from fgvr_kit.pipeline.mine.likeness import Likeness
from fgvr_kit.pipeline.mine.mined import MOST_EXAMPLES, Guard
from fgvr_kit.pipeline.mine.neighbours import Grouped, Vectors, blocks, drawn, top
from fgvr_kit.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgvr_kit.pipeline.mine.neighbours import Floats, Keys, Numbers

_SPARE = 2  # classes that are ranked beyond those wanted, for those that the guards leave nothing of


@dataclass(slots=True)
class Refusals:
    """What the guards passed over.  counts: guard -> how often.  examples: guard -> (cosine or score, anchor,
    class, candidate or -1), the largest at most MOST_EXAMPLES."""

    counts: dict[Guard, int] = field(default_factory=lambda: defaultdict(int))
    examples: dict[Guard, list[tuple[float, int, int, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(
        self, guard: Guard, values: Floats, anchors: Numbers, classes: Numbers, candidates: Numbers
    ) -> None:
        self.counts[guard] += len(values)
        some = np.argsort(-values, kind="stable")[:MOST_EXAMPLES]
        rows = zip(*(part[some].tolist() for part in (values, anchors, classes, candidates)), strict=True)
        known = self.examples[guard]
        known += rows
        known.sort(key=lambda row: (-row[0], row[1:]))
        del known[MOST_EXAMPLES:]


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Classes that are never taken, beside an anchor's own.

    of_class: class -> (classes, why).  of_anchor: anchor -> (class, why).
    """

    of_class: dict[int, list[tuple[int, Guard]]] = field(default_factory=dict)
    of_anchor: dict[int, tuple[int, Guard]] = field(default_factory=dict)

    def among(self, anchors: Numbers, classes: Numbers) -> tuple[Numbers, Numbers, list[Guard]]:
        """(rows, columns, why) of the cells of a block of anchors; classes: (A,) their own."""
        cells: list[tuple[int, int, Guard]] = []
        for number in np.unique(classes).tolist() if self.of_class else ():
            rows = np.flatnonzero(classes == number).tolist()
            cells += [(row, column, why) for column, why in self.of_class.get(number, ()) for row in rows]
        for row, anchor in enumerate(anchors.tolist() if self.of_anchor else ()):
            if anchor in self.of_anchor:
                cells.append((row, *self.of_anchor[anchor]))
        rows_, columns = (np.array([cell[i] for cell in cells], dtype=np.intp) for i in (0, 1))
        return rows_, columns, [cell[2] for cell in cells]


@dataclass(slots=True)
class Found:
    """classes, members: (N, n) numbers, -1 where there are no more.  cosines: (N, n) of anchor and member.

    own, rival: (N,) score of each anchor's own class, and of the best one that it may take.  best: (N,) which.
    """

    classes: Numbers
    members: Numbers
    cosines: Floats
    own: Floats
    rival: Floats
    best: Numbers
    refusals: Refusals

    @classmethod
    def empty(cls, n_anchors: int, n: int) -> Found:
        none = np.full((n_anchors, n), -1, dtype=np.intp)
        zeros = np.zeros(n_anchors, dtype=np.float32)
        return cls(
            none, none.copy(), np.zeros((n_anchors, n), dtype=np.float32), zeros, zeros.copy(),
            np.full(n_anchors, -1, dtype=np.intp), Refusals(),
        )  # fmt: skip

    @property
    def counts(self) -> Numbers:
        """(N,) how many each anchor has."""
        return np.asarray((self.members >= 0).sum(axis=1))


@dataclass(frozen=True, slots=True)
class Search:
    """vectors: (N, D) unit rows.  classes: (N,) numbers.  keys: (N,) of the pixels, where images are drawn with
    `seed`; None: the most similar one is taken."""

    vectors: Vectors
    classes: Numbers
    groups: Grouped
    likeness: Likeness
    pictures: Pictures
    unwanted: Unwanted
    n: int
    seed: int = 0
    keys: Keys | None = None

    def run(self, progress: Progress = SILENT) -> Found:
        """The look-alikes of every row."""
        n_rows, n_classes = len(self.classes), len(self.groups.sizes)
        found = Found.empty(n_rows, self.n)
        ranked = self._compare(min(self.n + _SPARE, n_classes), found, progress)
        short = self._take(np.arange(n_rows), ranked, 0, found, progress)
        if ranked.shape[1] < n_classes:  # the guards have left nothing of many classes
            for block in blocks(len(short), n_classes):
                rows = short[block]
                every = self._ranked(rows, n_classes, found, is_first=False)
                self._take(rows, every, ranked.shape[1], found, SILENT)
        return found

    def rivals(self, progress: Progress = SILENT) -> Found:
        """Of every row only its own class and the best other one; no images."""
        found = Found.empty(len(self.classes), 0)
        self._compare(1, found, progress)
        return found

    def _compare(self, k: int, found: Found, progress: Progress) -> NDArray[np.int32]:
        """(N, k) classes of every row by likeness."""
        n_rows = len(self.classes)
        ranked = np.empty((n_rows, k), dtype=np.int32)
        with progress.task("comparing with classes", n_rows) as task:
            for block in blocks(n_rows, len(self.groups.sizes)):
                rows = np.arange(block.start, block.stop)
                ranked[block] = self._ranked(rows, k, found, is_first=True)
                task.advance(len(rows))
        return ranked

    # --- classes ----------------------------------------------------------------------------------------------

    def _ranked(self, anchors: Numbers, k: int, found: Found, *, is_first: bool) -> Numbers:
        """(A, k) classes by likeness, -1 where there are no more."""
        scores = self.likeness.scores(anchors)
        rows, own = np.arange(len(anchors)), self.classes[anchors]
        found.own[anchors] = scores[rows, own]
        scores[rows, own] = -np.inf
        scores[:, self.groups.sizes == 0] = -np.inf
        at, columns, why = self.unwanted.among(anchors, own)
        values = scores[at, columns]
        scores[at, columns] = -np.inf
        chosen, likenesses = top(scores, k)
        found.best[anchors], found.rival[anchors] = chosen[:, 0], likenesses[:, 0]
        if is_first and len(at):
            floor = likenesses[:, min(self.n, chosen.shape[1]) - 1]
            self._note_classes(found, anchors[at], columns, values, values > floor[at], why)
        return chosen

    @staticmethod
    def _note_classes(
        found: Found,
        anchors: Numbers,
        columns: Numbers,
        values: Floats,
        passed: NDArray[np.bool_],
        why: list[Guard],
    ) -> None:
        for guard in dict.fromkeys(why):
            here = passed & np.array([one == guard for one in why])
            none = np.full(int(here.sum()), -1)
            found.refusals.add(guard, values[here], anchors[here], columns[here], none)

    # --- images -----------------------------------------------------------------------------------------------

    def _take(
        self, anchors: Numbers, ranked: NDArray[np.integer], slot: int, found: Found, progress: Progress
    ) -> Numbers:
        """Fill what is missing from slot on; the anchors that still lack some when ranked has ended."""
        next_slot = np.full(len(anchors), slot, dtype=np.intp)
        has = found.counts[anchors]
        width = ranked.shape[1]
        n_left = int((self.n - has).sum())
        with progress.task("comparing with images", n_left) as task:
            while len(pairs := self._wanted(has, next_slot, ranked)):
                rows, slots = pairs.T
                classes = ranked[rows, slots].astype(np.intp)
                members, cosines = self._members(anchors[rows], classes, found, task.advance)
                _fill(found, anchors[rows], classes, members, cosines)
                np.maximum.at(next_slot, rows, slots + 1)
                has = found.counts[anchors]
        unfinished = (has < self.n) & (next_slot == width) & (ranked[:, -1] >= 0)
        return anchors[unfinished]

    def _wanted(self, has: Numbers, next_slot: Numbers, ranked: NDArray[np.integer]) -> Numbers:
        """(P, 2) pairs of a row and the slots that it still needs, by row."""
        slots = np.arange(ranked.shape[1])[None, :]
        wanted = (slots >= next_slot[:, None]) & (slots < (next_slot + self.n - has)[:, None]) & (ranked >= 0)
        return np.argwhere(wanted)

    def _members(
        self, anchors: Numbers, classes: Numbers, found: Found, advance: Callable[[int], None]
    ) -> tuple[Numbers, Floats]:
        """(P,) image of each class for its anchor (-1: all are guarded), and its cosine."""
        members = np.full(len(anchors), -1, dtype=np.intp)
        cosines = np.zeros(len(anchors), dtype=np.float32)
        by_class = Grouped.of(classes, len(self.groups.sizes))
        for number in np.flatnonzero(by_class.sizes).tolist():
            pairs = by_class[number]
            for block in blocks(len(pairs), max(self.groups.sizes[number], self.vectors.shape[1])):
                some = pairs[block]
                members[some], cosines[some] = self._inside(anchors[some], number, found.refusals)
                advance(len(some))
        return members, cosines

    def _inside(self, anchors: Numbers, number: int, refusals: Refusals) -> tuple[Numbers, Floats]:
        """The image of one class for each of some anchors, and their cosines."""
        members, rows = self.groups[number], np.arange(len(anchors))
        cosines = self.vectors[anchors] @ self.vectors[members].T  # (A, M)
        scores = cosines if self.keys is None else drawn(self.seed, self.keys[anchors], self.keys[members])
        best = scores.argmax(axis=1)
        guarded = self.pictures.of_pairs(anchors, members[best], cosines[rows, best]) > 0
        if guarded.any():
            again = np.flatnonzero(guarded)
            codes = self.pictures.of_all(anchors[again], members, cosines[again])  # (G, M)
            allowed = np.where(codes > 0, -np.inf, scores[again])
            best[again] = allowed.argmax(axis=1)
            passed = np.where((codes > 0) & (scores[again] > allowed.max(axis=1)[:, None]), codes, 0)
            self._note_images(refusals, anchors[again], number, passed, cosines[again])
            best[again[(codes > 0).all(axis=1)]] = -1
        return np.where(best < 0, -1, members[best]), cosines[rows, best]

    def _note_images(
        self, refusals: Refusals, anchors: Numbers, number: int, passed: NDArray[np.integer], cosines: Floats
    ) -> None:
        members = self.groups[number]
        for code, guard in OF_CODE.items():
            at, column = np.nonzero(passed == code)
            if len(at):
                same = np.full(len(at), number)
                refusals.add(guard, cosines[at, column], anchors[at], same, members[column])


def _fill(found: Found, anchors: Numbers, classes: Numbers, members: Numbers, cosines: Floats) -> None:
    """Put what was found behind what each anchor has; pairs stand by anchor, in the order of their classes."""
    kept = members >= 0
    anchors, classes, members, cosines = anchors[kept], classes[kept], members[kept], cosines[kept]
    first = np.searchsorted(anchors, anchors, side="left")
    ranks = found.counts[anchors] + np.arange(len(anchors)) - first
    found.classes[anchors, ranks] = classes
    found.members[anchors, ranks] = members
    found.cosines[anchors, ranks] = cosines
