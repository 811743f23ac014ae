"""The eight forms of a picture: as it is, mirrored, turned by quarters, and both.

A mirrored picture has the DCT coefficients of the picture itself, those of odd frequencies with the other sign; one
whose rows and columns are exchanged has them exchanged. Signs of coefficients therefore know all eight forms at
once. That holds for signs alone: a hash over the median of the coefficients has another median in each form.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Image, Transpose

from fgvr_kit.dataset.facts import LUMA, THUMB_SIDE, thumbs
from fgvr_kit.types import PixelFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

UPRIGHT = 0
FORMS = (
    "",
    "mirrored",
    "mirrored top to bottom",
    "turned 180°",
    "mirrored and turned 90°",
    "turned 90°",
    "turned 90°",
    "mirrored and turned 90°",
)
"""What a form is called. Its number says what is done, in this order: 4 exchanges rows and columns, 1 mirrors left
to right, 2 mirrors top to bottom."""

EXCHANGED = 4

_TRANSPOSES = (
    None,
    Transpose.FLIP_LEFT_RIGHT,
    Transpose.FLIP_TOP_BOTTOM,
    Transpose.ROTATE_180,
    Transpose.TRANSPOSE,
    Transpose.ROTATE_270,
    Transpose.ROTATE_90,
    Transpose.TRANSVERSE,
)
_LOWEST = 8  # frequencies of each direction
_CLEARLY = 0.02  # by how much the thumbs of another form must match better than upright

FLIPS = tuple(np.uint64(mask) for mask in (0, 0x0000FFFF_0000FFFF, 0x00000000_FFFFFFFF, 0x0000FFFF_FFFF0000))
"""Signs that mirroring turns round: of form 0, 1, 2 and 3."""
_PAIRS = np.uint64(0x7FFF7FFF7FFF7FFF)


def in_form(image: Image, form: int) -> Image:
    """The picture, mirrored or turned so."""
    transpose = _TRANSPOSES[form]
    return image if transpose is None else image.transpose(transpose)


def signs(small: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(N,) signs of the 63 lowest DCT coefficients but the first of (N, 16, 16, 3) thumbs, and the same with rows
    and columns exchanged.

    Sixteen bits each for the coefficients that are even in both directions, odd across, odd down, odd in both, so
    that every form of a picture is `exchanged or not` ^ FLIPS[form % 4].
    """
    low = _dct() @ (small.astype(np.float32) @ LUMA) @ _dct().T  # (N, 8, 8)
    positive = low > 0
    positive[:, 0, 0] = False  # the mean brightness
    return _packed(positive), _packed(positive.transpose(0, 2, 1))


def steps(packed: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(N,) where neighbours among the signs of one sort differ: 60 bits that no mirroring changes. A sign that is
    turned round changes two of them at most."""
    return (packed ^ (packed >> np.uint64(1))) & _PAIRS


def thumb_order(form: int) -> NDArray[np.intp]:
    """(768,) which value of a flat thumb stands at each place of the thumb in a form."""
    grid = np.arange(THUMB_SIDE * THUMB_SIDE * 3).reshape(THUMB_SIDE, THUMB_SIDE, 3)
    if form & EXCHANGED:
        grid = grid.transpose(1, 0, 2)
    if form & 1:
        grid = grid[:, ::-1]
    if form & 2:
        grid = grid[::-1]
    return grid.ravel()


def form_between(one: PixelFacts, other: PixelFacts) -> int:
    """The form in which one looks most like the other, by their thumbs. Upright where that is as good: a thing that
    is its own mirror image is not called mirrored."""
    small = thumbs([one.thumb, other.thumb]).reshape(2, -1).astype(np.float32)
    small -= small.mean(axis=1, keepdims=True)
    small /= np.linalg.norm(small, axis=1, keepdims=True) + 1e-6
    matches = [float(small[0][thumb_order(form)] @ small[1]) for form in range(len(FORMS))]
    best = max(range(len(FORMS)), key=matches.__getitem__)
    return best if matches[best] > matches[UPRIGHT] + _CLEARLY else UPRIGHT


def _packed(positive: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """(N,) of (N, 8, 8) signs, in four lanes by which frequencies are odd."""
    lanes = [positive[:, down::2, across::2] for down in (0, 1) for across in (0, 1)]
    bits = np.concatenate([lane.reshape(len(positive), -1) for lane in lanes], axis=1)
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


@cache
def _dct() -> NDArray[np.float32]:
    """(8, 16): the 8 lowest rows of the DCT-II matrix."""
    n = np.arange(THUMB_SIDE)
    return np.cos(np.pi * np.arange(_LOWEST)[:, None] * (2 * n + 1) / (2 * THUMB_SIDE)).astype(np.float32)
