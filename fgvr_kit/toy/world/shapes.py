"""Outlines and the coordinates of a thing in its picture. All of it is arithmetic on arrays; nothing is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

PETALS = {"four": 4, "five": 5, "six": 6, "eight": 8}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a thing lies. x, y, radius in pixels; turn and tilt_at in radians; tilt: 1 is seen from above."""

    x: float
    y: float
    radius: float
    turn: float
    tilt: float = 1.0
    tilt_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Coordinates of the pixels in the thing's own frame, in which its outline is about 1 from the middle.

    u, v: (H, W), v downwards; r, angle: the same in polar form; scale: pixels of one unit.
    """

    u: Floats
    v: Floats
    r: Floats
    angle: Floats
    scale: float


def grid(place: Place, rows: tuple[int, int], columns: tuple[int, int]) -> Grid:
    """Coordinates of the pixels in rows[0]..rows[1] and columns[0]..columns[1]."""
    y = (np.arange(*rows, dtype=np.float32)[:, None] - place.y) / place.radius
    x = (np.arange(*columns, dtype=np.float32)[None, :] - place.x) / place.radius
    c, s = np.cos(place.tilt_at), np.sin(place.tilt_at)
    a, b = x * c + y * s, (y * c - x * s) / place.tilt
    x, y = a * c - b * s, a * s + b * c
    c, s = np.cos(place.turn), np.sin(place.turn)
    u, v = (x * c + y * s).astype(np.float32), (y * c - x * s).astype(np.float32)
    return Grid(u, v, np.sqrt(u * u + v * v), np.arctan2(v, u), place.radius)


def distance(g: Grid, shape: str, *, edge: str = "smooth", petals: str = "", phase: float = 0.0) -> Floats:
    """(H, W) how far inside the outline each pixel lies, in units of the radius; below 0 is outside."""
    limit = _limit(g, shape, petals)
    if edge == "notched":
        limit = limit * (1 - 0.1 * (np.cos(g.angle * 12 + phase) > 0.6))
    elif edge == "ribbed":
        limit = limit * (1 - 0.035 * (np.cos(g.angle * 36 + phase) > 0))
    elif edge == "wavy":
        limit = limit * (0.95 + 0.05 * np.cos(g.angle * 9 + phase))
    return np.asarray(limit - g.r, dtype=np.float32)


def cover(inside: Floats, scale: float) -> Floats:
    """(H, W) 0..1: the share of each pixel that lies inside."""
    return np.clip(inside * scale + 0.5, 0, 1)


def _limit(g: Grid, shape: str, petals: str) -> Floats:
    """The radius of the outline in the direction of each pixel."""
    a = g.angle
    if petals:
        return np.asarray(0.42 + 0.58 * np.abs(np.cos(a * PETALS[petals] / 2)) ** 0.6, dtype=np.float32)
    c, s = np.cos(a), np.sin(a)
    if shape == "oval":
        return _f(0.66 / np.sqrt((0.66 * s) ** 2 + c**2))
    if shape == "square":
        return _f(0.8 / np.maximum(np.abs(c), np.abs(s)))
    if shape == "diamond":
        return _f(1.0 / (np.abs(c) * 1.45 + np.abs(s)))
    if shape == "triangle":
        return _polygon(a + np.pi / 2, 3, 0.56)
    if shape == "hexagon":
        return _polygon(a, 6, 0.87)
    if shape == "star":
        return _f(0.47 + 0.53 * _saw((a + np.pi / 2) * 5) ** 1.3)
    if shape == "heart":
        return _f(0.92 - 0.42 * np.exp(-((_wrap(a + np.pi / 2) / 0.45) ** 2)) - 0.22 * np.maximum(s, 0)
                  + 0.28 * np.exp(-((_wrap(a - np.pi / 2) / 0.3) ** 2)))  # fmt: skip
    if shape == "cross":
        near, far = np.minimum(np.abs(c), np.abs(s)), np.maximum(np.abs(c), np.abs(s))
        return _f(np.minimum(0.98 / far, np.maximum(0.33 / np.maximum(near, 1e-3), 0.33 / far)))
    if shape == "pointed":
        return _f(0.36 + 0.64 * np.abs(s) ** 4)
    if shape == "lobed":
        return _f(0.55 + 0.4 * np.abs(np.cos((a - np.pi / 2) * 2.5)) ** 0.8)
    if shape == "wings":
        return _f(0.25 + 0.75 * np.abs(np.cos(a)) ** 0.5 * (0.75 + 0.25 * np.cos(4 * a - 0.4 * np.sign(s))))
    return np.ones_like(a)


def _polygon(a: Floats, n: int, inner: float) -> Floats:
    half = np.pi / n
    return _f(inner / np.cos((a % (2 * half)) - half))


def _saw(a: Floats) -> Floats:
    """1 at multiples of a full turn, 0 half-way between."""
    return _f(np.abs(((a / (2 * np.pi)) % 1) - 0.5) * 2)


def _wrap(a: Floats) -> Floats:
    return _f((a + np.pi) % (2 * np.pi) - np.pi)


def _f(values: NDArray[np.floating]) -> Floats:
    return np.asarray(values, dtype=np.float32)
