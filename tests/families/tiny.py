"""A tiny random checkpoint of each family, with its real processor class: what the contract runs on.

One function a plug-in file, under the same name. Word list: the toy model's sentences.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fgvr_kit.toy.vlm import SENTENCES, build_vlm

TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.1,
}
VISION: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
    "initializer_range": 0.1,
}


def llava(folder: Path) -> Path:
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = _tokenizer(["<image>"], bos="<s>", eos="</s>", add_bos=True)
    images = CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    template = (
        "{% for m in messages %}{{ m['role'].upper() + ': ' }}"
        "{% for c in m['content'] if c['type'] == 'image' %}<image>\n{% endfor %}"
        "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] + ' ' }}{% endfor %}"
        "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    )
    processor = LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template,
    )  # fmt: skip
    config = LlavaConfig(
        text_config={"model_type": "llama", **TEXT, **_ids(tokenizer)},
        vision_config={"model_type": "clip_vision_model", "projection_dim": 64, **VISION},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
    )
    return _save(folder, LlavaForConditionalGeneration, config, processor)


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
    tokenizer = _tokenizer(marks, bos="<|im_start|>", eos="<end_of_utterance>")
    size, tile = {"longest_edge": 112}, {"longest_edge": 56}  # four tiles, if tiling were on
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(size=size, max_image_size=tile),
        tokenizer,
        SmolVLMVideoProcessor(size=size, max_image_size=tile),
        image_seq_len=4,
        chat_template=DEFAULT_CHAT_TEMPLATE,
    )
    config = SmolVLMConfig(
        text_config={"model_type": "llama", **TEXT, **_ids(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return _save(folder, SmolVLMForConditionalGeneration, config, processor)


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
    tokenizer = _tokenizer(marks, bos="<|im_start|>", eos="<end_of_utterance>")
    size, tile = {"longest_edge": 112}, {"longest_edge": 56}  # four tiles, if tiling were on
    processor = Idefics3Processor(
        Idefics3ImageProcessor(size=size, max_image_size=tile),
        tokenizer,
        image_seq_len=4,
        chat_template=DEFAULT_CHAT_TEMPLATE,
    )
    config = Idefics3Config(
        text_config={"model_type": "llama", **TEXT, **_ids(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return _save(folder, Idefics3ForConditionalGeneration, config, processor)


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
    tokenizer = _tokenizer(marks, bos=None, eos="<|im_end|>")
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
    ids = tokenizer.convert_tokens_to_ids
    config = config_class(
        text_config={
            **TEXT, **_ids(tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        },
        vision_config=vision,
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )  # fmt: skip
    return _save(folder, model_class, config, processor)


def qwen3_vl(folder: Path) -> Path:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "patch_size": 14,
        "out_hidden_size": 64, "deepstack_visual_indexes": [0], "num_position_embeddings": 16,
        "initializer_range": 0.1,
    }  # fmt: skip
    return _qwen(folder, vision, Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor)


def qwen2(folder: Path) -> Path:
    """A model of words, with a template that takes a system turn."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = _tokenizer(["<|im_start|>"], bos=None, eos="<|im_end|>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    config = Qwen2Config(**TEXT, **_ids(tokenizer))
    config.vocab_size += 8  # as in the real one, the table has more rows than there are tokens
    return _save(folder, Qwen2ForCausalLM, config, tokenizer)


def llama(folder: Path) -> Path:
    """A model of words whose template refuses a system turn, as Gemma's does."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer([], bos="<s>", eos="</s>", add_bos=True)
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}"
        "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{{ '[' + m.role + '] ' + m.content + ' ' }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    return _save(folder, LlamaForCausalLM, LlamaConfig(**TEXT, **_ids(tokenizer)), tokenizer)


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "idefics2": build_vlm,
    "idefics3": idefics3,
    "llava": llava,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen2_vl": qwen2_vl,
    "smolvlm": smolvlm,
}
"""model_type -> builder."""

GUESTS: dict[str, Callable[[Path], Path]] = {"llama": llama, "qwen2": qwen2, "qwen3_vl": qwen3_vl}
"""The same for models of no known family."""


def _save(folder: Path, model_class: Any, config: Any, processor: Any) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = model_class(config)
    tokenizer = getattr(processor, "tokenizer", processor)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _ids(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _tokenizer(marks: Sequence[str], *, bos: str | None, eos: str, add_bos: bool = False) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = [*dict.fromkeys(["<pad>", *([bos] if bos else []), eos, *marks])]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )  # fmt: skip
    backend.train_from_iterator([*[f" {c}" for c in string.ascii_uppercase] * 50, *SENTENCES], trainer)
    if add_bos:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(str(bos), backend.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=bos, eos_token=eos, pad_token="<pad>",
        additional_special_tokens=list(marks), padding_side="left",
    )  # fmt: skip
