"""A tiny random checkpoint of each model type, with its real processor class: what the contract runs on.

Word list: the toy model's sentences.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fgvr_kit.toy.vlm import build_vlm
from tests.families.tiny.gemmas import gemma3
from tests.families.tiny.idefics import idefics3, smolvlm
from tests.families.tiny.internvl import internvl
from tests.families.tiny.llavas import llava, llava_next, vipllava
from tests.families.tiny.qwens import qwen2_5_vl, qwen2_vl, qwen3_vl
from tests.families.tiny.words import llama, qwen2

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "gemma3": gemma3,
    "idefics2": build_vlm,
    "idefics3": idefics3,
    "internvl": internvl,
    "llava": llava,
    "llava_next": llava_next,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen2_vl": qwen2_vl,
    "qwen3_vl": qwen3_vl,
    "smolvlm": smolvlm,
}
"""model_type -> builder."""

GUESTS: dict[str, Callable[[Path], Path]] = {"llama": llama, "qwen2": qwen2, "vipllava": vipllava}
"""The same for models of no known family."""
