"""Does the image reach the model? A family that is put together wrongly, or a template without an image token, trains
without an error and learns words alone: the loss must change when the images are swapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fgvr_kit.errors import ModelError
from fgvr_kit.training.data.augmentation import photograph
from fgvr_kit.training.data.examples import AlignExample, BothExample, InstructExample

if TYPE_CHECKING:
    from fgvr_kit.families.base import Ask, Vlm

N_COMPARED = 4
SAME = 1e-6
"""Losses that differ by less, relative to their size, are equal but for the order of additions."""


def refuse_blind(vlm: Vlm, rows: Sequence[Any]) -> None:
    """Compare the loss on a few examples with their own and with each other's images.

    Raises ModelError "image-not-seen" when it is the same for all of them. Nothing is compared when the examples
    show one picture only.
    """
    examples = _different(rows)
    if len(examples) < 2:
        return
    own = [ask_of(example) for example in examples]
    swapped = [_with_picture_of(ask, other) for ask, other in zip(own, [*own[1:], own[0]], strict=True)]
    answers = [answer_of(example) for example in examples]
    right = [loss_of(vlm, ask, answer) for ask, answer in zip(own, answers, strict=True)]
    wrong = [loss_of(vlm, ask, answer) for ask, answer in zip(swapped, answers, strict=True)]
    if all(abs(a - b) <= SAME * max(1.0, abs(a)) for a, b in zip(right, wrong, strict=True)):
        raise ModelError(
            f"the image does not reach the model: with swapped images the loss stays {right[0]:.6g}",
            code="image-not-seen",
            where=vlm.name,
            why=f"compared on {len(examples)} examples; the {vlm.family.model_types[0]} family leaves them unchanged",
            hint="does the chat template write the image token? fgvr-kit train --preview shows what the model gets",
        )


def loss_of(vlm: Vlm, ask: Ask, answer: str) -> float:
    """Next-token loss of one answer, as training computes it, without dropout and gradients."""
    import torch

    from fgvr_kit.training.losses import next_token_loss

    was_training = vlm.model.training
    vlm.model.eval()
    try:
        with torch.no_grad():
            encoded = vlm.encode([ask], [answer])
            hidden = vlm.hidden_states(encoded.inputs, vlm.image_features(encoded.inputs))  # (1, T, H)
            return float(next_token_loss(vlm.logits, hidden, encoded.labels.to(vlm.device)))
    finally:
        vlm.model.train(was_training)


def ask_of(row: AlignExample | InstructExample | BothExample) -> Ask:
    """The user's turn of an example, with its picture."""
    from fgvr_kit.families.base import Ask

    example = row.align if isinstance(row, BothExample) else row
    return Ask(example.question, (photograph(example.image),), system=example.system)


def answer_of(row: AlignExample | InstructExample | BothExample) -> str:
    """What an example trains the model to say."""
    example = row.align if isinstance(row, BothExample) else row
    return example.description if isinstance(example, AlignExample) else example.answer


def _different(rows: Sequence[Any]) -> list[Any]:
    """A few examples of different pictures, from all over the rows."""
    found: dict[str, Any] = {}
    step = max(1, len(rows) // (4 * N_COMPARED))
    for place in [*range(0, len(rows), step), *range(len(rows))]:
        row = rows[place]
        found.setdefault(row.image.sha256, row)
        if len(found) == N_COMPARED:
            break
    return list(found.values())


def _with_picture_of(ask: Ask, other: Ask) -> Ask:
    """In the size of its own picture: the number of image tokens must stay, or the loss changes for that alone."""
    return replace(ask, images=(other.images[0].resize(ask.images[0].size),))
