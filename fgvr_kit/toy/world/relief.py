"""What stands on a thing: its mark, its stars, and the light on what stands out."""

from __future__ import annotations

import numpy as np

from fgvr_kit.toy.world import marks
from fgvr_kit.toy.world.canvas import Canvas
from fgvr_kit.toy.world.facts import DIGITS, NONE, Facts
from fgvr_kit.toy.world.shapes import Floats, Grid, cover

_STARS = {"three": 3, "five": 5, "twelve": 12}


def marked(
    facts: Facts, g: Grid, inside: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats | None, Floats, Floats]:
    """(height, ink, mark, stars): how far the relief stands out, where something is painted on, what lies where."""
    nothing = np.zeros_like(g.u)
    height, dots = nothing, nothing
    if facts.kind == "coin":
        rim = rng.uniform(0.05, 0.1)
        height = height + 0.7 * cover(rim - inside, g.scale)
    if (stars := _STARS.get(facts["stars"], 0)) > 0:
        dots = _stars(g, stars, rng)
        height = height + 1.6 * dots
    name = facts["marking"]
    if name in ("", NONE):
        return height, None, nothing, dots
    art = marks.mask(name, int(rng.integers(marks.VARIANTS)))
    room = 0.62 if facts["shape"] in ("", "round", "square", "hexagon", "heart", "oval") else 0.44
    size = room * rng.uniform(0.82, 1.05) * (0.9 if facts["second"] not in ("", NONE) else 1)
    aside = 0.0
    if facts.kind == "coin" and name in DIGITS and rng.random() < 0.6:
        aside = rng.uniform(0.12, 0.26) * (1 if rng.random() < 0.5 else -1)
        size *= 0.85
        chart = marks.mask("map", int(rng.integers(marks.VARIANTS)))
        height = height + 0.5 * marks.lay(g, chart, x=-1.6 * aside, size=0.48)
    mask = marks.lay(g, art, x=aside, y=rng.uniform(-0.05, 0.05), size=size)
    if facts.kind == "coin" or (facts["material"] == "metal" and rng.random() < 0.5):
        return height + mask, None, mask, dots
    return height, mask, mask, dots


def embossed(canvas: Canvas, height: Floats, strength: float) -> Floats:
    """Light on the slopes that face the sun, shadow on those that turn away; what stands out is a little lighter."""
    if not height.any():
        return height
    dy, dx = np.gradient(height)
    slope = -(dx * canvas.sun[0] + dy * canvas.sun[1])
    return np.asarray(strength * (slope + 0.1 * np.minimum(height, 1)), dtype=np.float32)


def ink(first: Floats, rng: np.random.Generator) -> Floats:
    """A colour that can be seen on the first one."""
    tone = 0.08 if first.mean() > 0.42 else 0.95
    return np.clip(np.full(3, tone) + rng.normal(0, 0.05, 3), 0, 1).astype(np.float32)


def _stars(g: Grid, n: int, rng: np.random.Generator) -> Floats:
    """n stars on a circle near the edge."""
    first = rng.uniform(0, 6.3)
    step = 2 * np.pi / (n if n > 3 else 5)
    out = rng.uniform(0.8, 0.84)
    near = (np.round((g.angle - first) / step) % (2 * np.pi / step)) if n <= 3 else None
    at = (g.angle - first + step / 2) % step - step / 2
    away = np.sqrt((g.r * np.cos(at) - out) ** 2 + (g.r * np.sin(at)) ** 2)
    spikes = 1 + 0.3 * np.cos(5 * np.arctan2(g.r * np.sin(at), g.r * np.cos(at) - out))
    dots = cover(rng.uniform(0.09, 0.11) * spikes - away, g.scale)
    return np.asarray(dots if near is None else dots * (near < n), dtype=np.float32)
