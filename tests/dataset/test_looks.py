from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fgvr_kit.dataset.looks import looks
from fgvr_kit.errors import ImageError
from fgvr_kit.types import ScannedImage
from tests.photographs import facts_of_image, photograph


def scanned(name: str, picture: Image.Image) -> ScannedImage:
    facts = facts_of_image(picture)
    return ScannedImage(name, "leaf", "train", name, *picture.size, 1, 1, pixel_facts=facts)


def plain(level: int, size: tuple[int, int] = (150, 150)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


def words(pictures: dict[str, Image.Image]) -> list[tuple[str, str]]:
    images = [scanned(name, picture) for name, picture in pictures.items()]
    return sorted((odd.image.path, odd.word) for odd in looks(images, lambda image: pictures[image.path]))


def texture() -> Image.Image:
    """Strong grain without any shape: one grey from afar."""
    grain = np.random.default_rng(0).integers(0, 256, (640, 640), dtype=np.uint8)
    return Image.fromarray(grain).convert("RGB")


NORMAL = {f"{n}.png": photograph(n) for n in range(5)}


@pytest.mark.parametrize(
    ("picture", "word"),
    [
        (plain(0), "black"),
        (plain(12), "black"),
        (plain(255), "white"),
        (plain(128), "one-colour"),
        (photograph(9).resize((20, 20)), "tiny"),
        (photograph(9).resize((900, 100)), "aspect"),
        (photograph(9).resize((100, 900)), "aspect"),
    ],
)
def test_a_picture_that_shows_next_to_nothing_is_named(picture: Image.Image, word: str) -> None:
    assert words({**NORMAL, "odd.png": picture}) == [("odd.png", word)]


@pytest.mark.parametrize(
    "picture", [photograph(9), photograph(9).resize((640, 100)), photograph(9).resize((60, 40)), texture()]
)
def test_a_picture_that_shows_something_is_left_alone(picture: Image.Image) -> None:
    assert words({**NORMAL, "fine.png": picture}) == []


def test_a_small_thing_on_white_is_no_white_picture() -> None:
    card = plain(255)
    card.paste(photograph(3, 30), (60, 60))
    assert words({**NORMAL, "card.png": card}) == []


def test_a_picture_is_tiny_beside_the_others_only() -> None:
    small = {f"{n}.png": photograph(n, 40) for n in range(5)}
    assert words({**small, "less.png": photograph(8, 30)}) == []
    assert words({**small, "least.png": photograph(8, 10)}) == [("least.png", "tiny")]


def test_where_all_are_tiny_each_is() -> None:
    pictures = {f"{n}.png": photograph(n, 28) for n in range(3)}
    assert [word for _, word in words(pictures)] == ["tiny"] * 3


def test_a_picture_that_cannot_be_opened_now_is_not_accused() -> None:
    def gone(image: ScannedImage) -> Image.Image:
        raise ImageError("gone", where=image.path)

    assert list(looks([scanned("flat.png", plain(128))], gone)) == []


def test_no_images_have_no_looks() -> None:
    assert words({}) == []
