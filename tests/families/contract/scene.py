"""What the families are asked in their contract.

Photographs are noise: a flat colour looks alike to a random vision tower.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgvr_kit.families.base import Ask, Vlm

LETTERS = ["A", "B", "C", "D"]
QUESTION = "Which of these choices is shown in the image?\nA. one\nB. two\nC. three\nD. four"


def photo(seed: int, width: int = 150, height: int = 150) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


ASKS = [
    Ask(QUESTION, (photo(1),)),
    Ask("What colour is the wing, and what shape has the tip?", (photo(2, 90, 60),), system="Be brief."),
    Ask("Describe it.", (photo(3, 60, 120),)),
]
_WORDS = ("What colour?", "What shape has the tip of the wing?", "A?", "Describe it in five sentences.")
QUESTIONS = [
    *(Ask(text, (photo(1),)) for text in _WORDS),
    *(Ask(text, (photo(2, 90, 60),), system="Be brief.") for text in _WORDS),
    Ask("Which one?", (photo(1), photo(3, 60, 120))),
    Ask("And which\ncolours?", (photo(1), photo(3, 60, 120))),
    Ask("And which else?", (photo(1),), turns=(("The first", "Are you sure?"),)),
]
"""Eleven questions about three sights."""
ANSWERS = ["B", "The wing is brown and the tip is pointed.", "Small, with dark spots"]


def count_looks(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each forward pass of the vision tower."""
    looks: list[int] = []
    look = vlm.base_model.get_image_features

    @wraps(look)  # its parameters are looked at
    def counted(*args: Any, **kwargs: Any) -> Any:
        looks.append(1)
        return look(*args, **kwargs)

    monkeypatch.setattr(vlm.base_model, "get_image_features", counted)
    return looks
