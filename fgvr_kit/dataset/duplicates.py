"""Which images are the same picture, or nearly: resized, re-encoded, brighter, cut a little, shot twice, mirrored or
turned by quarters.

Three sieves, each finer and dearer: perceptual hashes of all pairs (exact, in blocks, no table of all pairs),
thumbs of the pairs that are left, and the fine structure of the pictures themselves. The last one is what tells
two copies from two photographs of alike things on one background; thresholds were set on seedlings-messy
(7 known near copies: 0.84 and more) and euro-coins (different coins: 0.76 and less upright, 0.54 and less mirrored
or turned; one coin that was turned between two photographs: 0.79).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, product
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageFilter
from PIL.Image import Image, Resampling

from fgvr_kit.dataset.facts import thumbs
from fgvr_kit.dataset.forms import EXCHANGED, FLIPS, FORMS, UPRIGHT, in_form, signs, steps, thumb_order
from fgvr_kit.dataset.groups import Groups
from fgvr_kit.errors import ImageError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.types import PixelFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.intp]

MAX_DISTANCE = 10
"""Bits of 64 in which the perceptual hashes of two near-duplicates differ at most; of 63, the signs of two forms."""
MIN_THUMB_MATCH = 0.7
"""Least correlation of their thumbs: only spares opening pictures that are plainly different."""
MIN_MATCH = 0.8
"""Least correlation of their fine structure."""

_ROWS, _COLUMNS = 64, 1024  # so many comparisons at once stay in the cache of a core
_PIECE = 16_384  # pairs whose thumbs are compared at once: 25 MB
_SIDE = 128  # pixels of the fine structure
_BLUR = 3  # what is coarser than this many of them is taken away
_CUTS = (0.0, 0.02, 0.03, 0.04, 0.05, 0.08, 0.1)  # shares cut off each side of one of the two


@dataclass(frozen=True, slots=True)
class Pair:
    """Two near-duplicates, by their numbers; first < second.  match: correlation of their fine structure, 0..1.
    form: what must be done to the first to look like the second (see `forms`)."""

    first: int
    second: int
    match: float
    form: int = UPRIGHT


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
    # Half a megabyte each; the upright forms of both are met again and again, the others seldom.
    fine = lru_cache(maxsize=128)(lambda n, form: _Fine.of(in_form(open_number(n), form)))
    upright = ((a, b, UPRIGHT) for a, b in candidates(facts, is_new=is_new, progress=progress))
    for first, second, form in chain(upright, turned_candidates(facts, is_new=is_new, progress=progress)):
        if groups.root(first) == groups.root(second):
            continue
        try:
            match = fine(first, form).match(fine(second, UPRIGHT))
        except ImageError:  # gone since it was read: `check` and the next `init` will say so
            continue
        if match >= MIN_MATCH:
            found.append(Pair(first, second, match, form))
            groups.join(first, second)
    return found


def candidates(
    facts: Sequence[PixelFacts], *, is_new: NDArray[np.bool_] | None = None, progress: Progress = SILENT
) -> Iterator[tuple[int, int]]:
    """Pairs (first < second) whose hashes and thumbs are alike, upright. N²/2 comparisons, N memory."""
    if not facts:
        return
    hashes = np.array([f.phash for f in facts], dtype=np.uint64)  # (N,)
    small = _centred(thumbs([f.thumb for f in facts]))  # (N, 768)
    pairs = _close(hashes, hashes, MAX_DISTANCE, is_new, progress, "comparing pictures")
    for first, second in pairs:
        keep = _matches(small, first, second, UPRIGHT) >= MIN_THUMB_MATCH
        yield from zip(first[keep].tolist(), second[keep].tolist(), strict=True)


def turned_candidates(
    facts: Sequence[PixelFacts], *, is_new: NDArray[np.bool_] | None = None, progress: Progress = SILENT
) -> Iterator[tuple[int, int, int]]:
    """Triples (first < second, form): the first, mirrored or turned so, has the signs and the thumb of the second.

    All seven forms cost two passes over all pairs: what no mirroring changes is compared first, and no pair within
    MAX_DISTANCE is lost by that.
    """
    if not facts:
        return
    of_thumbs = thumbs([f.thumb for f in facts])
    plain, exchanged = signs(of_thumbs)  # (N,) each
    small = _centred(of_thumbs)  # (N, 768)
    for of_first, forms, told in (
        (plain, range(UPRIGHT + 1, EXCHANGED), "comparing mirrored pictures"),
        (exchanged, range(EXCHANGED, len(FORMS)), "comparing turned pictures"),
    ):
        pairs = _close(steps(of_first), steps(plain), 2 * MAX_DISTANCE, is_new, progress, told)
        for first, second in pairs:
            differ = of_first[first] ^ plain[second]
            found = [one for form in forms for one in _in_form(form, differ, first, second, small)]
            for _, *triple in sorted(found):  # of several forms of a pair the likeliest first
                yield triple[0], triple[1], triple[2]


def _in_form(
    form: int, differ: Hashes, first: Numbers, second: Numbers, small: NDArray[np.float16]
) -> Iterator[tuple[float, int, int, int]]:
    """(minus the correlation of the thumbs, first, second, form) of the pairs that are alike in a form.

    differ: (P,) in which signs they differ before they are mirrored.
    """
    near = np.bitwise_count(differ ^ FLIPS[form % len(FLIPS)]) <= MAX_DISTANCE
    if not near.any():
        return
    first, second = first[near], second[near]
    match = _matches(small, first, second, form)
    keep = match >= MIN_THUMB_MATCH
    for one, a, b in zip(match[keep].tolist(), first[keep].tolist(), second[keep].tolist(), strict=True):
        yield -one, a, b, form


def _close(
    of_rows: Hashes,
    of_columns: Hashes,
    most: int,
    is_new: NDArray[np.bool_] | None,
    progress: Progress,
    told: str,
) -> Iterator[tuple[Numbers, Numbers]]:
    """(first, second) numbers of the pairs, each once and first < second, of which the hash of one among of_rows and
    of the other among of_columns differ in few bits; in pieces. is_new decides which of the two is the row."""
    rows = np.arange(len(of_rows)) if is_new is None else np.flatnonzero(is_new)
    with progress.task(told, len(rows)) as task:
        for start in range(0, len(rows), _ROWS):
            block = rows[start : start + _ROWS]
            here, there = _within(
                of_rows[block], of_columns, most, 0 if is_new is not None else int(block[0])
            )
            here = block[here]
            # An old column stands for the pair (new, old); a pair of two new ones is met twice, and kept once.
            once = here < there if is_new is None else (here < there) | ~is_new[there]
            first, second = np.minimum(here, there)[once], np.maximum(here, there)[once]
            for piece in range(0, len(first), _PIECE):
                yield first[piece : piece + _PIECE], second[piece : piece + _PIECE]
            task.advance(len(block))


def _within(of_rows: Hashes, of_columns: Hashes, most: int, begin: int) -> tuple[Numbers, Numbers]:
    """(row, column) numbers of the pairs of some rows with all columns from begin on."""
    differ = np.empty((len(of_rows), _COLUMNS), dtype=np.uint64)
    n_bits = np.empty(differ.shape, dtype=np.uint8)
    rows, columns = [], []
    for start in range(begin, len(of_columns), _COLUMNS):
        of_piece = of_columns[None, start : start + _COLUMNS]
        if (
            n := of_piece.shape[1]
        ) < _COLUMNS:  # the last piece; whole arrays are what flatnonzero is fast on
            differ, n_bits = differ[:, :n].copy(), n_bits[:, :n].copy()
        np.bitwise_xor(of_rows[:, None], of_piece, out=differ)
        np.bitwise_count(differ, out=n_bits)
        near = np.flatnonzero(n_bits <= most)  # many times faster than nonzero of two dimensions
        rows.append(near // n)
        columns.append(near % n + start)
    return np.concatenate(rows), np.concatenate(columns)


def _matches(small: NDArray[np.float16], first: Numbers, second: Numbers, form: int) -> NDArray[np.float32]:
    """(P,) correlation of the thumbs of pairs, the first in a form."""
    turned = small[first] if form == UPRIGHT else small[first][:, thumb_order(form)]
    return np.einsum("ij,ij->i", turned, small[second], dtype=np.float32)


def _centred(small: NDArray[np.uint8]) -> NDArray[np.float16]:
    """(N, 768): each thumb without its mean, of length 1. Half precision: 150 MB for 100,000 images."""
    out = np.empty((len(small), small[0].size), dtype=np.float16)
    for start in range(0, len(small), _PIECE):
        piece = small[start : start + _PIECE].reshape(-1, out.shape[1]).astype(np.float32)
        piece -= piece.mean(axis=1, keepdims=True)
        out[start : start + _PIECE] = piece / (np.linalg.norm(piece, axis=1, keepdims=True) + 1e-6)
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
