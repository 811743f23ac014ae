"""A picture of facts: the ground, what lies around, the thing, light and camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fgvr_kit.toy.world import surfaces
from fgvr_kit.toy.world.camera import photographed
from fgvr_kit.toy.world.canvas import AT, LAYERS, SIDE, Canvas, box, lay, mix
from fgvr_kit.toy.world.creatures import body, limbs
from fgvr_kit.toy.world.facts import NONE, Facts
from fgvr_kit.toy.world.relief import embossed, ink, marked
from fgvr_kit.toy.world.shapes import Floats, Grid, Place, cover, distance, grid

_RADIUS = {"small": (0.22, 0.27), "medium": (0.32, 0.37), "large": (0.43, 0.48)}
_ASIDE = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1), "centre": (0, 0)}
_TURN = {"upright": 0.0, "turned right": np.pi / 2, "upside down": np.pi, "turned left": -np.pi / 2}


def picture(facts: Facts, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Floats]:
    """(SIDE, SIDE, 3) uint8 RGB, and (CELLS, CELLS, len(LAYERS)) of 0..1, -1..1 for u and v: what lies where.

    Layers: the thing, what stands on it, its stars, and the coordinates of its own frame. The same facts and dice
    give the same bytes.
    """
    turn = rng.uniform(0, 2 * np.pi)
    ground = surfaces.ground(rng, facts["background"], SIDE)
    layers = np.zeros((SIDE, SIDE, len(LAYERS)), dtype=np.float32)
    canvas = Canvas(ground, rng, (np.cos(turn), np.sin(turn)), layers)
    place = _place(facts, rng)
    if facts["others"] == "yes":
        _others(canvas, facts, place)
    if facts.kind == "beetle":
        limbs(canvas, place)
    _thing(canvas, facts, place)
    if facts.kind in ("beetle", "butterfly"):
        body(canvas, facts, place)
    return photographed(canvas, facts), canvas.layers[np.ix_(AT, AT)]


def _place(facts: Facts, rng: np.random.Generator) -> Place:
    radius = rng.uniform(*_RADIUS[facts["size"]]) * SIDE
    aside = {"small": 0.25, "medium": 0.16, "large": 0.09}[facts["size"]] * SIDE
    x, y = (SIDE / 2 + way * aside * rng.uniform(0.85, 1.1) + rng.normal(0, 0.012) * SIDE
            for way in _ASIDE[facts["position"]])  # fmt: skip
    if facts["turn"]:
        turn = _TURN[facts["turn"]] + rng.uniform(-0.25, 0.25)
    elif facts.kind == "coin":
        turn = rng.uniform(0, 2 * np.pi)
    else:
        turn = rng.uniform(-0.25, 0.25)
    return Place(x, y, radius, turn, rng.uniform(0.88, 1.0), rng.uniform(0, np.pi))


def _others(canvas: Canvas, facts: Facts, place: Place) -> None:
    """One to three more of its kind, cut off by the frame."""
    rng = canvas.rng
    first = rng.uniform(0, 2 * np.pi)
    for n in range(int(rng.integers(1, 4))):
        turn = first + n * rng.uniform(1.6, 2.4)
        c, s = np.cos(turn), np.sin(turn)
        far = SIDE * rng.uniform(0.56, 0.64) / max(abs(c), abs(s))
        radius = max(place.radius * rng.uniform(0.6, 0.9), 0.16 * SIDE)
        at = Place(SIDE / 2 + c * far, SIDE / 2 + s * far, radius, rng.uniform(0, 6.3))
        (r0, r1), (c0, c1) = box(at)
        if r1 <= r0 or c1 <= c0:
            continue
        g = grid(at, (r0, r1), (c0, c1))
        inside = distance(g, _shape(facts), petals=facts["petals"])
        known = (
            ("gold", "silver", "copper")
            if facts.kind == "coin"
            else ("red", "green", "blue", "brown", "white")
        )
        tone = surfaces.rgb(known[int(rng.integers(len(known)))], rng)
        paint = tone * _relief(canvas, g, inside, 0.12)[..., None]
        lay(canvas, paint, cover(inside, at.radius), (r0, c0))


def _shape(facts: Facts) -> str:
    return "wings" if facts.kind == "butterfly" else facts["shape"] or "round"


def _second(facts: Facts, rng: np.random.Generator) -> Floats | None:
    return None if facts["second"] in ("", NONE) else surfaces.rgb(facts["second"], rng)


def _thing(canvas: Canvas, facts: Facts, place: Place) -> None:
    rng = canvas.rng
    (r0, r1), (c0, c1) = box(place)
    g = grid(place, (r0, r1), (c0, c1))
    phase = rng.uniform(0, 6.3)
    edge = facts["edge"] or "smooth"
    inside = distance(g, _shape(facts), edge=edge, petals=facts["petals"], phase=phase)
    _shadow(canvas, inside, place, (r0, c0))
    first, second = surfaces.rgb(facts["colour"], rng), _second(facts, rng)
    paint = np.broadcast_to(first, (*g.u.shape, 3)).copy()
    if facts["pattern"] not in ("", "plain"):
        over = _other_tone(facts, first, second)
        paint = mix(paint, over, surfaces.pattern(g, facts["pattern"], rng) * rng.uniform(0.8, 1))
    ring = _ring(facts, g, inside, rng)
    if second is not None and ring is not None:
        paint = mix(paint, second, ring)
    grain = surfaces.stuff(g, _material(facts), rng)
    height, inked, stands, stars = marked(facts, g, inside, rng)
    if inked is not None:
        paint = mix(paint, ink(first, rng), inked)
    shade = _relief(canvas, g, inside, 0.1 if facts.kind == "coin" else 0.2) + grain
    shade = shade + embossed(canvas, height, 1.1 if facts.kind == "coin" else 0.5)
    paint = _worn(canvas, facts, g, paint * shade[..., None])
    share = cover(inside, place.radius)
    canvas.layers[r0:r1, c0:c1] = np.stack([share, stands, stars, g.u * share, g.v * share], axis=-1)
    lay(canvas, paint, share, (r0, c0))


def _material(facts: Facts) -> str:
    return "metal" if facts.kind == "coin" else facts["material"] or "skin"


def _other_tone(facts: Facts, first: Floats, second: Floats | None) -> Floats:
    """What a pattern is painted with: light on dark, dark on light."""
    if facts.kind in ("badge", "leaf") or second is None:
        return np.asarray(first * 0.35 if first.mean() > 0.35 else first * 0.4 + 0.6, dtype=np.float32)
    return second


def _ring(facts: Facts, g: Grid, inside: Floats, rng: np.random.Generator) -> Floats | None:
    """Where the second colour lies: a ring, a border, or the middle of a flower."""
    if facts.kind == "flower":
        return cover(rng.uniform(0.26, 0.36) - g.r, g.scale)
    if facts.kind in ("coin", "badge"):
        return cover(rng.uniform(0.2, 0.3) - inside, g.scale)
    if facts.kind == "butterfly":
        return cover(rng.uniform(0.12, 0.2) - inside, g.scale)
    return None  # of a beetle: the head, which is drawn by itself


def _relief(canvas: Canvas, g: Grid, inside: Floats, strength: float) -> Floats:
    """(H, W): brighter towards the sun, darker at the far edge."""
    toward = (g.u * canvas.sun[0] + g.v * canvas.sun[1]) * strength
    rim = 0.18 * np.clip(1 - inside * 9, 0, 1)
    return np.asarray(1 + toward - rim, dtype=np.float32)


def _worn(canvas: Canvas, facts: Facts, g: Grid, paint: Floats) -> Floats:
    """Gloss, scratches or stains on top of it."""
    rng, (height, width) = canvas.rng, g.u.shape
    wear = facts["wear"]
    if wear == "shiny" or (not wear and facts["material"] in ("metal", "plastic")):
        x, y = canvas.sun[0] * 0.45, canvas.sun[1] * 0.45
        spot = np.exp(-((g.u - x) ** 2 + (g.v - y) ** 2) / rng.uniform(0.06, 0.16))
        sweep = np.maximum(np.cos(2 * (np.arctan2(g.v, g.u) - rng.uniform(0, 3.1))), 0) ** 6 * 0.5
        gloss = spot + (sweep if facts["material"] != "plastic" else 0)
        return np.asarray(paint + (rng.uniform(0.3, 0.5) * gloss)[..., None], dtype=np.float32)
    if wear == "scratched":
        lines = np.zeros_like(g.u)
        for _ in range(int(rng.integers(5, 10))):
            turn, at = rng.uniform(0, np.pi), rng.uniform(-0.7, 0.7)
            along = g.u * np.cos(turn) + g.v * np.sin(turn)
            across = np.abs(g.v * np.cos(turn) - g.u * np.sin(turn) - at)
            lines += (across < 0.022) * (np.abs(along - rng.uniform(-0.25, 0.25)) < rng.uniform(0.3, 0.7))
        return np.asarray(
            paint + 0.32 * np.minimum(lines, 1)[..., None] * rng.choice([1, -0.8]), dtype=np.float32
        )
    if wear == "stained":
        blot = np.clip(surfaces.noise(rng, "coarse", height, width) * 1.6 - 0.7, 0, 1)
        stain = np.array([(0.12, 0.1, 0.06), (0.2, 0.42, 0.34), (0.22, 0.08, 0.05)])[int(rng.integers(3))]
        return mix(paint, stain.astype(np.float32), blot * 0.8)
    return paint


def _shadow(canvas: Canvas, inside: Floats, place: Place, corner: tuple[int, int]) -> None:
    soft = np.clip(inside * place.radius / 6 + 0.55, 0, 1) * canvas.rng.uniform(0.25, 0.5)
    dx, dy = (round(-4 * float(way)) for way in canvas.sun)
    r0, c0 = max(0, corner[0] + dy), max(0, corner[1] + dx)
    part = canvas.pixels[r0 : corner[0] + dy + soft.shape[0], c0 : corner[1] + dx + soft.shape[1]]
    cut = soft[r0 - corner[0] - dy :, c0 - corner[1] - dx :][: part.shape[0], : part.shape[1]]
    part *= 1 - cut[..., None]
