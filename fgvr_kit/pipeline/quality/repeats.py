"""Attributes that say the same of the same images: one of them is enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fgvr_kit.pipeline.quality.words import UNSEEN, Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME = 0.8
"""Agreement beyond chance (Cohen's kappa, 1960) from which two attributes are the same."""
LEAST_TELLING = 10
"""Images on which two attributes must not both have their commonest answer: on fewer they may agree by chance."""
_NO_ANSWER = -1
_UNSEEN = 0


def repeats(read: Mapping[str, Mapping[int, Words]], n_images: int) -> dict[str, str]:
    """Attribute -> an earlier one that it says the same as, of the images that both have an answer about.

    read: attribute -> place of an image -> its answer's words.
    """
    codes: dict[Words, int] = {UNSEEN: _UNSEEN}
    columns = {}
    for name, answers in read.items():
        columns[name] = column = np.full(n_images, _NO_ANSWER, dtype=np.intp)
        for place, words in answers.items():
            column[place] = codes.setdefault(words, len(codes))
    found: dict[str, str] = {}
    names = list(columns)
    for later, name in enumerate(names):
        for earlier in names[:later]:
            if earlier not in found and _is_same(columns[earlier], columns[name]):
                found[name] = earlier
                break
    return found


def _is_same(first: NDArray[np.intp], second: NDArray[np.intp]) -> bool:
    """Where one of both is seen, they agree beyond chance; and where not both say the commonest, they agree as often:
    two things that are rare agree on nearly all images in not being there."""
    is_told = (first != _NO_ANSWER) & (second != _NO_ANSWER) & ((first != _UNSEEN) | (second != _UNSEEN))
    first, second = first[is_told], second[is_told]
    if len(first) < LEAST_TELLING:
        return False
    counts, others = np.bincount(first), np.bincount(second)
    is_common = (first == counts.argmax()) & (second == others.argmax())
    if (~is_common).sum() < LEAST_TELLING or (first == second)[~is_common].mean() < SAME:
        return False
    n = min(len(counts), len(others))
    chance = float(counts[:n] @ others[:n]) / len(first) ** 2
    return chance < 1 and (float((first == second).mean()) - chance) / (1 - chance) >= SAME
