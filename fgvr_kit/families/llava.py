"""LLaVA 1.5: CLIP, two Linear layers, Vicuna. Its template puts no token behind an answer: `</s>` ends it."""

from __future__ import annotations

from fgvr_kit.families.base import Family

FAMILY = Family(
    model_types=("llava",),
    vision="model.vision_tower",
    connector="model.multi_modal_projector",
    lora_targets=(
        r"model\.(language_model\..*\.(q|k|v|o|gate|up|down)_proj|multi_modal_projector\.linear_[12])"
    ),
    notes="Its processor cuts a square out of the middle of each photograph.",
)
