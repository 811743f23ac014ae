"""All that one training step asks of the text model: main sequences, objects and texts, in one packed pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fgvr_kit.families import sequences
from fgvr_kit.families.sequences import packing

if TYPE_CHECKING:
    from torch import Tensor

    from fgvr_kit.families.base import Vlm
    from fgvr_kit.families.sequences.packing import Segment

_NOT_SUPERVISED = -100


@dataclass(frozen=True, slots=True)
class States:
    """What a step needs of the last hidden state (after the final norm), with gradients.

    answers: (N, H), the states that foretell the supervised tokens, row after row; targets: (N,), those
    tokens. Next-token loss is cross_entropy(vlm.logits(answers).float(), targets).
    objects: (B, H), as of embed_objects.  texts: (U, H), as of embed_texts.
    What was not asked for has no rows.
    """

    answers: Tensor
    targets: Tensor
    objects: Tensor
    texts: Tensor


def embed(
    vlm: Vlm,
    inputs: Mapping[str, Any],
    features: Sequence[Tensor],
    texts: Sequence[str],
    labels: Tensor | None,
    *,
    objects: bool,
) -> States:
    """See Vlm.embed_step."""
    import torch

    mains = [] if labels is None else _segments(vlm, inputs, features)
    images = _segments(vlm, vlm.image_prompt(inputs), features) if objects else []
    words = [packing.Segment(ids) for ids in vlm.text_ids(texts)]
    parts = [*mains, *images, *words]
    if not parts or not packing.isolates(vlm.base_model, vlm.family):
        return _in_turn(vlm, inputs, features, texts, labels, objects=objects)
    starts = packing.lay_out(parts)
    targets, places = _foretold(labels, starts) if labels is not None else ([], [])
    ends = [start + len(part.ids) - 1 for start, part in zip(starts, parts, strict=True)][len(mains) :]
    states = packing.run(vlm.base_model, vlm.family, parts, [*places, *ends])
    answers, *vectors = states.split([len(places), len(images), len(words)])
    return States(answers, torch.tensor(targets, dtype=torch.long, device=states.device), *vectors)


def _segments(vlm: Vlm, inputs: Mapping[str, Any], features: Sequence[Tensor]) -> list[Segment]:
    """The rows of a batch, with the positions that its images have."""
    plain = vlm.family.plain_positions or not any(len(one) for one in features)
    positions = None if plain else sequences.grid_positions(vlm.base_model, inputs)
    return packing.segments(inputs, features, positions)


def _foretold(labels: Tensor, starts: Sequence[int]) -> tuple[list[int], list[int]]:
    """The supervised tokens, and the places of the tokens before them in the packed rows."""
    targets: list[int] = []
    places: list[int] = []
    for start, row in zip(starts, labels.tolist(), strict=False):
        wanted = [n for n, token in enumerate(row) if n and token != _NOT_SUPERVISED]
        targets += [row[n] for n in wanted]
        places += [start + n - 1 for n in wanted]
    return targets, places


def _in_turn(
    vlm: Vlm,
    inputs: Mapping[str, Any],
    features: Sequence[Tensor],
    texts: Sequence[str],
    labels: Tensor | None,
    *,
    objects: bool,
) -> States:
    """The same out of padded passes: main sequences, objects, and a pass for each length of texts."""
    import torch

    table = vlm.base_model.get_input_embeddings().weight
    nothing = table.new_zeros(0, table.shape[1])
    answers, targets = nothing, torch.zeros(0, dtype=torch.long, device=table.device)
    if labels is not None:
        following = labels[:, 1:].to(table.device)  # (B, T - 1)
        supervised = following != _NOT_SUPERVISED
        answers = vlm.hidden_states(inputs, features)[:, :-1][supervised]
        targets = following[supervised]
    return States(
        answers,
        targets,
        vlm.embed_objects(inputs, features) if objects else nothing,
        vlm.embed_texts(texts) if texts else nothing,
    )
