"""LLaVA 1.5: CLIP, two Linear layers, Vicuna. Its template puts no token behind an answer: `</s>` ends it."""

from __future__ import annotations

from fgvr_kit.families import LINEAR, Family

FAMILY = Family(
    model_types=("llava",),
    vision="model.vision_tower",
    connector=("model.multi_modal_projector",),
    lora_targets=rf"model\.(language_model\..*\.{LINEAR}|multi_modal_projector\.linear_[12])",
    examples=("llava-hf/llava-1.5-7b-hf", "llava-hf/llava-1.5-13b-hf"),
    image_tokens="576",
    notes="Its processor cuts a square out of the middle of each photograph.",
)
