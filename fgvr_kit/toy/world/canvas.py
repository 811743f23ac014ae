"""The picture while it is painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fgvr_kit.toy.world.shapes import Floats, Place

SIDE = 112
CELLS = 32
LAYERS = ("thing", "mark", "stars", "u", "v")
AT = ((np.arange(CELLS) + 0.5) * SIDE / CELLS).astype(int)
"""The pixels that stand for the cells of the layers."""


@dataclass(slots=True)
class Canvas:
    """The picture so far, (SIDE, SIDE, 3) of 0..1, the dice it is painted with, and what lies where."""

    pixels: Floats
    rng: np.random.Generator
    sun: tuple[float, float]
    layers: Floats


def lay(canvas: Canvas, paint: Floats, share: Floats, corner: tuple[int, int]) -> None:
    r, c = corner
    part = canvas.pixels[r : r + share.shape[0], c : c + share.shape[1]]
    part += (paint - part) * share[..., None]


def mix(paint: Floats, other: Floats, share: Floats) -> Floats:
    return np.asarray(paint + (other - paint) * share[..., None], dtype=np.float32)


def box(place: Place, wider: float = 1.12) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows and columns of the picture that a thing can touch."""
    reach = place.radius * wider + 3
    spans = [(max(0, int(m - reach)), min(SIDE, int(m + reach) + 1)) for m in (place.y, place.x)]
    return (spans[0][0], max(spans[0])), (spans[1][0], max(spans[1]))
