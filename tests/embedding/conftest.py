"""Pictures on disk as the embedding room is given them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fgvr_kit.dataset.images import pixel_sha256
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.photographs import photograph

Refs = Callable[[int], list[ImageRef]]


def reference(path: Path, seed: int) -> ImageRef:
    image = photograph(seed, 80)
    image.save(path)
    return ImageRef(path, pixel_sha256(image))


@pytest.fixture
def refs(tmp_path: Path) -> Refs:
    """n pictures, no two alike."""

    def make(n: int) -> list[ImageRef]:
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        return [reference(folder / f"{seed}.png", seed) for seed in range(n)]

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / ".fgvr" / "fgvr.db")
