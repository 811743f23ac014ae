"""What is true of a picture can be seen on it."""

from __future__ import annotations

import numpy as np
import pytest

from fgvr_kit.toy.world.facts import VALUES
from fgvr_kit.toy.world.scenes import Scene, scene_of

_PLAIN = {
    "kind": "badge", "shape": "round", "second": "none", "pattern": "plain", "marking": "none", "size": "medium",
    "material": "plastic", "light": "neutral", "background": "paper", "others": "no", "position": "centre",
    "sharpness": "sharp",
}  # fmt: skip


def badge(**changed: str) -> list[Scene]:
    return [scene_of({**_PLAIN, **changed}, 1, n) for n in range(4)]


def middle(scenes: list[Scene]) -> np.ndarray:
    """(3,) mean colour around the middle."""
    return np.mean([one.pixels[48:64, 48:64].mean(axis=(0, 1)) for one in scenes], axis=0)


def test_a_thing_has_its_colour() -> None:
    red, blue = middle(badge(colour="red")), middle(badge(colour="blue"))
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]


@pytest.mark.parametrize(
    ("position", "row", "column"), [("left", 0, -1), ("right", 0, 1), ("top", -1, 0), ("bottom", 1, 0)]
)
def test_a_thing_lies_where_it_is_said_to(position: str, row: int, column: int) -> None:
    for one in badge(position=position, colour="red"):
        y, x = (places.mean() - 15.5 for places in np.nonzero(one.layers[..., 0] > 0.5))
        assert y * row > 2 or not row
        assert x * column > 2 or not column


def test_a_larger_thing_covers_more() -> None:
    shares = [np.mean([one.layers[..., 0].mean() for one in badge(size=size)]) for size in VALUES["size"]]
    assert shares[0] < shares[1] < shares[2]


def test_dim_is_darker_than_bright_and_blurred_is_smoother_than_sharp() -> None:
    dim, bright = (np.mean([one.pixels.mean() for one in badge(light=light)]) for light in ("dim", "bright"))
    assert dim < 0.75 * bright
    blurred, sharp = (
        np.mean([np.abs(np.diff(one.pixels.astype(int), axis=0)).mean() for one in badge(sharpness=name)])
        for name in ("blurred", "sharp")
    )
    assert blurred < sharp


def test_a_mark_changes_the_face_and_is_told_where() -> None:
    for one in badge(marking="heart", colour="white"):
        mark = one.layers[..., 1] > 0.5
        assert 10 < mark.sum() < 300
        assert (one.layers[..., 0][mark] > 0.5).all()


@pytest.mark.parametrize("marking", VALUES["marking"])
def test_every_marking_can_be_drawn_on_a_coin(marking: str) -> None:
    fixed = {"kind": "coin", "marking": marking, "size": "large"}
    covered = scene_of(fixed, 1, 0).layers[..., 1].sum()
    assert (covered > 5) == (marking != "none")
