"""Gemma 3: images whose tokens see each other, a window in all layers but some, scaled and tied embeddings."""

from __future__ import annotations

from pathlib import Path

from tests.families.tiny.parts import TEXT, VISION, ids, make_tokenizer, save

TEMPLATE = (  # a system turn is written into the user's, and the assistant is called model, as in the real one
    "{{ bos_token }}{% set first = '' %}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'][0]['text'] + '\n\n' %}{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{% if loop.first %}{{ first }}{% endif %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<start_of_image>{% else %}{{ c['text'] | trim }}{% endif %}{% endfor %}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def gemma3(folder: Path) -> Path:
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
    )

    named = {
        "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>",
    }  # fmt: skip
    marks = [*named.values(), "<start_of_turn>", "<end_of_turn>"]
    tokenizer = make_tokenizer(marks, bos="<bos>", eos="<eos>", add_bos=True, named=named)
    processor = Gemma3Processor(
        Gemma3ImageProcessor(size={"height": 56, "width": 56}), tokenizer, image_seq_length=4,
        chat_template=TEMPLATE,
    )  # fmt: skip
    config = Gemma3Config(
        text_config={
            **TEXT, **ids(tokenizer), "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config={"model_type": "siglip_vision_model", **VISION, "vision_use_head": False},
        mm_tokens_per_image=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
    )  # fmt: skip
    noise = {
        "model.multi_modal_projector.mm_input_projection_weight": 0.1,  # zeros would let nothing through
        "model.language_model.embed_tokens.weight": 0.01,  # scaled and tied: it would say the last word again
    }
    return save(folder, Gemma3ForConditionalGeneration, config, processor, noise=noise)
