"""Exactly what the model sees: the picture, the whole text, and which of its tokens are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fgvr_kit.training.planning.pixels import pictures_of
from fgvr_kit.training.planning.rehearsed import Rehearsed, loaded, rehearsed, sequence_of
from fgvr_kit.training.runs.image_check import answer_of, ask_of, refuse_blind
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

    from fgvr_kit.families.base import Vlm

N_LONGEST = 8
"""Rows with the most characters that are encoded to find the one with the most tokens."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring tokens of one kind. n: how many; text: what they say, of image tokens one of them."""

    text: str
    n: int
    is_trained: bool
    is_image: bool


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One row as the model gets it. path: of its image.  pictures: several where the processor cuts tiles.

    texts: what stage align embeds beside it, (what, text).
    """

    stage: str
    path: str
    pictures: tuple[Image, ...]
    pieces: tuple[Piece, ...]
    texts: tuple[tuple[str, str], ...] = ()

    @property
    def n_tokens(self) -> int:
        return sum(piece.n for piece in self.pieces)

    @property
    def n_image_tokens(self) -> int:
        return sum(piece.n for piece in self.pieces if piece.is_image)

    @property
    def n_trained(self) -> int:
        return sum(piece.n for piece in self.pieces if piece.is_trained)


@dataclass(frozen=True, slots=True)
class StageSeen:
    """rows: the first of the stage.  longest: the row with the most tokens, of those with the most characters."""

    stage: str
    n_rows: int
    rows: tuple[Seen, ...]
    longest: Seen


@dataclass(frozen=True, slots=True)
class Preview:
    model: str
    note: str | None
    stages: tuple[StageSeen, ...]


def preview(workspace: Workspace, n: int) -> Preview:
    """The first n rows of each stage, from all over the classes, and the longest.

    Loads the model. Raises ModelError "image-not-seen" when the loss is the same with swapped images, and all that
    training raises before its first step.
    """
    stages = rehearsed(workspace)
    vlm = loaded(workspace)
    found = []
    for stage in stages:
        refuse_blind(vlm, stage.examples.rows)
        rows = stage.examples.rows
        step = max(1, len(rows) // n)
        shown = sequence_of([rows[place] for place in range(0, len(rows), step)])[:n]
        longest = max((seen(vlm, stage, row) for row in _longest(stage)), key=lambda row: row.n_tokens)
        name = stage.stage.name
        found.append(StageSeen(name, len(rows), tuple(seen(vlm, stage, row) for row in shown), longest))
    return Preview(vlm.name, vlm.note, tuple(found))


def seen(vlm: Vlm, stage: Rehearsed, row: Any) -> Seen:
    """One row, encoded as in training."""
    encoded = vlm.encode([ask_of(row)], [answer_of(row)])
    ids, labels = encoded.inputs["input_ids"][0].tolist(), encoded.labels[0].tolist()
    whole = encoded.inputs["attention_mask"][0].tolist()
    image_id = image_token(vlm)
    kinds = [
        (token == image_id, label != -100, token)
        for token, label, is_there in zip(ids, labels, whole, strict=True)
        if is_there
    ]
    pictures = tuple(pictures_of(vlm.processor, encoded.inputs))
    texts = _texts(row)
    return Seen(stage.stage.name, str(row.image.path), pictures, _pieces(vlm.tokenizer, kinds), texts)


def image_token(vlm: Vlm) -> int:
    """The id of the token that stands for a part of an image in the text."""
    config = vlm.base_model.config
    for name in ("image_token_id", "image_token_index"):
        if isinstance(found := getattr(config, name, None), int):
            return found
    return -1


def _pieces(tokenizer: Any, kinds: Sequence[tuple[bool, bool, int]]) -> tuple[Piece, ...]:
    pieces = []
    for (is_image, is_trained), group in groupby(kinds, key=lambda kind: kind[:2]):
        ids = [token for _, _, token in group]
        text = tokenizer.decode(ids[:1] if is_image else ids)
        pieces.append(Piece(text, len(ids), is_trained, is_image))
    return tuple(pieces)


def _texts(row: Any) -> tuple[tuple[str, str], ...]:
    if not hasattr(row, "negatives"):
        return ()
    own = [("description", row.description), ("class", row.class_text)]
    return (*own, *((f"not {n.class_text}", n.description) for n in row.negatives))


def _longest(stage: Rehearsed) -> list[Any]:
    return sequence_of(stage.longest(N_LONGEST))
