"""The toy VLM: the stock Idefics2 class, small enough to be trained on a CPU."""

from __future__ import annotations

from typing import Any

from examples.toy.tokens import IMAGE_TOKENS, PATCH, SIDE

# Every Linear reads a multiple of 64 numbers: 4-bit weights come in blocks of 64.
WIDTH = 128
VISION_WIDTH = 192
_INNER = 384
_HEAD = 32
_FAINT = 1e-3  # directions fainter than the grain of a camera are left faint
_STRENGTH = 0.5
VISION_LAYERS = 4
TEXT_LAYERS = 4


def new(tokenizer: Any) -> Any:
    """A model with random weights, float32, out of the random state as it is."""
    import torch
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_config(_config(tokenizer), dtype=torch.float32)
    with torch.no_grad():  # all ones by default: latents that start alike stay alike
        model.model.connector.perceiver_resampler.latents.normal_(std=0.5)
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end_of_utterance>")]
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.generation_config.eos_token_id = ends
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def open_eyes(model: Any, pictures: Any) -> None:
    """Let the patches start as the main directions in which patches of pictures differ, each alike strong.

    And let places start as waves as strong as that: from the usual small numbers, where a patch lies is learned late.
    pictures: (N, 3, SIDE, SIDE) as the model takes them.
    """
    import torch

    layer = model.model.vision_model.embeddings.patch_embedding
    patches = torch.nn.functional.unfold(pictures, PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1).double()
    mean = patches.mean(dim=0)
    spread, directions = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    chosen = _STRENGTH * directions[:, -VISION_WIDTH:] * (spread[-VISION_WIDTH:] + _FAINT).rsqrt()
    places = model.model.vision_model.embeddings.position_embedding
    with torch.no_grad():
        places.weight.copy_(_waves())
        layer.weight.copy_(chosen.T.reshape(layer.weight.shape))
        layer.bias.copy_(-mean @ chosen)


def _waves() -> Any:
    """(patches, VISION_WIDTH): sines and cosines of row and column, of growing frequency."""
    import torch

    side, n = SIDE // PATCH, VISION_WIDTH // 4
    rates = torch.pi / 2 * 1.5 ** torch.linspace(0, 7, n)
    angles = torch.arange(side)[:, None] / side * rates
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, 2 n)
    whole = torch.cat([waves[:, None].expand(side, side, -1), waves[None].expand(side, side, -1)], dim=-1)
    flat = whole.flatten(0, 1)
    flat = flat - flat.mean(dim=0)
    return _STRENGTH * flat / flat.std()


def _config(tokenizer: Any) -> Any:
    from transformers import Idefics2Config

    text = {
        "model_type": "mistral",
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": _INNER,
        "num_hidden_layers": TEXT_LAYERS,
        "num_attention_heads": WIDTH // _HEAD,
        "num_key_value_heads": WIDTH // _HEAD,
        "head_dim": _HEAD,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "sliding_window": None,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": VISION_WIDTH,
        "intermediate_size": _INNER,
        "num_hidden_layers": VISION_LAYERS,
        "num_attention_heads": VISION_WIDTH // _HEAD,
        "image_size": SIDE,
        "patch_size": PATCH,
    }
    perceiver = {
        "hidden_size": WIDTH,
        "resampler_n_latents": IMAGE_TOKENS,
        "resampler_depth": 1,
        "resampler_n_heads": WIDTH // _HEAD,
        "resampler_head_dim": _HEAD,
        "num_key_value_heads": WIDTH // _HEAD,
    }
    return Idefics2Config(
        text_config=text,
        vision_config=vision,
        perceiver_config=perceiver,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=True,
    )
