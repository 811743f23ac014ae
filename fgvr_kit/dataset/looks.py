"""Pictures that can hardly show what their class says: tiny, a strip, one colour, black, white."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageStat

from fgvr_kit.dataset.facts import LUMA, thumbs
from fgvr_kit.dataset.oddities import Oddity
from fgvr_kit.errors import ImageError
from fgvr_kit.types import ScannedImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

TINY_SIDE = 32
"""Pixels of the shorter side below which little can be recognised."""
MAX_RATIO = 8.0
"""The longer side may be this many times the shorter one."""
MIN_CONTRAST = 3.0
"""Least standard deviation of a colour channel, of 255. Real photographs start at about 12."""
BLACK, WHITE = 16, 240
"""Brightness, of 255, that 99 % of a picture must pass, or stay below, to be neither black nor white."""

_CHUNK = 4096  # thumbs as decimal numbers: 12 MB


def looks(
    images: Sequence[ScannedImage], open_picture: Callable[[ScannedImage], Image.Image]
) -> Iterator[Oddity]:
    """All that is suspicious, with its value. open_picture: asked for the few that seem to be of one colour,
    since a fine texture is flat in its thumb."""
    if not images:
        return
    usual_side = median_low([min(i.width, i.height) for i in images])
    yield from (odd for image in images for odd in _of_size(image, usual_side))
    seen = [image for image in images if image.pixel_facts]
    for start in range(0, len(seen), _CHUNK):
        yield from _of_pixels(seen[start : start + _CHUNK], open_picture)


def _of_size(image: ScannedImage, usual_side: int) -> Iterator[Oddity]:
    """A picture is tiny beside others that are not: where most are, none is told of more than that."""
    short, long = sorted((image.width, image.height))
    size = f"{image.width}x{image.height} pixels"
    if short < TINY_SIDE and (short * 2 < usual_side or usual_side < TINY_SIDE):
        yield Oddity("tiny", image, f"has only {size}", "little can be recognised in it", value=float(short))
    if long > MAX_RATIO * short:
        told = f"is a strip of {size}, {long / short:.3g} times as long as wide"
        why = "models see squares: it is squeezed or cut until little is left"
        yield Oddity("aspect", image, told, why, value=round(long / short, 1))


def _of_pixels(
    images: Sequence[ScannedImage], open_picture: Callable[[ScannedImage], Image.Image]
) -> Iterator[Oddity]:
    small = thumbs([i.pixel_facts.thumb for i in images if i.pixel_facts]).astype(
        np.float32
    )  # (N, 16, 16, 3)
    bright: NDArray[np.float32] = (small @ LUMA).reshape(len(images), -1)  # (N, 256)
    low, high = np.percentile(bright, (1, 99), axis=1)
    contrast = small.reshape(len(images), -1, 3).std(axis=1).max(axis=1)  # (N,)
    why = "nothing can be recognised in it"
    for n, image in enumerate(images):
        if high[n] < BLACK:
            told = f"is black: 99 % of it is darker than {high[n]:.0f} of 255"
            yield Oddity("black", image, told, why, value=round(float(high[n]), 1))
        elif low[n] > WHITE:
            told = f"is white: 99 % of it is brighter than {low[n]:.0f} of 255"
            yield Oddity("white", image, told, why, value=round(float(low[n]), 1))
        elif contrast[n] < MIN_CONTRAST and (real := _contrast(image, open_picture)) < MIN_CONTRAST:
            told = f"is of one colour: its contrast is {real:.1f} of 255"
            yield Oddity("one-colour", image, told, why, value=round(real, 1))


def _contrast(image: ScannedImage, open_picture: Callable[[ScannedImage], Image.Image]) -> float:
    """Largest standard deviation of a channel of the whole picture; endless when it cannot be opened now."""
    try:
        return max(ImageStat.Stat(open_picture(image)).stddev)
    except ImageError:
        return float("inf")
