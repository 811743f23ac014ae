"""What stands on a thing: digits, letters and small pictures, as masks that are drawn once and then warped."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from fgvr_kit.toy.world.shapes import Floats, Grid

SIDE = 64
VARIANTS = 10
_TIMES = 4  # drawn larger and shrunk: smooth edges

# Strokes in a box of 1 x 1, y downwards; "o" is an ellipse (x0, y0, x1, y1), "a" an arc with two more: degrees.
_STROKES: dict[str, list[tuple[object, ...]]] = {
    "0": [("o", 0.12, 0.0, 0.88, 1.0)],
    "1": [("l", 0.2, 0.28, 0.58, 0.0, 0.58, 1.0)],
    "2": [("a", 0.1, 0.0, 0.9, 0.62, 180, 400), ("l", 0.86, 0.44, 0.1, 1.0, 0.92, 1.0)],
    "5": [("l", 0.85, 0.0, 0.24, 0.0, 0.16, 0.46), ("a", 0.04, 0.36, 0.9, 1.0, 215, 510)],
    "A": [("l", 0.05, 1.0, 0.5, 0.0, 0.95, 1.0), ("l", 0.23, 0.62, 0.77, 0.62)],
    "B": [("l", 0.12, 0.0, 0.12, 1.0), ("l", 0.12, 0.0, 0.5, 0.0), ("a", 0.2, 0.0, 0.8, 0.48, 270, 450),
          ("l", 0.12, 0.48, 0.5, 0.48), ("a", 0.14, 0.48, 0.9, 1.0, 270, 450), ("l", 0.12, 1.0, 0.5, 1.0)],
    "E": [("l", 0.88, 0.0, 0.15, 0.0, 0.15, 1.0, 0.88, 1.0), ("l", 0.15, 0.5, 0.7, 0.5)],
    "K": [("l", 0.15, 0.0, 0.15, 1.0), ("l", 0.88, 0.0, 0.15, 0.56), ("l", 0.38, 0.42, 0.9, 1.0)],
    "R": [("l", 0.14, 1.0, 0.14, 0.0, 0.5, 0.0), ("a", 0.18, 0.0, 0.86, 0.52, 270, 450),
          ("l", 0.14, 0.52, 0.5, 0.52), ("l", 0.45, 0.52, 0.9, 1.0)],
    "T": [("l", 0.05, 0.0, 0.95, 0.0), ("l", 0.5, 0.0, 0.5, 1.0)],
}  # fmt: skip


@cache
def mask(name: str, variant: int) -> Floats:
    """(SIDE, SIDE) 0..1: the mark, upright, filling the box. variant: another hand, 0..VARIANTS - 1."""
    rng = np.random.default_rng([7, variant, *name.encode()])
    side = SIDE * _TIMES
    image = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(image)
    if name[0] in _STROKES and name not in _PICTURES:
        _write(draw, name, rng, side)
    else:
        _PICTURES[name](draw, rng, side)
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(np.asarray(small, dtype=np.float32) / 255, dtype=np.float32)


def lay(
    g: Grid, art: Floats, *, x: float = 0.0, y: float = 0.0, size: float = 1.0, turn: float = 0.0
) -> Floats:
    """(H, W): art in a box of 2 * size around (x, y) of the thing's frame, nearest of four neighbours mixed."""
    c, s = np.cos(turn), np.sin(turn)
    du, dv = g.u - x, g.v - y
    half = SIDE / 2
    col = (du * c + dv * s) * (half / size) + (half - 0.5)
    row = (dv * c - du * s) * (half / size) + (half - 0.5)
    inside = (col > 0) & (row > 0) & (col < SIDE - 1) & (row < SIDE - 1)
    col, row = np.clip(col, 0, SIDE - 1.001), np.clip(row, 0, SIDE - 1.001)
    c0, r0 = col.astype(np.int32), row.astype(np.int32)
    fc, fr = col - c0, row - r0
    flat, at = art.ravel(), r0 * SIDE + c0
    top = flat[at] * (1 - fc) + flat[at + 1] * fc
    low = flat[at + SIDE] * (1 - fc) + flat[at + SIDE + 1] * fc
    return np.asarray((top * (1 - fr) + low * fr) * inside, dtype=np.float32)


def _write(draw: ImageDraw.ImageDraw, text: str, rng: np.random.Generator, side: int) -> None:
    width = side * rng.uniform(0.07, 0.13)
    wide = rng.uniform(0.5, 0.75) if len(text) == 1 else rng.uniform(0.4, 0.46)
    slant = rng.uniform(-0.12, 0.12)
    gap = 0.06
    left = (1 - len(text) * wide - (len(text) - 1) * gap) / 2
    for n, letter in enumerate(text):
        _letter(draw, letter, side, (left + n * (wide + gap), 0.08, wide, 0.84), width, slant)


def _letter(draw: ImageDraw.ImageDraw, letter: str, side: int, box: tuple[float, float, float, float],
            width: float, slant: float) -> None:  # fmt: skip
    x, y, w, h = box

    def at(u: float, v: float) -> tuple[float, float]:
        return (x + u * w + slant * (0.5 - v) * h) * side, (y + v * h) * side

    for kind, *numbers in _STROKES[letter]:
        n = [float(str(number)) for number in numbers]
        if kind == "l":
            points = [at(n[i], n[i + 1]) for i in range(0, len(n), 2)]
        else:
            first, last = (n[4], n[5]) if kind == "a" else (0, 360)
            turns = np.radians(np.linspace(first, last, 40))
            mx, my, rx, ry = (n[0] + n[2]) / 2, (n[1] + n[3]) / 2, (n[2] - n[0]) / 2, (n[3] - n[1]) / 2
            points = [at(mx + rx * np.cos(t), my + ry * np.sin(t)) for t in turns]
        draw.line(points, fill=255, width=int(width), joint="curve")
        for px, py in (points[0], points[-1]):
            draw.ellipse((px - width / 2, py - width / 2, px + width / 2, py + width / 2), fill=255)


def _polygon(
    draw: ImageDraw.ImageDraw, side: int, points: list[tuple[float, float]], fill: int = 255
) -> None:
    draw.polygon([(x * side, y * side) for x, y in points], fill=fill)


def _blob(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int, at: tuple[float, float], r: float
) -> None:
    turns = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    wild = np.ones(28) + sum(
        rng.uniform(0.05, 0.3) * np.cos(k * turns + rng.uniform(0, 6.3)) for k in (2, 3, 5, 7)
    )
    _polygon(draw, side, [(at[0] + r * f * np.cos(t), at[1] + r * f * np.sin(t))
                          for t, f in zip(turns, wild, strict=True)])  # fmt: skip


def _map(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    for _ in range(int(rng.integers(5, 9))):
        at = (rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.8))
        _blob(draw, rng, side, at, rng.uniform(0.07, 0.17))


def _head(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    f = -1 if rng.random() < 0.5 else 1
    face = [(0.5, 0.06), (0.68, 0.14), (0.72, 0.32), (0.82, 0.47), (0.72, 0.5), (0.73, 0.6), (0.66, 0.7),
            (0.56, 0.7), (0.58, 0.82), (0.76, 0.96), (0.16, 0.96), (0.34, 0.8), (0.3, 0.62), (0.22, 0.4),
            (0.28, 0.16)]  # fmt: skip
    shaken = [(0.5 + f * (x - 0.5) + rng.normal(0, 0.012), y + rng.normal(0, 0.012)) for x, y in face]
    _polygon(draw, side, shaken)


def _bird(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    lift = rng.uniform(-0.05, 0.08)
    _polygon(
        draw,
        side,
        [
            (0.5, 0.2),
            (0.6, 0.34),
            (0.97, 0.12 + lift),
            (0.88, 0.55),
            (0.62, 0.62),
            (0.72, 0.94),
            (0.28, 0.94),
            (0.38, 0.62),
            (0.12, 0.55),
            (0.03, 0.12 + lift),
            (0.4, 0.34),
        ],
    )
    draw.ellipse([v * side for v in (0.4, 0.06, 0.6, 0.28)], fill=255)


def _tree(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    draw.rectangle([v * side for v in (0.43, 0.55, 0.57, 0.96)], fill=255)
    for _ in range(7):
        _blob(draw, rng, side, (rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.48)), rng.uniform(0.12, 0.2))


def _building(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    _polygon(draw, side, [(0.06, 0.36), (0.5, 0.06), (0.94, 0.36)])
    n = int(rng.integers(3, 6))
    for k in range(n):
        x = 0.12 + 0.76 * k / (n - 1)
        draw.rectangle([v * side for v in (x - 0.05, 0.42, x + 0.05, 0.84)], fill=255)
    draw.rectangle([v * side for v in (0.06, 0.86, 0.94, 0.96)], fill=255)


def _star(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    inner = rng.uniform(0.36, 0.48)
    turns = np.arange(10) * np.pi / 5 - np.pi / 2
    _polygon(
        draw,
        side,
        [
            (
                0.5 + 0.48 * (inner if k % 2 else 1) * np.cos(t),
                0.52 + 0.48 * (inner if k % 2 else 1) * np.sin(t),
            )
            for k, t in enumerate(turns)
        ],
    )


def _cross(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    w = rng.uniform(0.08, 0.15)
    draw.rectangle([v * side for v in (0.5 - w, 0.05, 0.5 + w, 0.95)], fill=255)
    draw.rectangle([v * side for v in (0.05, 0.5 - w, 0.95, 0.5 + w)], fill=255)


def _heart(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    t = np.linspace(0, 2 * np.pi, 60)
    x, y = np.sin(t) ** 3, (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    wide = rng.uniform(0.4, 0.48)
    _polygon(draw, side, [(0.5 + wide * a, 0.46 - 0.44 * b) for a, b in zip(x, y, strict=True)])


def _crown(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    top = rng.uniform(0.12, 0.25)
    _polygon(
        draw,
        side,
        [(0.06, 0.3), (0.28, 0.56), (0.5, top), (0.72, 0.56), (0.94, 0.3), (0.86, 0.72), (0.14, 0.72)],
    )
    draw.rectangle([v * side for v in (0.14, 0.77, 0.86, 0.88)], fill=255)


_PICTURES = {
    "map": _map, "head": _head, "bird": _bird, "tree": _tree, "building": _building, "star": _star,
    "cross": _cross, "heart": _heart, "crown": _crown,
}  # fmt: skip
