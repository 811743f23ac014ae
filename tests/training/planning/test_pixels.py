"""Pictures must come back as they went in: sides, colours and size, whatever a family's processor makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.training.planning.pixels import pictures_of


def quarters(width: int, height: int) -> Image.Image:
    """Red, green / blue, white."""
    picture = Image.new("RGB", (width, height), "red")
    half = (width // 2, height // 2)
    picture.paste((0, 255, 0), (half[0], 0, width, half[1]))
    picture.paste("blue", (0, half[1], half[0], height))
    picture.paste("white", (half[0], half[1], width, height))
    return picture


def colours(picture: Image.Image) -> list[tuple[int, ...]]:
    """Of the middle of each quarter."""
    values = np.asarray(picture)
    h, w = values.shape[:2]
    return [tuple(values[y, x]) for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]


WANTED = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def near(found: list[tuple[int, ...]]) -> bool:
    return bool(np.abs(np.array(found, int) - np.array(WANTED)).max() <= 2)


def test_the_picture_of_idefics_comes_back_without_its_padding() -> None:
    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none")
    inputs = vlm.encode([Ask("What?", (quarters(96, 48),))], ["A"]).inputs
    (picture,) = pictures_of(vlm.processor, inputs)
    assert near(colours(picture))
    assert picture.width == pytest.approx(2 * picture.height, rel=0.2)


def test_the_patches_of_qwen_are_put_together_again() -> None:
    from transformers import Qwen2VLImageProcessor

    images: Any = Qwen2VLImageProcessor(
        patch_size=14, merge_size=2, temporal_patch_size=2, min_pixels=56 * 56
    )
    inputs = images(images=[quarters(112, 56)], return_tensors="pt")

    class Processor:
        image_processor = images

    (picture,) = pictures_of(Processor(), inputs)
    assert picture.size == (112, 56)
    assert near(colours(picture))


def test_no_pixels_give_no_picture() -> None:
    assert pictures_of(None, {}) == []
