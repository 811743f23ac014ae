"""What tiny checkpoints are made of: sizes, a tokenizer, and how they are saved."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fgvr_kit.toy.vlm import SENTENCES

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


def save(
    folder: Path,
    model_class: Any,
    config: Any,
    processor: Any,
    *,
    noise: Mapping[str, float] = MappingProxyType({}),
) -> Path:
    """A model with random weights and its processor, as `from_pretrained` finds them.

    noise: weights that would not begin as they should, and their standard deviation.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = model_class(config)
        for name, std in noise.items():
            torch.nn.init.normal_(model.get_parameter(name), std=std)
    tokenizer = getattr(processor, "tokenizer", processor)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def ids(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def make_tokenizer(
    marks: Sequence[str],
    *,
    bos: str | None,
    eos: str,
    add_bos: bool = False,
    named: Mapping[str, str] | None = None,
) -> Any:
    """marks: special tokens.  named: those of them that a processor asks the tokenizer for, by attribute."""
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
        additional_special_tokens=list(marks), padding_side="left", **dict(named or {}),
    )  # fmt: skip
