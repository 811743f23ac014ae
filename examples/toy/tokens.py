"""The words of the toy VLM: byte-level BPE over what the synthetic world says, and the processor around it."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fgvr_kit.prompts import Prompts
from fgvr_kit.toy.vlm import CHAT_TEMPLATE, SENTENCES
from fgvr_kit.toy.world import facts, texts, turns

IMAGE_TOKENS = 16
SIDE = 112
PATCH = 14
WORDS = 2048
SPECIAL = ["<pad>", "<s>", "</s>", "<fake_token_around_image>", "<image>", "<end_of_utterance>"]
_TURNS = 6000


def processor(tokenizer: Any) -> Any:
    """The stock processor: pictures of at most 112 x 112, 16 tokens each."""
    from transformers import Idefics2ImageProcessor, Idefics2Processor

    images = Idefics2ImageProcessor(
        size={"shortest_edge": 2 * PATCH, "longest_edge": SIDE}, do_image_splitting=False
    )
    return Idefics2Processor(images, tokenizer, image_seq_len=IMAGE_TOKENS, chat_template=CHAT_TEMPLATE)


def kept(folder: Path) -> Any:
    """The tokenizer of a folder, made there if there is none: prompts may be edited meanwhile."""
    from transformers import PreTrainedTokenizerFast

    if not (folder / "tokenizer.json").is_file():
        tokenizer().save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def tokenizer() -> Any:
    """Any text can be written; " A".." Z" and "A".."Z" are single tokens. The same words every time."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        min_frequency=2,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(_corpus(), trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        additional_special_tokens=SPECIAL[3:],
        model_max_length=2048,
    )


def _corpus() -> Iterator[str]:
    """What is said in training, the shipped prompts, and sentences about other things."""
    yield from [f" {letter}" for letter in string.ascii_uppercase] * 2000
    yield from SENTENCES * 40
    prompts = Prompts()
    yield from [prompts.get(name).body for name in prompts.names()] * 10
    rng = np.random.default_rng(0)
    for _ in range(_TURNS):
        drawn = facts.draw(rng)
        for turn in (turns.turn(drawn, rng), texts.turn(rng)):
            yield turn.text
            yield f" {turn.answer}"
