"""A stage-align step as Finedefics released it, done plainly, on a middle-size random Idefics2.

Our own code, from the description of the released one (reference/finedefics.md, sections 1.3 to 1.5): six
passes of the text model, each padded to its longest row, cache on, logits at every position. What differs from
the release is what equal losses need: labels at answers only, and a temperature that is 0.07.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fgvr_kit.families.base import Vlm
from fgvr_kit.toy.vlm import SENTENCES, build_vlm
from fgvr_kit.training.data.batch import Batch
from fgvr_kit.training.data.examples import AlignExample, NegativeText
from fgvr_kit.training.losses import alignment_loss
from fgvr_kit.training.objectives.finedefics import Align
from fgvr_kit.types import ImageRef

N_NEGATIVES = 3
_CHANCE = random.Random(0)
WORDS = sorted({
    "".join(_CHANCE.choice("bdfgklmnprstvz") + _CHANCE.choice("aeiou") for _ in range(_CHANCE.randint(2, 4)))
    for _ in range(9_000)
})  # fmt: skip
"""Words of a language that nobody speaks, enough for 8k tokens."""
TEXT = {
    "vocab_size": 8192, "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "head_dim": 64,
    "num_attention_heads": 8, "num_key_value_heads": 2, "initializer_range": 0.02,
}  # fmt: skip
VISION = {
    "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 4,
    "image_size": 224, "patch_size": 14, "initializer_range": 0.02,
}  # fmt: skip
PERCEIVER = {
    "hidden_size": 512, "resampler_n_latents": 64, "resampler_depth": 3, "resampler_n_heads": 8,
    "resampler_head_dim": 64, "num_key_value_heads": 2, "initializer_range": 0.02,
}  # fmt: skip


def middle_size(folder: Path) -> Path:
    """Write the checkpoint: 64 vectors an image of 224 x 224, text width 512, 8 layers, 8k tokens."""
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    build_vlm(folder)
    document = json.loads((folder / "config.json").read_text())
    for part, sizes in (("text_config", TEXT), ("vision_config", VISION), ("perceiver_config", PERCEIVER)):
        document[part] |= sizes
    (folder / "config.json").write_text(json.dumps(document))
    torch.manual_seed(1)
    AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer = processor.tokenizer.train_new_from_iterator(
        [*SENTENCES, *(" ".join([word] * 9) for word in WORDS)], TEXT["vocab_size"], show_progress=False
    )
    processor.image_seq_len = 64
    processor.image_processor.size = {"shortest_edge": 224, "longest_edge": 224}
    processor.save_pretrained(folder)
    return folder


def opened(folder: Path) -> Vlm:
    """The model with a fresh adapter as the paper has it, but for its dropout: losses are compared."""
    vlm = Vlm.load(str(folder), device="cpu", quantize="none")
    vlm.attach_lora(r=8, alpha=8, dropout=0.0, seed=0)
    vlm.model.train()
    return vlm


def examples(vlm: Vlm, images: Sequence[ImageRef], *, seed: int, equal: bool = False) -> list[AlignExample]:
    """One row an image, no class twice. Descriptions of 60 to 140 tokens, names of 3 to 8; or all alike long."""
    chance = random.Random(seed)
    n_classes = iter(range(len(images) * (1 + N_NEGATIVES)))

    def text(n_tokens: int) -> str:
        said = chance.choice(WORDS)
        while len(ids := vlm.tokenizer(said, add_special_tokens=False)["input_ids"]) < n_tokens:
            said = f"{said} {chance.choice(WORDS)}"
        return said if len(ids) == n_tokens else text(n_tokens)

    def one() -> tuple[int, str, str]:
        long, short = (100, 5) if equal else (chance.randint(60, 140), chance.randint(3, 8))
        return next(n_classes), text(short), text(long)

    rows = []
    for image in images:
        class_id, name, description = one()
        negatives = tuple(NegativeText(*one()) for _ in range(N_NEGATIVES))
        rows.append(AlignExample(image, "Describe the object.", "", description, class_id, name, negatives))
    return rows


def released(vlm: Vlm, batch: Batch, rows: Sequence[AlignExample], *, masks: bool = False) -> Tensor:
    """The loss of a step as released. masks: with the attention mask of texts that the release forgets."""
    output = vlm.base_model(**batch.inputs)
    images = output.image_hidden_states.unflatten(0, (len(rows), -1)).flatten(1, -2)  # (B, L, H)
    end = vlm.base_model.get_input_embeddings()(torch.tensor([vlm.tokenizer.eos_token_id]))  # (1, H)
    objects = vlm.base_model.get_decoder()(
        inputs_embeds=torch.cat([images, end.expand(len(rows), 1, -1)], dim=1)
    ).last_hidden_state[:, -1]
    generation = F.cross_entropy(output.logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten())
    attributes = _texts(vlm, [row.description for row in rows], masks)
    hard_attributes = _texts(vlm, [n.description for row in rows for n in row.negatives], masks)
    categories = _texts(vlm, [row.class_text for row in rows], masks)
    hard_categories = _texts(vlm, [n.class_text for row in rows for n in row.negatives], masks)
    alignment = alignment_loss(
        F.normalize(objects, dim=1),
        attributes,
        categories,
        hard_attributes.unflatten(0, (len(rows), -1)),
        hard_categories.unflatten(0, (len(rows), -1)),
        ccc="released",
    )
    return generation + alignment.total


def align(**options: Any) -> Align:
    """Our objective, with the terms that the release has."""
    return Align(
        attribute_temperature=0.07, category_temperature=0.07, negatives="shared", ccc="released", **options
    )


def ours(vlm: Vlm, batch: Batch, rows: Sequence[AlignExample]) -> Tensor:
    return align()(vlm, batch).total


LOSSES: dict[str, Callable[[Vlm, Batch, Sequence[AlignExample]], Tensor]] = {
    "released": released,
    "ours": ours,
}


def _texts(vlm: Vlm, texts: list[str], masks: bool) -> Tensor:
    """(N, H) unit rows; padded on the left, as the release does."""
    tokenizer = vlm.tokenizer
    marked = [f"{tokenizer.bos_token}{text}{tokenizer.eos_token}" for text in texts]
    batch = tokenizer(
        marked, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt"
    )
    positions: dict[str, Tensor] = {}
    if masks:
        mask = batch["attention_mask"]
        positions = {"attention_mask": mask, "position_ids": (mask.cumsum(dim=1) - 1).clamp(min=0)}
    hidden = vlm.base_model.get_decoder()(input_ids=batch["input_ids"], **positions).last_hidden_state
    return F.normalize(hidden[:, -1], dim=1)
