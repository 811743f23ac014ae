"""What beetles and butterflies have beside an outline."""

from __future__ import annotations

import numpy as np

from fgvr_kit.toy.world import surfaces
from fgvr_kit.toy.world.canvas import Canvas, box, lay
from fgvr_kit.toy.world.facts import Facts
from fgvr_kit.toy.world.shapes import Place, cover, grid

_DARK = np.array([0.08, 0.06, 0.05], dtype=np.float32)
_BROWN = np.array([0.1, 0.07, 0.05], dtype=np.float32)


def limbs(canvas: Canvas, place: Place) -> None:
    """Six legs and two feelers, as dark lines."""
    rng = canvas.rng
    (r0, r1), (c0, c1) = box(place, 1.5)
    g = grid(place, (r0, r1), (c0, c1))
    lines = np.zeros_like(g.u)
    thin = rng.uniform(0.03, 0.05)
    for side in (-1, 1):
        for y, lean in ((-0.35, -0.5), (0.05, 0.1), (0.4, 0.6), (-0.9, -2.2)):
            out = (g.u * side - (0.1 if lean < -2 else 0.3)) / 0.75
            line = np.abs(g.v - y - lean * 0.45 * out) / np.sqrt(1 + lean * lean * 0.36)
            lines = np.maximum(
                lines, cover(thin - line, g.scale) * ((out > 0) & (out < (0.4 if lean < -2 else 1)))
            )
    lay(canvas, np.broadcast_to(_DARK, (*g.u.shape, 3)), lines, (r0, c0))


def body(canvas: Canvas, facts: Facts, place: Place) -> None:
    """A beetle's head and seam; a butterfly's body."""
    rng = canvas.rng
    (r0, r1), (c0, c1) = box(place, 1.35)
    g = grid(place, (r0, r1), (c0, c1))
    if facts.kind == "butterfly":
        away = np.sqrt((g.u / 0.08) ** 2 + (g.v / 0.6) ** 2)
        body = cover(np.asarray(1 - away, dtype=np.float32), g.scale * 0.08)
        lay(canvas, np.broadcast_to(_BROWN, (*g.u.shape, 3)), body, (r0, c0))
        return
    away = np.sqrt((g.u / 0.42) ** 2 + ((g.v + 0.86) / 0.34) ** 2)
    head = cover(np.asarray(1 - away, dtype=np.float32), g.scale * 0.35)
    lay(canvas, np.broadcast_to(surfaces.rgb(facts["second"], rng), (*g.u.shape, 3)), head, (r0, c0))
    seam = (
        cover(np.asarray(0.018 - np.abs(g.u), dtype=np.float32), g.scale) * (g.v > -0.6) * (g.v < 0.97) * 0.7
    )
    lay(canvas, np.zeros((*g.u.shape, 3), dtype=np.float32), seam, (r0, c0))
