"""A model of Idefics2-8B's shape with random weights, its real processor, and rows to train it on.

Shape: config.json of HuggingFaceM4/idefics2-8b. Words: the toy's tokenizer, so ids stay under 1,000 while the
tables have all 32,003 rows. TINY has every part of it in a size for a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.families import idefics2
from fgvr_kit.families.base import Vlm
from fgvr_kit.toy.vlm import SENTENCES
from fgvr_kit.training.data.examples import AlignExample, InstructExample, NegativeText
from fgvr_kit.types import ImageRef
from tests.families.contract import photo

QUESTION = "Describe the object in the photo in five sentences. Do not name it."


@dataclass(frozen=True, slots=True)
class Shape:
    """name: what figures are grouped under.  longest_edge: of an image behind the processor.

    photo: width and height in front of it.  description_tokens: of a description.  new_tokens: generated a
    row.  n_steps: optimizer steps, the first of which is not timed.  align_batch, instruct_batch: samples a step
    where the settings of the paper are meant.
    """

    name: str
    text: dict[str, Any]
    vision: dict[str, Any]
    perceiver: dict[str, Any]
    longest_edge: int
    photo: tuple[int, int]
    description_tokens: int
    new_tokens: int
    n_steps: int
    align_batch: int
    instruct_batch: int


BIG = Shape(
    name="8B shape, random weights",
    text={"vocab_size": 32003, "max_position_embeddings": 32768},  # the rest of Mistral-7B is the default
    vision={
        "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
        "image_size": 980, "patch_size": 14,
    },
    perceiver={},
    longest_edge=980,
    photo=(1024, 768),
    description_tokens=100,
    new_tokens=64,
    n_steps=3,
    align_batch=64,
    instruct_batch=128,
)  # fmt: skip
TINY = Shape(
    name="tiny stand-in, random weights",
    text={
        "vocab_size": 2003, "max_position_embeddings": 2048, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    },
    vision={
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
        "image_size": 112, "patch_size": 14,
    },
    perceiver={
        "hidden_size": 64, "resampler_depth": 1, "resampler_n_heads": 4, "resampler_head_dim": 16,
        "num_key_value_heads": 2,
    },
    longest_edge=112,
    photo=(128, 96),
    description_tokens=20,
    new_tokens=4,
    n_steps=2,
    align_batch=6,
    instruct_batch=10,
)  # fmt: skip


def build(shape: Shape, toy_processor: Any, device: str) -> Vlm:
    """The model, made on the device in the dtype Vlm.load would give it, and never on disk."""
    from transformers import AutoModelForImageTextToText, Idefics2Config

    processor = _processor(shape, toy_processor)
    tokenizer = processor.tokenizer
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = Idefics2Config(
        text_config={"model_type": "mistral", **shape.text, **ids},
        vision_config=shape.vision,
        perceiver_config=shape.perceiver,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device(device):
        torch.manual_seed(7)
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype).eval()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return Vlm(
        name=shape.name,
        note="random weights",
        family=idefics2.FAMILY,
        model=model,
        processor=processor,
        max_pixels=980 * 980,
    )


def save(vlm: Vlm, folder: Path) -> None:
    """Write a checkpoint that Vlm.load opens: 17 GB in the big shape."""
    vlm.model.save_pretrained(folder, max_shard_size="4GB")
    vlm.processor.save_pretrained(folder)


def adapt(vlm: Vlm, *, dora: bool = False, dropout: float = 0.2) -> None:
    """Put a fresh adapter of the recipe's size on the model, in place of the one it has."""
    if vlm.has_adapter:
        vlm.model = vlm.model.unload()
    vlm.attach_lora(r=8, alpha=8, dropout=dropout, seed=42, dora=dora)


def photographs(shape: Shape, n: int, folder: Path) -> list[ImageRef]:
    """n photographs, no two alike, as files that are quick to open."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(n)]
    for number, path in enumerate(paths):
        photo(number, *shape.photo).save(path, compress_level=1)
    return [ImageRef(path, pixel_sha256(open_image(path))) for path in paths]


def align_rows(
    vlm: Vlm, shape: Shape, images: Sequence[ImageRef], *, uneven: bool = False
) -> list[AlignExample]:
    """A row and a class each image, and three negatives each, all with descriptions of their own.

    uneven: descriptions of 0.6 to 1.4 times the tokens.
    """
    n = len(images)

    def said(number: int) -> str:
        share = 0.6 + 0.8 * (number * 37 % 11) / 10 if uneven else 1.0
        return description(vlm, number, round(shape.description_tokens * share))

    def negative(number: int) -> NegativeText:
        return NegativeText(number, f"Look-alike {number}", said(number))

    return [
        AlignExample(
            image, QUESTION, "", said(row), row, f"Class {row}",
            tuple(negative(n + row * 3 + k) for k in range(3)),
        )
        for row, image in enumerate(images)
    ]  # fmt: skip


def instruct_rows(images: Sequence[ImageRef]) -> list[InstructExample]:
    """Open questions and multiple choice by turns, as stage instruct asks them."""
    choice = "Which of these is shown in the image?\nA. Class 0\nB. Class 1\nC. Class 2\nD. Class 3"
    return [
        InstructExample(image, QUESTION, "", f"Class {n}")
        if n % 2
        else InstructExample(image, choice, "", "ABCD"[n % 4])
        for n, image in enumerate(images)
    ]


def description(vlm: Vlm, number: int, n_tokens: int) -> str:
    """Words up to so many tokens; another number, other words."""
    words = " ".join(SENTENCES[9:24]).split()
    said: list[str] = [f"Number {number}:"]
    for word in islice(cycle(words), number * 7, number * 7 + n_tokens):
        said.append(word)
        if len(vlm.tokenizer(" ".join(said), add_special_tokens=False)["input_ids"]) >= n_tokens:
            break
    return " ".join(said)


def _processor(shape: Shape, toy_processor: Any) -> Any:
    from transformers import Idefics2ImageProcessor, Idefics2Processor

    images = Idefics2ImageProcessor(
        size={"shortest_edge": min(378, shape.longest_edge), "longest_edge": shape.longest_edge},
        do_image_splitting=False,
    )
    return Idefics2Processor(
        images, toy_processor.tokenizer, image_seq_len=64, chat_template=toy_processor.chat_template
    )
