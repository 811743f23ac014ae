"""What light and a camera make of a painted picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fgvr_kit.toy.world import surfaces
from fgvr_kit.toy.world.canvas import SIDE, Canvas
from fgvr_kit.toy.world.facts import Facts

_LIGHT = {"neutral": (1, 1, 1), "warm": (1.12, 0.98, 0.74), "cool": (0.82, 0.97, 1.16)}


def photographed(canvas: Canvas, facts: Facts) -> NDArray[np.uint8]:
    """Light, blur and the noise of a camera."""
    rng, pixels, light = canvas.rng, canvas.pixels, facts["light"]
    strength = {"dim": rng.uniform(0.5, 0.62), "bright": rng.uniform(1.16, 1.28)}.get(
        light, rng.uniform(0.9, 1.05)
    )
    cast = np.array(_LIGHT.get(light, (1, 1, 1)), dtype=np.float32) * strength + rng.normal(0, 0.012, 3)
    fall = np.linspace(-0.12, 0.12, SIDE, dtype=np.float32) * canvas.sun[0]
    drop = np.linspace(-0.12, 0.12, SIDE, dtype=np.float32) * canvas.sun[1]
    pixels = pixels * cast.astype(np.float32) * (1 + fall[None, :] + drop[:, None])[..., None]
    if light == "bright":
        pixels = pixels + 0.05
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    blur = rng.uniform(1.4, 1.9) if facts["sharpness"] == "blurred" else rng.uniform(0.2, 0.55)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32)
    grain = surfaces.noise(rng, "grain", SIDE, SIDE)[..., None] * rng.uniform(1, 5)
    return np.clip(soft + grain, 0, 255).astype(np.uint8)
