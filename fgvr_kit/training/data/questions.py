"""The questions of stage instruct: the same prompts that evaluation asks, with options in a seeded order. No torch.

The order of options is drawn anew in every epoch: a model that saw one image behind one letter all the time could
learn the letter. Finedefics trains one epoch, where it makes no difference.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from fgvr_kit.prompts import Prompts
from fgvr_kit.types import Image, ImageRef, Negative

LETTERS = string.ascii_uppercase


@dataclass(frozen=True, slots=True)
class InstructExample:
    """image, the user's turn, and the answer to learn: a class's display name or the letter of an option."""

    image: ImageRef
    question: str
    system: str
    answer: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An image and its class; with options (the true one first) it is a multiple-choice question."""

    image: ImageRef
    truth: str
    options: tuple[str, ...] = ()


class InstructRows(Sequence[InstructExample]):
    """Examples that are rendered when they are looked at; those of one epoch until `set_epoch` names another."""

    def __init__(self, prompts: Prompts, shown: Sequence[Shown], *, seed: int) -> None:
        self._shown = shown
        self._seed = seed
        self._epoch = 0
        self._open = prompts.render("ask/open")
        self._choice = prompts.get("ask/choice")

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's data loader before each pass; on resume too."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._shown)

    @overload
    def __getitem__(self, place: int) -> InstructExample: ...
    @overload
    def __getitem__(self, place: slice) -> list[InstructExample]: ...
    def __getitem__(self, place: int | slice) -> InstructExample | list[InstructExample]:
        if isinstance(place, slice):
            return [self._example(shown) for shown in self._shown[place]]
        return self._example(self._shown[place])

    def _example(self, shown: Shown) -> InstructExample:
        if not shown.options:
            return InstructExample(shown.image, self._open.text, self._open.system, shown.truth)
        names = shuffled(shown.options, shown.image.sha256, seed=self._seed, epoch=self._epoch)
        prompt = self._choice.render(options=list(zip(LETTERS, names, strict=False)))
        return InstructExample(shown.image, prompt.text, prompt.system, LETTERS[names.index(shown.truth)])


def shuffled(names: Sequence[str], sha256: str, *, seed: int, epoch: int = 0) -> list[str]:
    """The first 26 names in the order in which they are shown.

    It hangs on the seed, the epoch and the image's pixels alone, so that adding images moves no other row.
    """
    shown = list(names)[: len(LETTERS)]
    random.Random(f"{seed} {sha256} {epoch}").shuffle(shown)
    return shown


def shuffled_options(image: Image, negatives: Sequence[Negative], *, seed: int) -> list[str]:
    """Class names in the order in which the first epoch shows them: the true one and those of the negatives."""
    names = dict.fromkeys([image.class_name, *(negative.class_name for negative in negatives)])
    return shuffled(list(names), image.sha256, seed=seed)
