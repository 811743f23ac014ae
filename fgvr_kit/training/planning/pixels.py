"""What a processor made of a picture, turned back into one: the pixels that the model is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]


def pictures_of(processor: Any, inputs: Mapping[str, Any]) -> list[Image.Image]:
    """The pictures of one row, in their order; several where a processor cuts one into tiles.

    inputs: what the processor returned for one row, tensors on the CPU. [] where there are no pixels, or in a
    layout that is not known.
    """
    pixels = inputs.get("pixel_values")
    if pixels is None:
        return []
    values: Floats = pixels.float().numpy()
    mean, std = _normalised_with(processor)
    if values.ndim == 2:  # Qwen: patches, one after the other
        grids = inputs["image_grid_thw"].tolist()
        tiles = _unpatched(values, grids, processor.image_processor)
    else:
        tiles = [tile for tile in values.reshape(-1, *values.shape[-3:]) if tile.shape[0] == 3]
        tiles = _without_padding(tiles, inputs)
    return [_picture(tile, mean, std) for tile in tiles]


def _normalised_with(processor: Any) -> tuple[Floats, Floats]:
    images = processor.image_processor
    if not getattr(images, "do_normalize", True):
        return np.zeros((3, 1, 1), np.float32), np.ones((3, 1, 1), np.float32)
    mean, std = (np.asarray(getattr(images, name), np.float32) for name in ("image_mean", "image_std"))
    return mean.reshape(3, 1, 1), std.reshape(3, 1, 1)


def _unpatched(patches: Floats, grids: list[list[int]], images: Any) -> list[Floats]:
    """Patches lie in blocks of merge x merge, as Qwen2-VL's processor writes them; of two equal frames one is shown."""
    side, merge = int(images.patch_size), int(images.merge_size)
    frames = int(images.temporal_patch_size)
    tiles, start = [], 0
    for t, h, w in grids:
        n = t * h * w
        blocks = patches[start : start + n].reshape(
            t, h // merge, w // merge, merge, merge, 3, frames, side, side
        )
        first = blocks[0, :, :, :, :, :, 0]  # (h/m, w/m, m, m, C, P, P)
        tiles.append(first.transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, h * side, w * side))
        start += n
    return tiles


def _without_padding(tiles: list[Floats], inputs: Mapping[str, Any]) -> list[Floats]:
    """Idefics pads pictures to one size, and whole pictures that a row has not."""
    mask = inputs.get("pixel_attention_mask")
    if mask is None:
        return tiles
    masks = mask.numpy().reshape(-1, *mask.shape[-2:]).astype(bool)
    if len(masks) != len(tiles):
        return tiles
    kept = []
    for tile, seen in zip(tiles, masks, strict=True):
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        if len(rows):
            kept.append(tile[:, : rows[-1] + 1, : columns[-1] + 1])
    return kept


def _picture(tile: Floats, mean: Floats, std: Floats) -> Image.Image:
    values = np.clip((tile * std + mean) * 255, 0, 255).round().astype(np.uint8)
    return Image.fromarray(values.transpose(1, 2, 0), "RGB")
