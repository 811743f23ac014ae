"""Our loss on stock transformers against the numbers of the released Finedefics code (tests/data/parity)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from fgvr_kit.training.losses import AlignmentLoss, alignment_loss

FOLDER = Path(__file__).parent.parent / "data" / "parity" / "idefics2-tiny"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
N_NEGATIVES = EXPECTED["hard_negatives_per_sample"]


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return load_file(FOLDER / "tensors.safetensors")


def losses_of(tensors: dict[str, Tensor], **options: Any) -> AlignmentLoss:
    o, a, c, ha, hc = (
        tensors[f"embeddings.{name}"]
        for name in ("objects", "attributes", "categories", "hard_attributes", "hard_categories")
    )
    return alignment_loss(
        o,
        a,
        c,
        ha.unflatten(0, (-1, N_NEGATIVES)),
        hc.unflatten(0, (-1, N_NEGATIVES)),
        attribute_temperature=EXPECTED["temperature"],
        category_temperature=EXPECTED["temperature"],
        **options,
    )


@pytest.mark.parametrize(
    ("term", "options", "key"),
    [
        ("object_attribute", {}, "object_attribute"),
        ("attribute_category", {}, "attribute_category"),
        ("object_attribute", {"negatives": "own"}, "object_attribute_own_negatives"),
        ("attribute_category", {"negatives": "own"}, "attribute_category_own_negatives"),
        ("category_category", {"ccc": "paper"}, "ccc_paper_eq7"),
        ("category_category", {"ccc": "released"}, "ccc_released"),
    ],
)
def test_every_term_equals_the_released_number(
    tensors: dict[str, Tensor], term: str, options: dict[str, Any], key: str
) -> None:
    value = getattr(losses_of(tensors, **options), term).item()
    assert value == pytest.approx(EXPECTED["losses"][key], abs=1e-5)


def test_stage_one_of_stock_transformers_equals_the_released_total(tensors: dict[str, Tensor]) -> None:
    """The release patches transformers; the same loss comes out of the stock model and `alignment_loss`."""
    from transformers import Idefics2Config, Idefics2ForConditionalGeneration

    model = Idefics2ForConditionalGeneration(Idefics2Config(**EXPECTED["config"]))
    model.load_state_dict(load_file(FOLDER / "weights.safetensors"))
    model.train()  # as it was trained; there is no dropout in the config
    inputs = {name.removeprefix("inputs."): t for name, t in tensors.items() if name.startswith("inputs.")}
    labels = inputs.pop("labels")
    inputs["pixel_attention_mask"] = inputs["pixel_attention_mask"].bool()

    output = model.model(**inputs, use_cache=False)
    logits = model.lm_head(output.last_hidden_state)
    kept = inputs["attention_mask"][:, 1:].bool()  # the release trains on the whole sequence but padding
    generation = F.cross_entropy(logits[:, :-1][kept], labels[:, 1:][kept])

    decoder, embed = model.get_decoder(), model.get_input_embeddings()
    end = embed(torch.tensor([EXPECTED["eos_token_id"]]))  # (1, H)
    images = output.image_hidden_states.unflatten(0, (len(labels), -1)).flatten(1, -2)  # (B, L, H)
    images = torch.cat([images, end.expand(len(images), 1, -1)], dim=1)

    def at_end(**inputs: Tensor) -> Tensor:
        return F.normalize(decoder(**inputs, use_cache=False).last_hidden_state[:, -1], dim=-1)

    attributes, categories, hard_attributes, hard_categories = (
        at_end(input_ids=tensors[f"tokens.{name}"])
        for name in ("attribute", "category", "hard_attribute", "hard_category")
    )
    alignment = alignment_loss(
        at_end(inputs_embeds=images),
        attributes,
        categories,
        hard_attributes.unflatten(0, (-1, N_NEGATIVES)),
        hard_categories.unflatten(0, (-1, N_NEGATIVES)),
        attribute_temperature=EXPECTED["temperature"],
        category_temperature=EXPECTED["temperature"],
        ccc="released",
    )
    total = generation + alignment.total
    total.backward()

    losses = EXPECTED["losses"]
    assert generation.item() == pytest.approx(losses["generation"], abs=1e-4)
    assert total.item() == pytest.approx(losses["total_released"], abs=1e-4)
    norms = {
        name: p.grad.norm().item()
        for name, p in model.named_parameters()
        if name in EXPECTED["gradient_norms"] and p.grad is not None
    }
    assert norms == pytest.approx(EXPECTED["gradient_norms"], rel=1e-4)
