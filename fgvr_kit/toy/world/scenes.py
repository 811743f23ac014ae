"""Scenes by number: what is true, and the picture of it. Combinations that are kept out never occur in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from fgvr_kit.toy.world import facts as facts_of
from fgvr_kit.toy.world.drawing import picture
from fgvr_kit.toy.world.facts import Facts
from fgvr_kit.toy.world.held_out import KEPT_OUT

TRAINING_SEEDS = range(1000)
"""Worlds that a model may be trained on. Measuring takes seeds from 1000 on."""


@dataclass(frozen=True, slots=True)
class Scene:
    """facts, (112, 112, 3) uint8 RGB pixels and (32, 32, 5) layers of one picture, see drawing.picture."""

    facts: Facts
    pixels: NDArray[np.uint8]
    layers: NDArray[np.float32]


def scene(seed: int, index: int, easy: float = 0.0) -> Scene:
    """Picture number `index` of a world; never one of the combinations that are kept out.

    easy: how likely it is one of those that learning begins with: large, sharp, in the middle (facts.EASY).
    """
    rng = np.random.default_rng([seed, index])
    fixed = facts_of.EASY if rng.random() < easy else {}
    drawn = facts_of.draw(rng, fixed)
    while drawn.identity in KEPT_OUT:
        drawn = facts_of.draw(rng, fixed)
    return Scene(drawn, *picture(drawn, rng))


def scene_of(fixed: Mapping[str, str], seed: int, index: int) -> Scene:
    """Picture number `index` of something with these values; everything else is drawn, for each of its own."""
    rng = np.random.default_rng([seed, index, crc32(repr(sorted(fixed.items())).encode())])
    drawn = facts_of.draw(rng, fixed)
    return Scene(drawn, *picture(drawn, rng))
