from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fgvr_kit.dataset.facts import thumbs
from fgvr_kit.dataset.forms import (
    EXCHANGED,
    FLIPS,
    FORMS,
    UPRIGHT,
    form_between,
    in_form,
    signs,
    steps,
    thumb_order,
)
from tests.photographs import facts_of_image, photograph

ARROW = Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8))


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_a_thumb_is_turned_as_its_picture_is(form: int) -> None:
    flat = np.asarray(ARROW).ravel()
    assert flat[thumb_order(form)].tobytes() == in_form(ARROW, form).tobytes()


def test_the_eight_forms_are_eight() -> None:
    assert len({in_form(ARROW, form).tobytes() for form in range(len(FORMS))}) == 8
    assert in_form(ARROW, 5).tobytes() == ARROW.rotate(-90).tobytes()
    assert FORMS[3] == "turned 180°"
    assert in_form(ARROW, 3).tobytes() == ARROW.rotate(180).tobytes()


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_signs_know_every_form(form: int) -> None:
    """To the bit: a turned thumb has the signs of the thumb, exchanged and turned round."""
    small = thumbs([facts_of_image(photograph(n)).thumb for n in range(20)])
    turned = small.reshape(20, -1)[:, thumb_order(form)].reshape(small.shape)
    plain, exchanged = signs(small)
    base = exchanged if form & EXCHANGED else plain
    assert (base ^ FLIPS[form % 4]).tolist() == signs(turned)[0].tolist()
    assert steps(base).tolist() == steps(signs(turned)[0]).tolist()


def test_one_sign_changes_two_steps_at_most() -> None:
    one = np.array([0x123456789ABCDEF0], dtype=np.uint64)
    for bit in range(64):
        changed = steps(one ^ np.uint64(1 << bit))
        assert np.bitwise_count(steps(one) ^ changed)[0] <= 2


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_the_form_between_two_pictures_is_told(form: int) -> None:
    one = photograph(3).resize((200, 150))
    assert FORMS[form_between(facts_of_image(one), facts_of_image(in_form(one, form)))] == FORMS[form]


def test_pictures_of_one_colour_are_upright() -> None:
    grey = facts_of_image(Image.new("RGB", (50, 50), "grey"))
    assert form_between(grey, grey) == UPRIGHT
