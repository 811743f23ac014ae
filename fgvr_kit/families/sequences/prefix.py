"""Questions about one image begin alike: their common beginning goes through the text model once.

Its keys and values are copied to all rows that share it; each row goes on with its own end. The layout of a row
is [gap, beginning, gap, end], and gaps are masked: what a row says is what it says alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fgvr_kit.families import sequences, turns
from fgvr_kit.families.sequences import decoder, reading
from fgvr_kit.families.sequences.reading import Reading

if TYPE_CHECKING:
    from torch import Tensor

    from fgvr_kit.families.base import Vlm

WORTH = 256
"""Tokens that must be saved in a batch; below, another forward pass costs more than it spares."""


def shared(vlm: Vlm, readings: Sequence[Reading], side: str) -> dict[str, Any] | None:
    """Inputs with the beginnings in `past_key_values`; None where too little is common and nothing else asks for it.

    input_ids, attention_mask and position_ids cover beginnings and ends.  side: where ends are padded.
    """
    import torch
    from transformers import DynamicCache

    groups = _groups(vlm, readings)
    lengths = [_common([readings[n].ids for n in group]) for group in groups]
    saved = sum(length * (len(group) - 1) for length, group in zip(lengths, groups, strict=True))
    if saved < WORTH or (side == "left" and _is_wider_than_window(vlm, readings, groups, lengths)):
        if side != "left" or not _wants_first_pass(vlm, readings):
            return None
        groups = [[n] for n in range(len(readings))]  # every row but its last token: no gap inside
        lengths = [len(one.ids) - 1 for one in readings]
    pad_id, device, model = turns.pad_id(vlm.tokenizer), vlm.device, vlm.base_model
    firsts = [group[0] for group in groups]
    heads = sequences.pad(
        [readings[n].ids[:length] for n, length in zip(firsts, lengths, strict=True)], pad_id, device,
        side="left",
    )  # fmt: skip
    of_row = {n: g for g, group in enumerate(groups) for n in group}
    rows = range(len(readings))
    tails = sequences.pad([readings[n].ids[lengths[of_row[n]] :] for n in rows], pad_id, device, side=side)
    copies = torch.tensor([of_row[n] for n in rows], device=device)
    inputs: dict[str, Any] = {
        name: torch.cat([heads[name][copies], tails[name]], dim=1) for name in ("input_ids", "attention_mask")
    }
    inputs["position_ids"] = _positions(vlm, readings, inputs["attention_mask"])
    cache = DynamicCache(config=model.get_decoder().config)
    features = [seen.features for n in firsts if (seen := readings[n].seen) is not None]
    sequences.decode(
        model, vlm.family, heads["input_ids"], features, heads["attention_mask"],
        positions=inputs["position_ids"][..., firsts, : heads["input_ids"].shape[1]], cache=cache,
    )  # fmt: skip
    cache.batch_select_indices(copies)
    return inputs | {"past_key_values": cache}


def last_states(vlm: Vlm, inputs: dict[str, Any]) -> Tensor:
    """(B, H): the state at the last token of each row of `shared(..., side="right")`."""
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    done = inputs["past_key_values"].get_seq_length()
    hidden = sequences.decode(
        vlm.base_model, vlm.family, ids[:, done:], (), mask,
        positions=inputs["position_ids"][..., done:], cache=inputs["past_key_values"],
    )  # fmt: skip
    return sequences.last_states(hidden, mask[:, done:])


def _is_wider_than_window(
    vlm: Vlm, readings: Sequence[Reading], groups: Sequence[Sequence[int]], lengths: Sequence[int]
) -> bool:
    """Whether gaps would count: a layer that looks back a number of places looks back fewer tokens then."""
    config = vlm.base_model.get_decoder().config
    window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
    if not window or (kinds and not any("sliding" in kind for kind in kinds)):
        return False
    ends = [
        len(readings[n].ids) - length for group, length in zip(groups, lengths, strict=True) for n in group
    ]
    return max(lengths) + max(ends) > int(window)


def _wants_first_pass(vlm: Vlm, readings: Sequence[Reading]) -> bool:
    features = [one.seen.features for one in readings if one.seen is not None]
    width = int(vlm.base_model.get_input_embeddings().weight.shape[1])
    return vlm.family.by_parts and decoder.wants_first_pass(vlm.family, features, width)


def _groups(vlm: Vlm, readings: Sequence[Reading]) -> list[list[int]]:
    """Rows that begin alike up to their last image token; a row without images shares nothing."""
    if not vlm.family.by_parts or any(one.seen is None for one in readings):
        return [[n] for n in range(len(readings))]
    image = sequences.image_token_id(vlm.base_model)
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for n, one in enumerate(readings):
        end = len(one.ids) - one.ids[::-1].index(image)
        groups.setdefault((id(one.seen), one.ids[:end]), []).append(n)
    return list(groups.values())


def _common(rows: Sequence[tuple[int, ...]]) -> int:
    """Tokens that all rows begin with; each row keeps one at least for its end."""
    shortest = min(map(len, rows))
    columns = enumerate(zip(*rows, strict=False))
    return min(next((n for n, column in columns if len(set(column)) > 1), shortest), shortest - 1)


def _positions(vlm: Vlm, readings: Sequence[Reading], mask: Tensor) -> Tensor:
    """(B, T), or (3, B, T) for M-RoPE: the position of each token in its row, gaps not counted."""
    if vlm.family.plain_positions:
        return (mask.cumsum(dim=1) - 1).clamp(min=0)
    inputs, _ = reading.batch(vlm, readings, "right")
    dense = sequences.grid_positions(vlm.base_model, inputs)
    found = dense.new_zeros(3, *mask.shape)
    found[:, mask.bool()] = dense[:, inputs["attention_mask"].bool()]
    return found
