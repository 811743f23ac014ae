"""Attention over many sequences that lie one behind the other in one row: each group of like length is a batch.

Handed to transformers as a kind of attention of its own (AttentionInterface). Without groups it is "sdpa". No
mask is built: sequences are padded on the right for the attention alone, and a causal token does not see
what stands behind it. So kernels stay the fast ones, and memory does not grow with the square of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_of_groups"


@dataclass(frozen=True, slots=True)
class Group:
    """n sequences in a row of tokens, padded to width.

    into: (n x width,) the token of each padded place, any at padding; back: (n_tokens,) the padded place of each
    token; None when all are of one length.  mask: (n, 1, width, width) bool; None is causal.
    """

    n: int
    width: int
    n_tokens: int
    into: Tensor | None
    back: Tensor | None
    mask: Tensor | None = None


def groups_of(lengths: Sequence[int], device: Any) -> list[Group]:
    """Groups of sequences that follow each other; lengths should be sorted."""
    groups: list[list[int]] = []
    for length in lengths:
        # A quarter more at most, and names among themselves: padding costs less than another call.
        if groups and length <= 1.25 * groups[-1][0] + 8:
            groups[-1].append(length)
        else:
            groups.append([length])
    return [_group(group, device) for group in groups]


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    groups: Sequence[Group] | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """query: (1, heads, T, D), key and value alike -> (1, T, heads, D). Without groups: "sdpa"."""
    if groups is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    sizes = [group.n_tokens for group in groups]
    rows = zip(*(states.split(sizes, dim=2) for states in (query, key, value)), strict=True)
    found = []
    for group, qkv in zip(groups, rows, strict=True):
        q, k, v = (_padded(states, group) for states in qkv)  # (n, heads, width, D)
        mask = _seen(group, options.get("sliding_window"), query.device)
        states, _ = sdpa_attention_forward(module, q, k, v, mask, **options)  # (n, width, heads, D)
        flat = states.flatten(0, 1)
        found.append(flat if group.back is None else _Gathered.apply(flat, group.back))
    return torch.cat(found)[None], None


def _group(lengths: Sequence[int], device: Any) -> Group:
    n, width, total = len(lengths), max(lengths), sum(lengths)
    if n * width == total:
        return Group(n, width, total, None, None)
    places = torch.arange(width) < torch.tensor(lengths)[:, None]  # (n, width)
    back = places.flatten().nonzero().squeeze(1)
    into = torch.zeros(n * width, dtype=torch.long)
    into[back] = torch.arange(total)
    return Group(n, width, total, into.to(device), back.to(device))


def _seen(group: Group, window: int | None, device: Any) -> Tensor | None:
    """What a token sees in a layer that looks back over `window` tokens, itself among them; None is causal."""
    if window is None or group.width <= window:
        return group.mask
    square = torch.ones(group.width, group.width, dtype=torch.bool, device=device)
    near = square.triu(1 - window)
    return near.tril()[None, None] if group.mask is None else group.mask & near


def _padded(states: Tensor, group: Group) -> Tensor:
    """(1, heads, tokens, D) -> (n, heads, width, D)."""
    if group.into is not None:
        states = _Spread.apply(states, group.into, group.back)
    return states[0].unflatten(1, (group.n, group.width)).transpose(0, 1)


class _Spread(torch.autograd.Function):
    """(1, heads, tokens, D) -> (1, heads, n x width, D). What stands at padding is never looked at."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, into: Tensor, back: Tensor) -> Tensor:
        ctx.back = back
        return states.index_select(2, into)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0].index_select(2, ctx.back), None, None


class _Gathered(torch.autograd.Function):
    """(n x width, heads, D) -> (tokens, heads, D)."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, back: Tensor) -> Tensor:
        ctx.n, ctx.back = len(states), back
        return states.index_select(0, back)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        wide = gradients[0].new_zeros(ctx.n, *gradients[0].shape[1:])
        return wide.index_copy_(0, ctx.back, gradients[0]), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
