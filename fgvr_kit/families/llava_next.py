"""LLaVA 1.6 (NeXT): a small view and tiles of the whole, unpadded, each row of the picture ended by a newline."""

from __future__ import annotations

from fgvr_kit.families import LINEAR, Family

FAMILY = Family(
    model_types=("llava_next",),
    vision="model.vision_tower",
    connector=("model.multi_modal_projector",),
    lora_targets=rf"model\.(language_model\..*\.{LINEAR}|multi_modal_projector\.linear_[12])",
    examples=("llava-hf/llava-v1.6-mistral-7b-hf", "llava-hf/llama3-llava-next-8b-hf"),
    image_tokens="576 and up to 2,352 more, by the shape of the photograph",
    notes="The vector that ends a row of the picture stays as it is.",
)
