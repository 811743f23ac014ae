"""Qwen2-VL to Qwen3-VL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.families.tiny.parts import TEXT, ids, make_tokenizer, save


def qwen2_5_vl(folder: Path) -> Path:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "patch_size": 14,
        "out_hidden_size": 64, "window_size": 56, "fullatt_block_indexes": [1], "initializer_range": 0.1,
    }  # fmt: skip
    return _qwen(folder, vision, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor)


def qwen2_vl(folder: Path) -> Path:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor

    vision = {
        "depth": 2, "embed_dim": 64, "hidden_size": 64, "num_heads": 4, "mlp_ratio": 2, "patch_size": 14,
        "initializer_range": 0.1,
    }  # fmt: skip
    return _qwen(folder, vision, Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor)


def _qwen(
    folder: Path, vision: dict[str, Any], config_class: Any, model_class: Any, processor_class: Any
) -> Path:
    from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    marks = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|im_start|>"]
    tokenizer = make_tokenizer(marks, bos=None, eos="<|im_end|>")
    size = {"shortest_edge": 28 * 28, "longest_edge": 84 * 84}
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
        "{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    processor = processor_class(
        Qwen2VLImageProcessor(size=size), tokenizer, Qwen2VLVideoProcessor(size=size), chat_template=template
    )
    number = tokenizer.convert_tokens_to_ids
    config = config_class(
        text_config={
            **TEXT, **ids(tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        },
        vision_config=vision,
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
    )  # fmt: skip
    return save(folder, model_class, config, processor)


def qwen3_vl(folder: Path) -> Path:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "patch_size": 14,
        "out_hidden_size": 64, "deepstack_visual_indexes": [0], "num_position_embeddings": 16,
        "initializer_range": 0.1,
    }  # fmt: skip
    return _qwen(folder, vision, Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor)
