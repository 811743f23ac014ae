from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgvr_kit.dataset.images import open_image
from fgvr_kit.embedding.loading import batches
from fgvr_kit.errors import ImageError
from fgvr_kit.types import ImageRef
from tests.embedding.conftest import Refs

pytest.importorskip("open_clip")


def preprocess(**options: Any) -> Any:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    return image_transform_v2(PreprocessCfg(**{"size": 32, **options}), is_train=False)


def preparation(steps: Any = None) -> Any:
    from fgvr_kit.embedding.preparing import Preparation

    return Preparation(steps or preprocess())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "resize_mode": "squash",
            "interpolation": "bilinear",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
        },
        {"resize_mode": "longest", "fill_color": 9},
        {"size": (24, 40)},
    ],
)
def test_both_halves_together_are_the_preprocessing_of_open_clip(refs: Refs, options: dict[str, Any]) -> None:
    import torch

    steps, pictures = preprocess(**options), refs(3)
    expected = torch.stack([steps(open_image(ref.path)) for ref in pictures])
    ready = preparation(steps)
    (batch,) = batches([pictures], ready, workers=2)
    assert batch.dtype == torch.uint8
    assert torch.equal(ready.pixels(batch), expected)


def test_a_preprocessing_of_another_form_is_taken_as_it_is(refs: Refs) -> None:
    import torch

    def steps(image: Image.Image) -> torch.Tensor:
        return torch.as_tensor(np.asarray(image, dtype=np.float32)).permute(2, 0, 1) / 3

    pictures = refs(2)
    ready = preparation(steps)
    (batch,) = batches([pictures], ready, workers=2)
    assert torch.equal(ready.pixels(batch), torch.stack([steps(open_image(r.path)) for r in pictures]))


class Slow:
    """Hands out the seed of a picture; the first ones take the longest."""

    def __init__(self) -> None:
        self.lock, self.begun, self.running, self.most = threading.Lock(), 0, 0, 0

    def picture(self, ref: ImageRef) -> np.ndarray:
        with self.lock:
            self.begun += 1
            self.running += 1
            self.most = max(self.most, self.running)
        seed = int(ref.path.stem)
        time.sleep(0.02 if seed % 4 == 0 else 0.001)
        with self.lock:
            self.running -= 1
        if seed == 99:
            raise ImageError("gone", where=str(ref.path))
        return np.array([seed])


def numbered(n: int) -> list[ImageRef]:
    return [ImageRef(Path(f"{seed}.png"), str(seed)) for seed in range(n)]


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_order_does_not_depend_on_the_workers(workers: int) -> None:
    pictures, slow = numbered(20), Slow()
    cut = [pictures[:3], pictures[3:4], pictures[4:20]]
    found = [batch.flatten().tolist() for batch in batches(cut, slow, workers=workers)]  # type: ignore[arg-type]
    assert found == [[0, 1, 2], [3], list(range(4, 20))]
    assert slow.most <= workers


def test_only_a_few_batches_are_opened_ahead() -> None:
    slow, pictures = Slow(), numbered(100)
    taken = batches(([one] for one in pictures), slow, workers=2)  # type: ignore[arg-type]
    for _ in range(10):
        next(taken)
    time.sleep(0.1)
    assert 10 <= slow.begun <= 16
    taken.close()
    time.sleep(0.05)
    assert slow.begun <= 16


def test_what_lies_before_a_picture_that_cannot_be_opened_is_handed_out() -> None:
    pictures = [*numbered(6), ImageRef(Path("99.png"), "99"), *numbered(3)]
    taken = batches([pictures[:4], pictures[4:8], pictures[8:]], Slow(), workers=3)  # type: ignore[arg-type]
    assert next(taken).flatten().tolist() == [0, 1, 2, 3]
    with pytest.raises(ImageError) as caught:
        next(taken)
    assert caught.value.where == "99.png"
