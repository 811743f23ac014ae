"""Forward passes through the parts of a model: images to features, embeddings to hidden states.

The vision tower runs once; its features are then put where the text holds image tokens, in the main sequence
and in the image-only prompt alike. Sequences are right-padded, so rows do not depend on their companions.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fgvr_kit.families.sequences.decoder import decode, embed, image_token_id

if TYPE_CHECKING:
    from torch import Tensor

    from fgvr_kit.families import Family

__all__ = ["decode", "embed", "image_token_id"]


def image_features(model: Any, inputs: Mapping[str, Any]) -> list[Tensor]:
    """One (n_i, W) tensor for each row of inputs, with gradients.

    W is the width of the text model; with DeepStack, as many times that as it has layers of features.
    """
    import torch

    counts = (inputs["input_ids"] == image_token_id(model)).sum(dim=1).tolist()
    if "pixel_values" not in inputs:
        table = model.get_input_embeddings().weight
        return [table.new_zeros(0, table.shape[1]) for _ in counts]
    accepted = inspect.signature(model.get_image_features).parameters
    output = model.get_image_features(**{k: v for k, v in inputs.items() if k in accepted})
    parts = getattr(output, "pooler_output", output)  # per row, per image or packed, as the family likes
    layers = [parts, *(getattr(output, "deepstack_features", None) or ())]
    packed = torch.cat([_rows(layer) for layer in layers], dim=-1)
    return list(packed.split(counts))


def hidden_states(
    model: Any, family: Family, inputs: Mapping[str, Any], features: Sequence[Tensor]
) -> Tensor:
    """(B, T, H) after the final norm, with the features in the places of the image tokens."""
    positions = None if family.plain_positions else grid_positions(model, inputs)
    return decode(model, family, inputs["input_ids"], features, inputs["attention_mask"], positions=positions)


def _rows(parts: Any) -> Tensor:
    """(N, H) of a tensor or of tensors, one a row, an image or a tile."""
    import torch

    return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts])


def image_prompt(model: Any, inputs: Mapping[str, Any], marks: Sequence[int], eos_id: int) -> dict[str, Any]:
    """Inputs that hold, of each row, its image tokens (with the marks around them) and one end token."""
    import torch

    image = image_token_id(model)
    keep = torch.isin(inputs["input_ids"], torch.tensor([image, *marks], device=inputs["input_ids"].device))
    rows = [[*ids[kept].tolist(), eos_id] for ids, kept in zip(inputs["input_ids"], keep, strict=True)]
    prompt = pad(rows, eos_id, inputs["input_ids"].device)
    prompt["mm_token_type_ids"] = (prompt["input_ids"] == image).int()
    return {**{k: v for k, v in inputs.items() if k == "image_grid_thw"}, **prompt}


def embed_rows(model: Any, family: Family, rows: Sequence[list[int]], pad_id: int, *, bucket: bool) -> Tensor:
    """(N, H): the state at the last token of each row of ids."""
    import torch

    table = model.get_input_embeddings()
    order = sorted(range(len(rows)), key=lambda n: len(rows[n])) if bucket else list(range(len(rows)))
    states: list[Tensor] = []
    for group in _groups(order, [len(row) for row in rows]) if bucket else [order]:
        batch = pad([rows[n] for n in group], pad_id, table.weight.device)
        hidden = decode(model, family, batch["input_ids"], (), batch["attention_mask"])
        states.append(last_states(hidden, batch["attention_mask"]))
    if not states:
        return table.weight.new_zeros(0, table.weight.shape[1])
    back = torch.tensor(order, device=table.weight.device).argsort()
    return torch.cat(states)[back]


def last_states(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """(B, T, H) -> (B, H): the state at the last token that is no padding; rows are padded on the right."""
    import torch

    return hidden[torch.arange(len(hidden), device=hidden.device), attention_mask.sum(dim=1) - 1]


def grid_positions(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """(3, B, T): time, height and width of each token (M-RoPE)."""
    accepted = inspect.signature(model.model.get_rope_index).parameters
    positions: Tensor = model.model.get_rope_index(**{k: v for k, v in inputs.items() if k in accepted})[0]
    return positions


def pad(rows: Sequence[Sequence[int]], pad_id: int, device: Any, *, side: str = "right") -> dict[str, Tensor]:
    """(B, T) ids and attention mask of rows of unequal length."""
    import torch

    width = max(len(row) for row in rows)
    gaps = [width - len(row) for row in rows]
    left = side == "left"
    ids = [
        [*[pad_id] * gap, *row] if left else [*row, *[pad_id] * gap]
        for row, gap in zip(rows, gaps, strict=True)
    ]
    mask = [
        [0] * gap + [1] * len(row) if left else [1] * len(row) + [0] * gap
        for row, gap in zip(rows, gaps, strict=True)
    ]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }


def _groups(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut rows, shortest first, where the next one is far longer than the first of its group."""
    groups: list[list[int]] = []
    for n in order:
        # 1.5 x + 4 tokens: names stay with names, descriptions with descriptions, few passes in all.
        if groups and lengths[n] <= 1.5 * lengths[groups[-1][0]] + 4:
            groups[-1].append(n)
        else:
            groups.append([n])
    return groups
