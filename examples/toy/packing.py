"""Questions about one picture in one row: each sees the picture and itself, exactly as if it were asked alone.

A row holds "<s>User:" with the picture, then turns one behind the other. Attention keeps turns apart and positions
count from the picture on in each of them, so that a vision pass and a prefix are paid for once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.toy.tokens import IMAGE_TOKENS
from fgvr_kit.toy.world import scenes, texts, turns
from fgvr_kit.toy.world.facts import VALUES, Facts
from fgvr_kit.toy.world.turns import Turn

END = "<end_of_utterance>"
_AROUND = "<fake_token_around_image>"
_TRIES = 3
_WORDS_ALONE = 0.15
"""Share of the turns that are about words alone."""

ATTRIBUTES = tuple(VALUES)
UNKNOWN = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows of T tokens; T is 0 where pictures are looked at without words.

    pixels: (B, 112, 112, 3) uint8.  layers: (B, 32, 32, 5), what lies where.  facts: (B, len(ATTRIBUTES)) number
    of the value, UNKNOWN where there is none.  ids, positions: (B, T).  part: (B, T), 0 the picture, 1.. the
    turns, -1 padding.  sees: (B, T) bool, of a turn that sees the picture.  weight: (B, T), how much it counts to
    foretell this token; 0 outside of answers.  turns: those of each row, part 1 first.
    """

    pixels: NDArray[np.uint8]
    layers: NDArray[np.float32]
    facts: NDArray[np.int64]
    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    part: NDArray[np.int64]
    sees: NDArray[np.bool_]
    weight: NDArray[np.float32]
    turns: list[list[Turn]]


class Packer:
    """Batches by number. The same seed and number give the same batch."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        picture = f"User:{_AROUND}{'<image>' * IMAGE_TOKENS}{_AROUND}"
        self.prefix: list[int] = tokenizer(picture)["input_ids"]

    def ids_of(self, turn: Turn) -> tuple[list[int], list[int]]:
        """(question, answer with its end), without what stands before the question of a picture."""
        # The processor sets a space between a picture and what follows it.
        start = f" {turn.text}" if turn.sees else f"User: {turn.text}"
        talk = "".join(f" {said}{END}\nUser: {told}{END}\nAssistant:" for said, told in turn.before)
        asked = self._plain(f"{start}{END}\nAssistant:{talk}")
        asked = asked if turn.sees else [self._tokenizer.bos_token_id, *asked]
        return asked, self._plain(f" {turn.answer}{END}")

    def pictures(self, seed: int, first: int, rows: int, easy: float = 0.0) -> Batch:
        """Scenes from number `first` on, without words. easy: as of scenes.scene."""
        found = [scenes.scene(seed, first + n, easy) for n in range(rows)]
        none = np.zeros((rows, 0), dtype=np.int64)
        return Batch(
            np.stack([one.pixels for one in found]),
            np.stack([one.layers for one in found]),
            np.stack([numbered(one.facts) for one in found]),
            none, none, none, none.astype(bool), none.astype(np.float32), [[] for _ in found],
        )  # fmt: skip

    def batch(self, seed: int, first: int, rows: int, length: int, easy: float = 0.0) -> Batch:
        """Scenes from number `first` on, with as many turns as fit."""
        made = [self._row(seed, first + n, length, easy) for n in range(rows)]
        *columns, held = list(zip(*made, strict=True))
        return Batch(*(np.stack(column) for column in columns), list(held))  # type: ignore[arg-type]

    def _row(self, seed: int, index: int, length: int, easy: float) -> tuple[Any, ...]:
        found = scenes.scene(seed, index, easy)
        rng = np.random.default_rng([seed, index, 2])
        n = len(self.prefix)
        ids, positions, part = list(self.prefix), list(range(n)), [0] * n
        sees, weight = [True] * n, [0.0] * n
        held: list[Turn] = []
        while fitting := self._fitting(found.facts, rng, length - len(ids)):
            turn, asked, answer = fitting
            held.append(turn)
            size, first = len(asked) + len(answer), 0 if asked[0] == self.prefix[0] else n
            ids += asked + answer
            positions += range(first, first + size)
            part += [len(held)] * size
            sees += [first > 0] * size
            weight += [0.0] * len(asked) + [len(answer) ** -0.5] * len(answer)
        gap = length - len(ids)
        return (
            found.pixels,
            found.layers,
            numbered(found.facts),
            np.array(ids + [0] * gap),
            np.array(positions + [0] * gap),
            np.array(part + [-1] * gap),
            np.array(sees + [False] * gap),
            np.array(weight + [0.0] * gap, dtype=np.float32),
            held,
        )

    def _fitting(
        self, facts: Facts, rng: np.random.Generator, room: int
    ) -> tuple[Turn, list[int], list[int]] | None:
        for _ in range(_TRIES):
            turn = texts.turn(rng) if rng.random() < _WORDS_ALONE else turns.turn(facts, rng)
            asked, answer = self.ids_of(turn)
            if len(asked) + len(answer) <= room:
                return turn, asked, answer
        return None

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def numbered(facts: Facts) -> NDArray[np.int64]:
    """(len(ATTRIBUTES),) the number of each value in VALUES."""
    held = [facts[name] for name in ATTRIBUTES]
    return np.array([VALUES[name].index(value) if value else UNKNOWN
                     for name, value in zip(ATTRIBUTES, held, strict=True)])  # fmt: skip
