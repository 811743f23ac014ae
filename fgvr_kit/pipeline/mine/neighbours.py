"""Exact nearest classes and images, in blocks: memory grows with the images, never with their square.

Vectors are unit rows, in an array or in a file that gives float32 rows by slice and by numbers (embedding.Rows).
Blocks are large enough that nearly all time is spent in matrix products.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.intp]
    Keys = NDArray[np.uint64]

CELLS = 4_000_000
"""Cosines at once: 16 MB."""
_ROWS = 4_096  # anchors at once, at most: more make a product no faster
_FEW = 32  # up to so many best columns are looked for one after the other, more by sorting


class Vectors(Protocol):
    """(N, D) unit rows: an array, or rows of a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Any, /) -> Floats: ...


def blocks(n: int, width: int) -> Iterator[slice]:
    """Slices of n rows, as many at once as a block of this width holds."""
    step = max(1, min(_ROWS, CELLS // max(1, width)))
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows by class.  rows: (M,) sorted by class, then as they came.  starts: (C + 1,) where each class begins."""

    rows: Numbers
    starts: Numbers

    @classmethod
    def of(cls, classes: Numbers, n_classes: int, keep: NDArray[np.bool_] | None = None) -> Grouped:
        """classes: (N,) numbers.  keep: (N,) which rows count; default: all."""
        rows = np.argsort(classes, kind="stable")
        rows = rows if keep is None else rows[keep[rows]]
        counts = np.bincount(classes[rows], minlength=n_classes)
        return cls(rows, np.concatenate([[0], np.cumsum(counts)]))

    @property
    def sizes(self) -> Numbers:
        """(C,)"""
        return np.diff(self.starts)

    def __getitem__(self, number: int) -> Numbers:
        return self.rows[self.starts[number] : self.starts[number + 1]]

    def segments(self, block: slice) -> Iterator[tuple[int, slice]]:
        """(class, its part of the block) for a slice of `rows`."""
        first = int(np.searchsorted(self.starts, block.start, side="right")) - 1
        for number in range(first, len(self.starts) - 1):
            start, stop = int(self.starts[number]), int(self.starts[number + 1])
            if start >= block.stop:
                return
            if stop > start:
                yield (
                    number,
                    slice(max(start, block.start) - block.start, min(stop, block.stop) - block.start),
                )


def top(scores: Floats, k: int) -> tuple[Numbers, Floats]:
    """(B, k) columns of the largest scores of each row, largest first, and these; -1 where only -inf is left.

    Of equal scores the later column comes first: so does the end of a stable ascending sort, which is how FOCI
    reads its ranking. scores: (B, C).
    """
    rows, last = np.arange(len(scores)), scores.shape[1] - 1
    k = min(k, last + 1)
    if k > _FEW:
        chosen = last - np.argsort(-scores[:, ::-1], axis=1, kind="stable")[:, :k]
        values = np.take_along_axis(scores, chosen, axis=1)
    else:
        flipped = np.ascontiguousarray(scores[:, ::-1])  # argmax is many times slower backwards
        chosen, values = (
            np.empty((len(scores), k), dtype=np.intp),
            np.empty((len(scores), k), dtype=np.float32),
        )
        for slot in range(k):
            best = flipped.argmax(axis=1)
            chosen[:, slot], values[:, slot] = last - best, flipped[rows, best]
            flipped[rows, best] = -np.inf
    return np.where(np.isneginf(values), -1, chosen), values


def mean_of(vectors: Vectors) -> Floats:
    """(D,) mean of all rows."""
    n, width = vectors.shape
    total = np.zeros(width, dtype=np.float64)
    for block in blocks(n, width):
        total += vectors[block].sum(axis=0, dtype=np.float64)
    return np.asarray(total / max(1, n), dtype=np.float32)


def centres(vectors: Vectors, groups: Grouped) -> Floats:
    """(C, D) mean of the rows of each class, made unit; zeros where a class has none."""
    found = np.zeros((len(groups.sizes), vectors.shape[1]), dtype=np.float32)
    for number in np.flatnonzero(groups.sizes).tolist():
        members = groups[number]
        total = np.zeros(vectors.shape[1], dtype=np.float64)
        for block in blocks(len(members), vectors.shape[1]):
            total += vectors[members[block]].sum(axis=0, dtype=np.float64)
        found[number] = total / max(float(np.linalg.norm(total)), 1e-12)
    return found


def nearest_members(vectors: Vectors, anchors: Numbers, groups: Grouped) -> Floats:
    """(C, A) cosine of each anchor with the most similar row of each class; -inf where a class has none."""
    own = vectors[anchors].T  # (D, A)
    best = np.full((len(groups.sizes), len(anchors)), -np.inf, dtype=np.float32)
    step = max(1, CELLS // max(1, len(anchors)))
    cosines = np.empty((min(step, len(groups.rows)), len(anchors)), dtype=np.float32)
    for start in range(0, len(groups.rows), step):
        block = slice(start, min(len(groups.rows), start + step))
        part = np.matmul(vectors[groups.rows[block]], own, out=cosines[: block.stop - start])  # (M, A)
        for number, segment in groups.segments(block):
            np.maximum(best[number], part[segment].max(axis=0), out=best[number])
    return best


# --- what is drawn --------------------------------------------------------------------------------------------


def keys_of(texts: Iterable[str]) -> Keys:
    """(N,) 64 bits that stand for each text."""
    digests = (hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8) for text in texts)
    return np.array([int.from_bytes(one.digest(), "big") for one in digests], dtype=np.uint64)


def drawn(seed: int, rows: Keys, columns: Keys) -> Floats:
    """(B, M) numbers in 0..1, each of its own (seed, row, column): the column of the largest is a fair draw.

    Another column changes only the draws that it wins (rendezvous hashing; Thaler and Ravishankar 1998), so that
    adding images changes as little as possible. Mixed as by splitmix64 (Steele, Lea and Flood 2014).
    """
    salt = keys_of([f"seed {seed}"])[0]
    mixed = _mixed(rows ^ salt)[:, None] + _mixed(columns + salt)[None, :]
    return np.asarray((_mixed(mixed) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24))


def _mixed(numbers: Keys) -> Keys:
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)))
