"""The toy CLIP: an open_clip model whose eyes are those of the toy VLM, and whose words are the toy's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from examples.toy import model
from examples.toy.tokens import PATCH, SIDE

_TEXT_WIDTH = 96
CONTEXT = 48


def config(n_words: int) -> dict[str, Any]:
    """What open_clip_config.json holds. The tokenizer lies in the same folder."""
    vision = {
        "image_size": SIDE, "layers": model.VISION_LAYERS, "width": model.VISION_WIDTH, "head_width": 32,
        "patch_size": PATCH, "mlp_ratio": 2.0, "no_ln_pre": True,
    }  # fmt: skip
    text = {
        "context_length": CONTEXT, "vocab_size": n_words, "hf_tokenizer_name": ".", "width": _TEXT_WIDTH,
        "heads": 3, "layers": 3, "pool_type": "eos", "pad_id": 0, "eos_id": 2,
        "tokenizer_kwargs": {},
    }  # fmt: skip
    return {
        "model_cfg": {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"},
    }  # fmt: skip


def new(vlm: dict[str, Any], n_words: int) -> Any:
    """A CLIP with random weights but for its vision tower, which is that of a trained toy VLM's state."""
    from open_clip.model import CLIP

    clip = CLIP(**config(n_words)["model_cfg"])
    clip.visual.load_state_dict(_eyes(vlm), strict=False)
    return clip


def _eyes(vlm: dict[str, Any]) -> dict[str, Any]:
    """The VLM's vision tower under open_clip's names. A bias of the patches becomes part of their positions."""
    import torch

    own = {
        name.removeprefix("model.vision_model."): value
        for name, value in vlm.items()
        if "vision_model" in name
    }
    places = own["embeddings.position_embedding.weight"] + own["embeddings.patch_embedding.bias"]
    found = {
        "conv1.weight": own["embeddings.patch_embedding.weight"],
        "positional_embedding": torch.cat([torch.zeros_like(places[:1]), places]),
        "ln_post.weight": own["post_layernorm.weight"],
        "ln_post.bias": own["post_layernorm.bias"],
    }
    for n in range(model.VISION_LAYERS):
        for kind in ("weight", "bias"):
            layer, block = f"encoder.layers.{n}", f"transformer.resblocks.{n}"
            parts = [own[f"{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            found[f"{block}.attn.in_proj_{kind}"] = torch.cat(parts)
            for ours, theirs in _SAME.items():
                found[f"{block}.{theirs}.{kind}"] = own[f"{layer}.{ours}.{kind}"]
    return found


_SAME = {
    "self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
}  # fmt: skip


def words(tokenizer: Any) -> Any:
    """The tokenizer of the VLM, ending each text with the token that its vector is read from."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    ends = [("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)]
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", padding_side="right",
        model_max_length=CONTEXT,
    )  # fmt: skip


def save(clip: Any, tokenizer: Any, folder: Path, card: dict[str, str]) -> Path:
    """Write what open_clip opens as local-dir:FOLDER, in float16, and return folder."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    halves = {
        name: value.detach().to("cpu", torch.float16).contiguous()
        for name, value in sorted(clip.state_dict().items())
    }
    save_file(halves, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    text = json.dumps(config(len(tokenizer)), indent=2)
    (folder / "open_clip_config.json").write_text(text + "\n", encoding="utf-8")
    words(tokenizer).save_pretrained(folder)
    (folder / "card.json").write_text(json.dumps(card) + "\n", encoding="utf-8")
    return folder
