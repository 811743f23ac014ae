"""A tiny Idefics2 with random weights, in the stock transformers class, with a real processor.

What is small: everything. What is real: the class, the processor, the chat template, the token layout, so the
code that drives it is the code that drives the 8B model. Built offline in seconds, the same bytes every time.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from fgvr_kit.toy import write_note

SEED = 20250131
IMAGE_TOKENS = 8
_HIDDEN = 64  # every Linear reads a multiple of 64 numbers: 4-bit weights come in blocks of 64
# About 1/sqrt(_HIDDEN): with the usual 0.02 an untrained model says the same about every image.
_WIDE: dict[str, Any] = {"initializer_range": 0.1}
_MAX_SIDE = 112
_PATCH = 14
_SPECIAL = ["<pad>", "<s>", "</s>", "<fake_token_around_image>", "<image>", "<end_of_utterance>"]

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].capitalize() }}"
    "{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}<image>{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)

SENTENCES = """
User: Which of these choices is shown in the image? Choices: Answer with the letter from the given choices
directly.
User: What is the name of the class in this photo? Answer with the name only. Assistant: It is a coin.
User: Describe the object in the photo in five sentences. Do not name it. System: You look closely and
answer briefly.
What colour is the surface? The surface is brown, and the edge is golden. The rim is silver and the centre
is yellow.
What shape is the outline of the wing? The outline is round, the wing is long and narrow, and the tip is
pointed.
What pattern is visible on the back? There are dark spots, thin stripes and a pale band across the middle.
How large is the object compared with its surroundings? It is small; it fills about half of the picture.
What texture does the leaf have? It is smooth and shiny on top, rough and hairy below, with a wavy margin.
The object is red, orange, yellow, green, blue, purple, pink, white, black, grey, copper, bronze or silver.
The head is small, the eyes are large, the beak is short and curved, and the legs are thin and dark.
The petals are white with a yellow centre; the stem is green and straight; the flower opens to one side.
The cap is flat and wide, the gills are crowded, the stalk is thick at the base and has a ring near the top.
A number and a map are visible on the front of the coin; letters and stars run along the outer ring.
The animal has a thick coat, pointed ears, a long tail and a pale chest. Its legs are short and strong.
The beetle has a hard shell with fine lines, two long antennae and six legs; the shell reflects the light.
The car has a low roof, round headlights, a wide grille and a chrome line along the doors.
The aircraft has two engines under the wings, a pointed nose, a tall tail fin and a row of small windows.
The background is blurred; the light comes from the left and the shadow falls to the right of the object.
The photograph shows one object on a plain table, seen from above, in sharp focus and natural light.
Answer yes or no. Yes, it is visible. No, it is not visible. It cannot be told from this photo.
First, second, third, fourth and fifth: one, two, three, four, five, six, seven, eight, nine, ten.
The difference between the two kinds lies in the size, the colour of the ring, and the shape of the mark.
This class is similar to another class, but the material is darker and the relief is less worn.
{"attribute": "colour", "value": "brown"} {"attribute": "shape", "value": "round"} ["size", "texture",
"pattern"]
""".strip().splitlines()


def build_vlm(folder: Path) -> Path:
    """Write the checkpoint (weights, processor, card) into folder, and return folder.

    The caller's random state is left as it was.
    """
    import torch
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    folder.mkdir(parents=True, exist_ok=True)
    processor = _processor()
    tokenizer = processor.tokenizer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = AutoModelForImageTextToText.from_config(_config(tokenizer), dtype=torch.float32)
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.generation_config.eos_token_id = _stop_ids(tokenizer)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    # Random weights never choose to stop, and a reply that is cut off is no answer.
    model.generation_config.exponential_decay_length_penalty = (6, 1.7)
    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # the library does not print
    model.save_pretrained(folder)
    if was_on:
        logging.enable_progress_bar()
    processor.save_pretrained(folder)
    write_note(folder)
    return folder


def _config(tokenizer: Any) -> Any:
    from transformers import Idefics2Config

    text = _WIDE | {
        "model_type": "mistral",
        "vocab_size": len(tokenizer),
        "hidden_size": _HIDDEN,
        "intermediate_size": 2 * _HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 2048,
        "sliding_window": None,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = _WIDE | {
        "hidden_size": _HIDDEN,
        "intermediate_size": 2 * _HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": _MAX_SIDE,
        "patch_size": _PATCH,
    }
    perceiver = _WIDE | {
        "hidden_size": _HIDDEN,
        "resampler_n_latents": IMAGE_TOKENS,
        "resampler_depth": 1,
        "resampler_n_heads": 4,
        "resampler_head_dim": 16,
        "num_key_value_heads": 2,
    }
    return Idefics2Config(
        text_config=text,
        vision_config=vision,
        perceiver_config=perceiver,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )


def _processor() -> Any:
    from transformers import Idefics2ImageProcessor, Idefics2Processor

    images = Idefics2ImageProcessor(
        size={"shortest_edge": 2 * _PATCH, "longest_edge": _MAX_SIDE}, do_image_splitting=False
    )
    return Idefics2Processor(images, _tokenizer(), image_seq_len=IMAGE_TOKENS, chat_template=CHAT_TEMPLATE)


def _tokenizer() -> Any:
    """Byte-level BPE over SENTENCES: any text can be written; " A".." Z" and "A".."Z" are single tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        min_frequency=2,
        special_tokens=_SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    letters = [f" {letter}" for letter in string.ascii_uppercase] * 50
    backend.train_from_iterator(letters + SENTENCES * 4, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        additional_special_tokens=_SPECIAL[3:],
        model_max_length=2048,
    )


def _stop_ids(tokenizer: Any) -> list[int]:
    return [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end_of_utterance>")]
