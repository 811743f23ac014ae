"""Attention of training on a CPU: computed in float32, whatever the rest is; its bfloat16 backward is slow there."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

NAME = "sdpa_float32"


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """As the "sdpa" of transformers, for masks that are given whole; (B, heads, T, D) -> (B, T, heads, D)."""
    kind = query.dtype
    out = F.scaled_dot_product_attention(
        query.float(), key.float(), value.float(), attn_mask=attention_mask, scale=scaling
    )
    return out.transpose(1, 2).to(kind), None


def switch_on(model: Any) -> None:
    """Let all parts of the model attend so; a saved model knows nothing of it."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
