"""What a file and its pixels tell without knowing what they show: format, camera, time, a tiny copy, a hash.

Taken during the one decode of a scan, kept with the image, and all that `check` needs to judge a dataset.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

THUMB_SIDE = 16
"""Width and height in pixels of the tiny copy (aspect ratio not kept)."""

_HASH_SIDE = 32
_MANY_FRAMES = {"GIF", "TIFF", "WEBP", "PNG", "MPO", "AVIF", "HEIF"}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file tells about itself.

    format: as PIL names it ("JPEG").  mode: of the stored pixels ("RGB", "CMYK", "I;16").
    orientation: EXIF's, 1 is upright.  camera: EXIF make and model, "" if unknown.
    taken: EXIF time as ISO text without zone ("2026-05-01T14:03:22"), "" if unknown.
    """

    format: str = ""
    mode: str = ""
    frames: int = 1
    orientation: int = 1
    camera: str = ""
    taken: str = ""

    @classmethod
    def of(cls, image: Image.Image) -> FileFacts:
        """Of an image that PIL has opened and not yet loaded. Damaged EXIF counts as none."""
        kind = image.format or ""
        frames = int(getattr(image, "n_frames", 1)) if kind in _MANY_FRAMES else 1
        exif, camera = Image.Exif(), ""
        taken: str = ""
        orientation = 1
        with contextlib.suppress(Exception):  # EXIF is written by many hands
            exif = image.getexif()
        if len(exif):
            orientation = _whole_number(exif.get(ExifTags.Base.Orientation), 1)
            words = [_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
            camera = " ".join(word for word in words if word)
            taken = _time(exif)
        return cls(kind, image.mode, frames, orientation, camera, taken)


@dataclass(frozen=True, slots=True)
class PixelFacts:
    """What the upright RGB pixels tell: phash, 64 bits; thumb, 16 x 16 RGB bytes, row by row."""

    phash: int
    thumb: bytes

    @classmethod
    def of(cls, image: Image.Image) -> PixelFacts:
        small = np.asarray(_shrunk(image), dtype=np.float32)  # (32, 32, 3)
        thumb = small.reshape(THUMB_SIDE, 2, THUMB_SIDE, 2, 3).mean(axis=(1, 3))  # (16, 16, 3)
        return cls(_phash(small @ _LUMA), thumb.round().astype(np.uint8).tobytes())


_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def thumbs(blobs: list[bytes]) -> NDArray[np.uint8]:
    """(N, 16, 16, 3) of the thumbs of N images."""
    return np.frombuffer(b"".join(blobs), dtype=np.uint8).reshape(-1, THUMB_SIDE, THUMB_SIDE, 3)


def _shrunk(image: Image.Image) -> Image.Image:
    size = (_HASH_SIDE, _HASH_SIDE)
    # reducing_gap: whole-number averaging first, so that large photographs cost little.
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def _phash(grey: NDArray[np.float32]) -> int:
    """Perceptual hash of a (32, 32) grey picture: which of the 64 lowest DCT coefficients lie above their
    median. Survives resizing, re-encoding and brightness (Zauner 2010, as in pHash and ImageHash)."""
    low = _dct() @ grey @ _dct().T  # (8, 8)
    flat = low.ravel()
    bits = flat > np.median(flat[1:])  # the first is the mean brightness
    return int(np.packbits(bits).view(">u8")[0])


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
