"""What surfaces look like: colours, noise, backgrounds, patterns."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from fgvr_kit.toy.world.shapes import Floats, Grid

_RGB: dict[str, tuple[float, float, float]] = {
    "red": (0.78, 0.1, 0.1), "orange": (0.95, 0.5, 0.08), "yellow": (0.95, 0.87, 0.15),
    "green": (0.16, 0.55, 0.2), "blue": (0.12, 0.3, 0.8), "purple": (0.48, 0.16, 0.62),
    "pink": (0.96, 0.56, 0.7), "brown": (0.4, 0.24, 0.12), "black": (0.07, 0.07, 0.08),
    "white": (0.95, 0.95, 0.94), "grey": (0.5, 0.5, 0.5),
    "gold": (0.74, 0.6, 0.24), "silver": (0.68, 0.68, 0.68), "copper": (0.68, 0.36, 0.23),
}  # fmt: skip
_TILE = 256


def rgb(name: str, rng: np.random.Generator) -> Floats:
    """(3,) one tone of a colour."""
    spread = 0.04 if name in ("gold", "silver", "copper") else 0.035
    tone = np.array(_RGB[name]) + rng.normal(0, spread, 3) * (
        0.4 if name in ("grey", "white", "silver") else 1
    )
    dark = rng.uniform(0.72, 1.18) if name in ("gold", "silver", "copper") else rng.uniform(0.88, 1.1)
    return np.clip(tone * dark, 0.02, 1).astype(np.float32)


@cache
def _tile(kind: str, n: int) -> Floats:
    """(_TILE, _TILE) of mean 0 and deviation 1. kind: "coarse", "cloud", "grain", "speck"."""
    rng = np.random.default_rng([11, n, *kind.encode()])
    if kind == "grain":
        field = rng.normal(size=(_TILE, _TILE))
    elif kind == "speck":
        field = (_grown(rng, 64) > 1.0).astype(np.float64) - (_grown(rng, 64) > 1.2)
    elif kind == "coarse":
        field = _grown(rng, 6) + 0.4 * _grown(rng, 14)
    else:
        field = np.zeros((_TILE, _TILE), dtype=np.float32)
        for k, side in enumerate((10, 22, 46, 96)):
            field = field + _grown(rng, side) / (1 + k)
    field = (field - field.mean()) / field.std()
    return field.astype(np.float32)


def _grown(rng: np.random.Generator, side: int) -> Floats:
    seed = Image.fromarray(rng.normal(size=(side, side)).astype(np.float32))
    return np.asarray(seed.resize((_TILE, _TILE), Image.Resampling.BICUBIC))


def noise(rng: np.random.Generator, kind: str, height: int, width: int, stretch: int = 1) -> Floats:
    """(height, width) of noise; stretch: so many times longer than wide (wood)."""
    tile = _tile(kind, int(rng.integers(6)))
    y, x = rng.integers(0, _TILE - height), rng.integers(0, _TILE - width)
    if stretch == 1:
        part = tile[y : y + height, x : x + width]
        return part[::-1] if rng.random() < 0.5 else part
    rows = y + np.arange(height) // stretch
    return tile[rows][:, x : x + width]


_GROUND: dict[str, tuple[tuple[float, float, float], ...]] = {
    "wood": ((0.5, 0.3, 0.16), (0.34, 0.18, 0.1), (0.62, 0.43, 0.26)),
    "cloth": ((0.3, 0.34, 0.5), (0.5, 0.2, 0.25), (0.25, 0.4, 0.35), (0.62, 0.58, 0.5), (0.3, 0.3, 0.33)),
    "grass": ((0.25, 0.42, 0.14), (0.35, 0.5, 0.2), (0.16, 0.33, 0.12)),
    "stone": ((0.7, 0.71, 0.74), (0.5, 0.5, 0.52), (0.8, 0.8, 0.82)),
    "paper": ((0.9, 0.89, 0.87), (0.84, 0.83, 0.78), (0.93, 0.93, 0.94)),
    "sand": ((0.78, 0.66, 0.45), (0.7, 0.56, 0.36)),
}


def ground(rng: np.random.Generator, name: str, side: int) -> Floats:
    """(side, side, 3): what a thing lies on."""
    tones = _GROUND[name]
    base = np.array(tones[int(rng.integers(len(tones)))], dtype=np.float32) * rng.uniform(0.88, 1.1)
    if name == "wood":
        field = 0.1 * noise(rng, "cloud", side, side, 6) + 0.03 * noise(rng, "grain", side, side, 8)
    elif name == "cloth":
        line = np.arange(side, dtype=np.float32) * rng.uniform(1.5, 2.4)
        field = 0.09 * (np.sin(line)[:, None] * np.sin(line)[None, :]) + 0.03 * noise(
            rng, "cloud", side, side
        )
    elif name == "grass":
        field = 0.2 * noise(rng, "grain", side, side, 5) + 0.07 * noise(rng, "cloud", side, side)
    elif name == "stone":
        field = 0.13 * noise(rng, "speck", side, side) + 0.05 * noise(rng, "cloud", side, side)
    elif name == "sand":
        field = 0.1 * noise(rng, "grain", side, side) + 0.03 * noise(rng, "cloud", side, side)
    else:
        field = 0.012 * noise(rng, "coarse", side, side)
    if rng.random() < 0.5:
        field = field.T
    return np.asarray(base * (1 + field[..., None] * (2.0 if name == "grass" else 1.2)), dtype=np.float32)


def pattern(g: Grid, name: str, rng: np.random.Generator) -> Floats:
    """(H, W) 0..1: where the second tone of a pattern lies."""
    if name == "striped":
        turn = rng.uniform(0, np.pi)
        wave = np.sin((g.u * np.cos(turn) + g.v * np.sin(turn)) * rng.uniform(8, 12) + rng.uniform(0, 6))
    elif name == "spotted":
        n = rng.uniform(1.5, 2.1)
        row = np.floor(g.v * n)
        du, dv = (g.u * n + 0.5 * (row % 2)) % 1 - 0.5, (g.v * n) % 1 - 0.5
        wave = (rng.uniform(0.24, 0.32) - np.sqrt(du * du + dv * dv)) * 12
    elif name == "chequered":
        n = rng.uniform(5, 7)
        wave = np.sin(g.u * n) * np.sin(g.v * n) * 5
    elif name == "ringed":
        wave = np.sin(g.r * rng.uniform(13, 18) + rng.uniform(0, 6))
    else:
        return np.zeros_like(g.u)
    return np.asarray(np.clip(wave * 3 + 0.5, 0, 1), dtype=np.float32)


def stuff(g: Grid, name: str, rng: np.random.Generator) -> Floats:
    """(H, W): how a material's own grain lightens (above 0) or darkens what has its colour."""
    height, width = g.u.shape
    if name == "wood":
        return np.asarray(0.16 * np.sin(g.v * 14 + 1.6 * noise(rng, "coarse", height, width)))
    if name == "stone":
        return np.asarray(
            0.17 * noise(rng, "speck", height, width) + 0.05 * noise(rng, "cloud", height, width)
        )
    if name == "metal":
        return np.asarray(0.05 * noise(rng, "cloud", height, width))
    return np.asarray(0.02 * noise(rng, "coarse", height, width))
