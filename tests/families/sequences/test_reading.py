"""What is remembered of images, and how much of it."""

from __future__ import annotations

import pytest
import torch

from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.families.sequences.reading import Seen, Sights
from tests.families.contract import count_looks, photo


def seen(n: int) -> Seen:
    return Seen((1,), torch.zeros(n, 4), {})  # 16 bytes a row


def test_what_was_seen_longest_ago_is_forgotten_first() -> None:
    sights = Sights(max_bytes=16 * 5)
    for name, n in (("a", 2), ("b", 2)):
        sights.put((name,), seen(n))
    assert sights.get(("a",)) is not None  # now b is the oldest
    sights.put(("c",), seen(3))
    assert [name for name in "abc" if sights.get((name,))] == ["a", "c"]
    assert sights.n_bytes == 16 * 5


def test_what_is_too_large_or_there_already_is_not_kept() -> None:
    sights = Sights(max_bytes=16 * 3)
    sights.put(("large",), seen(4))
    sights.put(("a",), seen(2))
    sights.put(("a",), seen(2))
    assert (sights.get(("large",)), sights.n_bytes) == (None, 32)


def test_nothing_is_kept_between_calls_unless_it_was_asked_for(
    vlm: Vlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connector in training makes other features of the same image."""
    looks = count_looks(vlm, monkeypatch)
    for _ in range(2):
        vlm.generate([Ask("What?", (photo(1),))], max_new_tokens=1)
    assert (len(looks), vlm.sights.n_bytes) == (2, 0)


def test_images_that_differ_in_one_pixel_are_two_sights(vlm: Vlm) -> None:
    other = photo(1)
    other.putpixel((0, 0), (1, 2, 3))
    one, two = vlm.read([Ask("What?", (image,)) for image in (photo(1), other)])
    assert one.ids == two.ids
    assert one.seen is not two.seen


def test_what_was_read_is_not_read_again(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> None:
    asks = [Ask("What?", (photo(1),)), Ask("Which?", (photo(2),))]
    plain = vlm.generate(asks, max_new_tokens=3)
    read = vlm.read(asks[:1])
    looks = count_looks(vlm, monkeypatch)
    assert vlm.generate([*read, asks[1]], max_new_tokens=3) == plain
    assert vlm.generate(read, max_new_tokens=3) == plain[:1]
    assert len(looks) == 1
