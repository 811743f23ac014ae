"""The finished toy VLM as an ordinary checkpoint folder: bfloat16 weights, processor, card."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

NOTE = "toy model, trained on synthetic pictures only"


def export(model: Any, tokenizer: Any, folder: Path, how_far: str) -> Path:
    """Write the checkpoint, and return folder. how_far: for the card."""
    import torch

    from examples.toy import tokens

    folder.mkdir(parents=True, exist_ok=True)
    copied = copy.deepcopy(model).to("cpu", torch.bfloat16)
    copied.set_attn_implementation("sdpa")
    copied.save_pretrained(folder)
    tokens.processor(tokenizer).save_pretrained(folder)
    (folder / "card.json").write_text(json.dumps(card(how_far)) + "\n", encoding="utf-8")
    return folder


def card(how_far: str) -> dict[str, str]:
    """What stands in card.json."""
    return {"note": NOTE, "trained": how_far, "made by": "python -m examples.toy.build"}
