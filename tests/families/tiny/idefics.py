"""Idefics3 and SmolVLM; Idefics2 is the toy model that ships."""

from __future__ import annotations

from pathlib import Path

from tests.families.tiny.parts import TEXT, VISION, ids, make_tokenizer, save


def smolvlm(folder: Path) -> Path:
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )
    from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

    tiles = [f"<row_{row}_col_{col}>" for row in range(1, 3) for col in range(1, 3)]
    marks = ["<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>", *tiles]
    tokenizer = make_tokenizer(marks, bos="<|im_start|>", eos="<end_of_utterance>")
    size, tile = {"longest_edge": 112}, {"longest_edge": 56}  # four tiles, if tiling were on
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(size=size, max_image_size=tile),
        tokenizer,
        SmolVLMVideoProcessor(size=size, max_image_size=tile),
        image_seq_len=4,
        chat_template=DEFAULT_CHAT_TEMPLATE,
    )
    config = SmolVLMConfig(
        text_config={"model_type": "llama", **TEXT, **ids(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return save(folder, SmolVLMForConditionalGeneration, config, processor)


def idefics3(folder: Path) -> Path:
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )
    from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

    tiles = [f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)]
    marks = ["<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>", *tiles]
    tokenizer = make_tokenizer(marks, bos="<|im_start|>", eos="<end_of_utterance>")
    size, tile = {"longest_edge": 112}, {"longest_edge": 56}  # four tiles, if tiling were on
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size=size, max_image_size=tile),
        tokenizer,
        image_seq_len=4,
        chat_template=DEFAULT_CHAT_TEMPLATE,
    )
    config = Idefics3Config(
        text_config={"model_type": "llama", **TEXT, **ids(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return save(folder, Idefics3ForConditionalGeneration, config, processor)
