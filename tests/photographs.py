"""Image folders for tests: small pictures made on the spot, each of its own pixels."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from fgvr_kit.dataset.facts import pixel_facts, shrunk
from fgvr_kit.types import PixelFacts


def picture(seed: int | str, size: tuple[int, int] = (32, 24)) -> Image.Image:
    """A noisy RGB picture; other seeds give other pixels."""
    noise = random.Random(seed)
    colour = tuple(noise.randrange(256) for _ in range(3))
    image = Image.new("RGB", size, colour)
    for _ in range(20):
        spot = (noise.randrange(size[0]), noise.randrange(size[1]))
        image.putpixel(spot, tuple(noise.randrange(256) for _ in range(3)))
    return image


def photograph(seed: int, size: int = 160) -> Image.Image:
    """Blotches of all sizes: smooth like a photograph, and unlike any other seed's."""
    noise = np.random.default_rng(seed)
    image = Image.new("RGB", (size, size))
    for side in (4, 10, 40, size):
        layer = Image.fromarray(noise.integers(0, 256, (side, side, 3), dtype=np.uint8))
        image = Image.blend(image, layer.resize((size, size), Image.Resampling.BICUBIC), 0.45)
    return image.filter(ImageFilter.GaussianBlur(1))


def facts_of_image(image: Image.Image) -> PixelFacts:
    return pixel_facts([shrunk(image)])[0]


def class_folders(root: Path, counts: dict[str, int]) -> Path:
    """root/<class>/<n>.png, as many as counts says; keys may hold slashes ("train/beetle")."""
    for name, n in counts.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(n):
            picture(f"{name}/{i}").save(folder / f"{i}.png")
    return root
