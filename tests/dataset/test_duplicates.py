from __future__ import annotations

import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from fgvr_kit.dataset.duplicates import candidates, near_duplicates, turned_candidates
from fgvr_kit.dataset.forms import FORMS, UPRIGHT, form_between, in_form, signs, thumb_order
from fgvr_kit.dataset.images import open_image
from fgvr_kit.errors import ImageError
from fgvr_kit.types import PixelFacts
from tests.photographs import facts_of_image, photograph

COINS = sorted((Path(__file__).parents[2] / "examples" / "euro-coins").glob("t*/*/*.jpg"))


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def found(images: list[Image.Image], **more: object) -> list[tuple[int, int]]:
    facts = [facts_of_image(image) for image in images]
    return [(p.first, p.second) for p in near_duplicates(facts, images.__getitem__, **more)]  # type: ignore[arg-type]


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized": lambda i: i.resize((140, 140)),
    "squashed": lambda i: i.resize((160, 120)),
    "re-encoded": lambda i: as_jpeg(i, 40),
    "brighter": lambda i: ImageEnhance.Brightness(i).enhance(1.15),
    "less contrast": lambda i: ImageEnhance.Contrast(i).enhance(0.8),
    "cut": lambda i: i.crop((5, 5, 155, 155)),
    "all of it": lambda i: as_jpeg(COPIES["brighter"](COPIES["cut"](i)).resize((140, 140)), 60),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_found_among_strangers(how: str) -> None:
    images = [photograph(seed) for seed in range(12)]
    pairs = [found([*images, COPIES[how](images[seed])]) for seed in range(4)]
    assert pairs == [[(seed, 12)] for seed in range(4)]


@pytest.mark.parametrize("form", range(1, len(FORMS)))
@pytest.mark.parametrize("how", ["resized", "squashed", "re-encoded", "brighter"])
def test_a_mirrored_or_turned_copy_is_found_among_strangers_with_its_form(how: str, form: int) -> None:
    images = [photograph(seed) for seed in range(12)]
    images += [in_form(COPIES[how](images[3]), form)]
    facts = [facts_of_image(image) for image in images]
    [pair] = near_duplicates(facts, images.__getitem__)
    assert (pair.first, pair.second, FORMS[pair.form]) == (3, 12, FORMS[form])


def test_a_turned_copy_that_comes_later_is_found_wherever_it_stands() -> None:
    images = [in_form(photograph(1), 5), photograph(2), photograph(1)]
    for new in ([True, False, False], [False, False, True], [True, True, True]):
        assert found(images, is_new=np.array(new)) == [(0, 2)]
    assert found(images, is_new=np.array([False, True, False])) == []


def test_an_upright_copy_is_never_called_turned() -> None:
    """Of a picture that is its own mirror image all forms match."""
    half = photograph(1).crop((0, 0, 80, 160))
    whole = Image.new("RGB", (160, 160))
    whole.paste(half, (0, 0))
    whole.paste(in_form(half, 1), (80, 0))
    images = [whole, as_jpeg(whole, 60)]
    facts = [facts_of_image(image) for image in images]
    assert [pair.form for pair in near_duplicates(facts, images.__getitem__)] == [UPRIGHT]
    assert form_between(*facts) == UPRIGHT


def test_turned_candidates_are_all_pairs_whose_signs_differ_in_few_bits_in_a_form() -> None:
    """Against a table of all pairs and forms, made from turned thumbs; over several blocks."""
    flat = np.array([np.frombuffer(facts_of_image(photograph(n, 40)).thumb, np.uint8) for n in range(150)])
    copies = [flat[n][thumb_order(1 + n % 7)] for n in range(60)]
    noise = np.random.default_rng(0).normal(0, 6, (60, 768))
    flat = np.concatenate([flat, np.clip(copies + noise, 0, 255).astype(np.uint8)])
    table = set()
    for form in range(1, len(FORMS)):
        turned = flat[:, thumb_order(form)]
        of_turned, plain = (signs(one.reshape(-1, 16, 16, 3))[0] for one in (turned, flat))
        near = np.bitwise_count(of_turned[:, None] ^ plain[None, :]) <= 10
        alike = np.corrcoef(turned, flat)[: len(flat), len(flat) :] >= 0.7
        table |= {(int(a), int(b), form) for a, b in np.argwhere(near & alike) if a < b}
    assert len(table) >= 50
    facts = [PixelFacts(0, one.tobytes()) for one in flat]
    assert sorted(turned_candidates(facts)) == sorted(table)
    new = np.array([n % 3 == 0 for n in range(len(flat))])
    assert sorted(turned_candidates(facts, is_new=new)) == sorted(t for t in table if new[t[0]] or new[t[1]])


def test_different_coins_on_one_background_are_no_copies() -> None:
    """Coins of one kind, all upright, round and alone on white: thumbs and hashes take some for copies."""
    assert len(COINS) > 200
    images = [open_image(path) for path in COINS[:200]]
    facts = [facts_of_image(image) for image in images]
    assert len(list(candidates(facts))) > 3
    assert len(list(turned_candidates(facts))) > 3
    assert found(images) == []


def test_candidates_are_all_pairs_whose_hashes_differ_in_few_bits() -> None:
    """Against a table of all pairs, over several blocks."""
    noise = random.Random(0)
    hashes = [noise.getrandbits(64) for _ in range(300)]
    hashes += [h ^ sum(1 << bit for bit in noise.sample(range(64), 9)) for h in hashes[:40]]
    facts = [PixelFacts(h, bytes(range(256)) * 3) for h in hashes]
    table = {
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= 10
    }
    assert len(table) >= 40
    assert sorted(candidates(facts)) == sorted(table)
    new = np.array([n % 3 == 0 for n in range(len(hashes))])
    assert sorted(candidates(facts, is_new=new)) == sorted((i, j) for i, j in table if new[i] or new[j])


def test_frames_of_a_film_are_connected_without_comparing_all_pairs() -> None:
    film = [as_jpeg(photograph(1), 30 + n) for n in range(40)]
    facts = [facts_of_image(frame) for frame in film]
    opened: list[int] = []
    pairs = near_duplicates(facts, lambda n: (opened.append(n), film[n])[1])
    assert len(pairs) == 39
    assert sorted(opened) == list(range(40))


def test_pairs_known_before_are_not_looked_at_again() -> None:
    images = [photograph(1), as_jpeg(photograph(1), 50)]
    facts = [facts_of_image(image) for image in images]

    def never(n: int) -> Image.Image:
        raise AssertionError(n)

    assert near_duplicates(facts, never, joined=[(0, 1)]) == []
    assert near_duplicates(facts, never, is_new=np.array([False, False])) == []


def test_a_picture_that_is_gone_by_then_is_no_crash() -> None:
    facts = [facts_of_image(photograph(1))] * 2

    def gone(n: int) -> Image.Image:
        raise ImageError("gone", where=str(n))

    assert near_duplicates(facts, gone) == []


def test_nothing_and_one_image_have_no_duplicates() -> None:
    assert found([]) == []
    assert found([photograph(1)]) == []
