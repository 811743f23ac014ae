"""LLaVA and its kin."""

from __future__ import annotations

from pathlib import Path

from tests.families.tiny.parts import TEXT, VISION, ids, make_tokenizer, save

TEMPLATE = (
    "{% for m in messages %}{{ m['role'].upper() + ': ' }}"
    "{% for c in m['content'] if c['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def llava(folder: Path) -> Path:
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = make_tokenizer(["<image>"], bos="<s>", eos="</s>", add_bos=True)
    images = CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    processor = LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=TEMPLATE,
    )  # fmt: skip
    config = LlavaConfig(
        text_config={"model_type": "llama", **TEXT, **ids(tokenizer)},
        vision_config={"model_type": "clip_vision_model", "projection_dim": 64, **VISION},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
    )
    return save(folder, LlavaForConditionalGeneration, config, processor)


def llava_next(folder: Path) -> Path:
    from transformers import (
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessor,
        LlavaNextProcessor,
    )

    tokenizer = make_tokenizer(["<image>"], bos="<s>", eos="</s>", add_bos=True)
    grid = [[56, 112], [112, 56], [112, 112], [56, 168]]
    images = LlavaNextImageProcessor(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}, image_grid_pinpoints=grid
    )
    template = (
        "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {% elif m['role'] == 'assistant' %} {% endif %}"
        "{% for c in m['content'] if c['type'] == 'image' %}<image>\n{% endfor %}"
        "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}"
        "{% if m['role'] == 'user' %} [/INST]{% elif m['role'] == 'assistant' %}</s>{% else %}\n{% endif %}"
        "{% endfor %}"
    )
    processor = LlavaNextProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template,
    )  # fmt: skip
    config = LlavaNextConfig(
        text_config={
            "model_type": "mistral", **TEXT, **ids(tokenizer), "sliding_window": None,
            "initializer_range": 0.2,  # many image tokens: a weaker one says the same of everything
        },
        vision_config={"model_type": "clip_vision_model", "projection_dim": 64, **VISION},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grid,
        vision_feature_layer=-2,
    )  # fmt: skip
    return save(folder, LlavaNextForConditionalGeneration, config, processor)


def vipllava(folder: Path) -> Path:
    """No family drives it: a guest that sees."""
    from transformers import (
        CLIPImageProcessor,
        LlavaProcessor,
        VipLlavaConfig,
        VipLlavaForConditionalGeneration,
    )

    tokenizer = make_tokenizer(["<image>"], bos="<s>", eos="</s>", add_bos=True)
    images = CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    processor = LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=TEMPLATE,
    )  # fmt: skip
    config = VipLlavaConfig(
        text_config={"model_type": "llama", **TEXT, **ids(tokenizer)},
        vision_config={"model_type": "clip_vision_model", "projection_dim": 64, **VISION},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layers=[-2, -1],
    )
    return save(folder, VipLlavaForConditionalGeneration, config, processor)
