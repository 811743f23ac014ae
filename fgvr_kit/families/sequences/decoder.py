"""One pass through a text model: embeddings in, last hidden state out, whatever the family wants beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from fgvr_kit.families import Family


def embed(model: Any, ids: Tensor, features: Sequence[Tensor]) -> Tensor:
    """(B, T) -> (B, T, H): embeddings of the words, features where the ids are image tokens."""
    embeds: Tensor = model.get_input_embeddings()(ids)
    places = ids == image_token_id(model)  # (B, T)
    packed = _packed(features)
    assert int(places.sum()) == (0 if packed is None else len(packed)), "as many features as image tokens"
    if packed is None:
        return embeds
    return embeds.masked_scatter(places.unsqueeze(-1), packed[:, : embeds.shape[-1]].to(embeds.dtype))


def decode(
    model: Any,
    family: Family,
    ids: Tensor,
    features: Sequence[Tensor],
    mask: Tensor,
    *,
    positions: Tensor | None = None,
    cache: Any = None,
    **options: Any,
) -> Tensor:
    """(B, T) ids with their images' features -> (B, T, H) after the final norm.

    mask: (B, cached + T).  positions: of the T tokens; None numbers them from 0.  cache: is filled further.
    options: more, for the attention of each layer.
    """
    embeds = embed(model, ids, features)
    output = model.get_decoder()(
        inputs_embeds=embeds,
        attention_mask=_mask(model, family, ids, embeds, mask, positions, cache),
        position_ids=positions,
        past_key_values=cache,
        use_cache=cache is not None,
        **_for_later_layers(model, ids, features, embeds),
        **options,
    )
    state: Tensor = output.last_hidden_state
    return state


def wants_first_pass(family: Family, features: Sequence[Tensor], width: int) -> bool:
    """Whether `generate` cannot be given embeddings: it would lose what goes beside them."""
    return any(len(one) > 0 for one in features) and (
        family.whole_images or any(one.shape[-1] > width for one in features)
    )


def image_token_id(model: Any) -> int:
    config = model.config
    known = getattr(config, "image_token_id", None)
    return int(config.image_token_index if known is None else known)


def _packed(features: Sequence[Tensor]) -> Tensor | None:
    """(N, W) of all images in a row; None without any."""
    import torch

    rows = [one for one in features if len(one)]
    return torch.cat(rows) if rows else None


def _mask(
    model: Any,
    family: Family,
    ids: Tensor,
    embeds: Tensor,
    mask: Tensor,
    positions: Tensor | None,
    cache: Any,
) -> Any:
    """Causal; where a family wants it, the tokens of each image see all of it."""
    images = ids == image_token_id(model)
    if mask.dim() == 4 or not family.whole_images or not images.any():
        return mask
    return model.create_masks_for_generate(
        config=model.config,
        inputs_embeds=embeds,
        attention_mask=mask,
        past_key_values=cache,
        position_ids=positions,
        token_type_ids=images.long(),
    )


def _for_later_layers(model: Any, ids: Tensor, features: Sequence[Tensor], embeds: Tensor) -> dict[str, Any]:
    """Features wider than the text model hold, beside what is embedded, what its first layers add (DeepStack)."""
    packed, width = _packed(features), embeds.shape[-1]
    if packed is None or packed.shape[-1] == width:
        return {}
    return {
        "visual_pos_masks": ids == image_token_id(model),
        "deepstack_visual_embeds": list(packed[:, width:].split(width, dim=-1)),
    }
