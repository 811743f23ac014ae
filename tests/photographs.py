"""Image folders for tests: small pictures made on the spot, each of its own pixels."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image


def picture(seed: int | str, size: tuple[int, int] = (32, 24)) -> Image.Image:
    """A noisy RGB picture; other seeds give other pixels."""
    noise = random.Random(seed)
    colour = tuple(noise.randrange(256) for _ in range(3))
    image = Image.new("RGB", size, colour)
    for _ in range(20):
        spot = (noise.randrange(size[0]), noise.randrange(size[1]))
        image.putpixel(spot, tuple(noise.randrange(256) for _ in range(3)))
    return image


def class_folders(root: Path, counts: dict[str, int]) -> Path:
    """root/<class>/<n>.png, as many as counts says; keys may hold slashes ("train/beetle")."""
    for name, n in counts.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(n):
            picture(f"{name}/{i}").save(folder / f"{i}.png")
    return root
