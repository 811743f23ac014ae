"""Which images are the same picture, or nearly: resized, re-encoded, brighter, cut a little, shot twice.

Three sieves, each finer and dearer: perceptual hashes of all pairs (exact, in blocks, no table of all pairs),
thumbs of the pairs that are left, and the fine structure of the pictures themselves. The last one is what tells
two copies from two photographs of alike things on one background; thresholds were set on seedlings-messy
(7 known near copies: 0.84 and more) and euro-coins (different coins: 0.76 and less).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageFilter
from PIL.Image import Image, Resampling

from fgvr_kit.dataset.facts import thumbs
from fgvr_kit.dataset.groups import Groups
from fgvr_kit.errors import ImageError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import PixelFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DISTANCE = 10
"""Bits of 64 in which the perceptual hashes of two near-duplicates differ at most."""
MIN_THUMB_MATCH = 0.7
"""Least correlation of their thumbs: only spares opening pictures that are plainly different."""
MIN_MATCH = 0.8
"""Least correlation of their fine structure."""

_ROWS, _COLUMNS = 128, 16_384  # 2 M comparisons at once: 16 MB, near the cache
_SIDE = 128  # pixels of the fine structure
_BLUR = 3  # what is coarser than this many of them is taken away
_CUTS = (0.0, 0.02, 0.03, 0.04, 0.05, 0.08, 0.1)  # shares cut off each side of one of the two


@dataclass(frozen=True, slots=True)
class Pair:
    """Two near-duplicates, by their numbers; first < second.  match: correlation of their fine structure, 0..1."""

    first: int
    second: int
    match: float


def near_duplicates(
    facts: Sequence[PixelFacts],
    open_number: Callable[[int], Image],
    *,
    joined: Iterable[tuple[int, int]] = (),
    is_new: NDArray[np.bool_] | None = None,
    progress: Progress = SILENT,
) -> list[Pair]:
    """Pairs of images that are nearly the same picture; enough of them to connect all that belong together.

    open_number: gives the picture of a number, when its fine structure must be looked at.  joined: pairs that
    are known already.  is_new: (N,); only pairs with at least one new image are looked for.  Two images that
    other pairs connect are not compared again, so that N frames of one film cost N comparisons and not N².
    """
    found: list[Pair] = []
    groups = Groups(len(facts))
    for first, second in joined:
        groups.join(first, second)
    fine = lru_cache(maxsize=128)(lambda n: _Fine.of(open_number(n)))  # half a megabyte each
    for first, second in candidates(facts, is_new=is_new, progress=progress):
        if groups.root(first) == groups.root(second):
            continue
        try:
            match = fine(first).match(fine(second))
        except ImageError:  # gone since it was read: `check` and the next `init` will say so
            continue
        if match >= MIN_MATCH:
            found.append(Pair(first, second, match))
            groups.join(first, second)
    return found


def candidates(
    facts: Sequence[PixelFacts], *, is_new: NDArray[np.bool_] | None = None, progress: Progress = SILENT
) -> Iterator[tuple[int, int]]:
    """Pairs (first < second) whose hashes and thumbs are alike. N²/2 comparisons, N memory."""
    if not facts:
        return
    hashes = np.array([f.phash for f in facts], dtype=np.uint64)  # (N,)
    small = _centred(thumbs([f.thumb for f in facts]))  # (N, 768)
    rows = np.arange(len(hashes)) if is_new is None else np.flatnonzero(is_new)
    with progress.task("comparing pictures", len(rows)) as task:
        for start in range(0, len(rows), _ROWS):
            block = rows[start : start + _ROWS]
            for first, second in _alike(hashes, block, is_new):
                keep = np.einsum("ij,ij->i", small[first], small[second], dtype=np.float32) >= MIN_THUMB_MATCH
                yield from zip(first[keep].tolist(), second[keep].tolist(), strict=True)
            task.advance(len(block))


def _alike(
    hashes: NDArray[np.uint64], block: NDArray[np.intp], is_new: NDArray[np.bool_] | None
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """(first, second) numbers of the pairs of a block of rows with all columns, each pair once, in pieces."""
    begin = int(block[0]) if is_new is None else 0
    for start in range(begin, len(hashes), _COLUMNS):
        distances = np.bitwise_count(hashes[block, None] ^ hashes[None, start : start + _COLUMNS])
        row, column = np.nonzero(distances <= MAX_DISTANCE)
        here, there = block[row], column + start
        # An old column stands for the pair (new, old); a pair of two new ones is met twice, and kept once.
        once = here < there if is_new is None else (here < there) | ~is_new[there]
        here, there = here[once], there[once]
        first, second = np.minimum(here, there), np.maximum(here, there)
        for piece in range(0, len(first), _COLUMNS):
            yield first[piece : piece + _COLUMNS], second[piece : piece + _COLUMNS]


def _centred(small: NDArray[np.uint8]) -> NDArray[np.float16]:
    """(N, 768): each thumb without its mean, of length 1. Half precision: 150 MB for 100,000 images."""
    out = np.empty((len(small), small[0].size), dtype=np.float16)
    for start in range(0, len(small), _COLUMNS):
        piece = small[start : start + _COLUMNS].reshape(-1, out.shape[1]).astype(np.float32)
        piece -= piece.mean(axis=1, keepdims=True)
        out[start : start + _COLUMNS] = piece / (np.linalg.norm(piece, axis=1, keepdims=True) + 1e-6)
    return out


@dataclass(frozen=True, slots=True)
class _Fine:
    """Fourier transforms of an image's fine structure (unit length), whole and with its margins cut off."""

    spectra: tuple[NDArray[np.complex64], ...]

    @classmethod
    def of(cls, image: Image) -> _Fine:
        return cls(tuple(_spectrum(image, cut) for cut in _CUTS))

    def match(self, other: _Fine) -> float:
        """Highest correlation over shifts, with either of the two cut: 1 for the same picture."""
        pairs = [*product(self.spectra, other.spectra[:1]), *product(self.spectra[:1], other.spectra[1:])]
        shape = (_SIDE, _SIDE)
        return min(1.0, max(float(np.fft.irfft2(a * np.conj(b), s=shape).max()) for a, b in pairs))


def _spectrum(image: Image, cut: float) -> NDArray[np.complex64]:
    width, height = image.size
    box = (width * cut, height * cut, width * (1 - cut), height * (1 - cut))
    grey = image.convert("L").resize((_SIDE, _SIDE), Resampling.BOX, box=box)
    coarse = np.asarray(grey.filter(ImageFilter.GaussianBlur(_BLUR)), dtype=np.float32)
    fine = np.asarray(grey, dtype=np.float32) - coarse
    fine -= fine.mean()
    return np.fft.rfft2(fine / (np.linalg.norm(fine) + 1e-6)).astype(np.complex64)
