"""What a file and its pixels tell without knowing what they show: format, camera, time, a tiny copy, a hash.

Taken during the one decode of a scan, kept with the image, and all that `check` needs to judge a dataset.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image

from fgvr_kit.types import FileFacts, PixelFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

THUMB_SIDE = 16
"""Width and height in pixels of the tiny copy (aspect ratio not kept)."""

_HASH_SIDE = 32
_MANY_FRAMES = {"GIF", "TIFF", "WEBP", "PNG", "MPO", "AVIF", "HEIF"}


def file_facts(image: Image.Image) -> FileFacts:
    """Of an image that PIL has opened and not yet loaded. Damaged EXIF counts as none."""
    kind = image.format or ""
    frames = int(getattr(image, "n_frames", 1)) if kind in _MANY_FRAMES else 1
    camera, taken, orientation = "", "", 1
    with contextlib.suppress(Exception):  # EXIF is written by many hands
        if len(exif := image.getexif()):
            orientation = _whole_number(exif.get(ExifTags.Base.Orientation), 1)
            words = [_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
            camera = " ".join(word for word in words if word)
            taken = _time(exif)
    return FileFacts(kind, image.mode, frames, orientation, sys.intern(camera), taken)


def pixel_facts(smalls: Sequence[bytes]) -> list[PixelFacts]:
    """Of images that `shrunk` has made small; many at once cost little more than one."""
    if not smalls:
        return []
    small = np.frombuffer(b"".join(smalls), dtype=np.uint8).reshape(-1, _HASH_SIDE, _HASH_SIDE, 3)
    values = small.astype(np.float32)  # (N, 32, 32, 3)
    thumb = values.reshape(-1, THUMB_SIDE, 2, THUMB_SIDE, 2, 3).mean(axis=(2, 4))  # (N, 16, 16, 3)
    hashes = _phash(values @ LUMA)
    rounded = thumb.round().astype(np.uint8)
    return [PixelFacts(int(phash), one.tobytes()) for phash, one in zip(hashes, rounded, strict=True)]


def shrunk(image: Image.Image) -> bytes:
    """An opened image as 32 x 32 RGB bytes, row by row."""
    size = (_HASH_SIDE, _HASH_SIDE)
    # reducing_gap: whole-number averaging first, so that large photographs cost little.
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0).tobytes()


LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def thumbs(blobs: list[bytes]) -> NDArray[np.uint8]:
    """(N, 16, 16, 3) of the thumbs of N images."""
    return np.frombuffer(b"".join(blobs), dtype=np.uint8).reshape(-1, THUMB_SIDE, THUMB_SIDE, 3)


def _phash(grey: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(N,) perceptual hashes of (N, 32, 32) grey pictures: which of the 64 lowest DCT coefficients lie above their
    median. Survives resizing, re-encoding and brightness (Zauner 2010, as in pHash and ImageHash)."""
    low = (_dct() @ grey @ _dct().T).reshape(-1, 64)  # (N, 64)
    bits = low > np.median(low[:, 1:], axis=1, keepdims=True)  # the first is the mean brightness
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


@cache
def _dct() -> NDArray[np.float32]:
    """(8, 32): the 8 lowest rows of the DCT-II matrix."""
    n = np.arange(_HASH_SIDE)
    return np.cos(np.pi * np.arange(8)[:, None] * (2 * n + 1) / (2 * _HASH_SIDE)).astype(np.float32)


def _time(exif: Image.Exif) -> str:
    written = ""
    with contextlib.suppress(Exception):
        written = _text(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal))
    with contextlib.suppress(ValueError):
        return datetime.strptime(written[:19], "%Y:%m:%d %H:%M:%S").isoformat()
    return ""


def _text(value: object) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return " ".join(text.replace("\0", " ").split())


def _whole_number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default
