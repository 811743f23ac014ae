"""InternVL: a vision model of its own, one to four tiles and a thumbnail."""

from __future__ import annotations

from pathlib import Path

from tests.families.tiny.parts import TEXT, VISION, ids, make_tokenizer, save

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<IMG_CONTEXT>\n{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def internvl(folder: Path) -> Path:
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    named = {
        "start_image_token": "<img>", "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>",
    }  # fmt: skip
    tokenizer = make_tokenizer([*named.values(), "<|im_start|>"], bos=None, eos="<|im_end|>", named=named)
    size = {"height": 56, "width": 56}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=size, max_patches=12), tokenizer, InternVLVideoProcessor(size=size),
        image_seq_length=4, chat_template=TEMPLATE,
    )  # fmt: skip
    config = InternVLConfig(
        text_config={"model_type": "qwen2", **TEXT, **ids(tokenizer)},
        vision_config={**VISION, "image_size": [56, 56], "patch_size": [14, 14]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    return save(folder, InternVLForConditionalGeneration, config, processor)
