"""Gemma 3 (4B and larger): SigLIP, 256 tokens of any image, which see each other; a window in most text layers."""

from __future__ import annotations

from fgvr_kit.families import LINEAR, Family

FAMILY = Family(
    model_types=("gemma3",),
    vision="model.vision_tower",
    connector=("model.multi_modal_projector",),
    lora_targets=rf"model\.language_model\..*\.{LINEAR}",
    trained_whole=("model.multi_modal_projector",),
    whole_images=True,
    # Without its start token this model says nothing sensible.
    image_marks=("<bos>", "<start_of_image>", "<end_of_image>"),
    examples=("google/gemma-3-4b-it", "google/gemma-3-12b-it"),
    image_tokens="256",
    notes="Its connector is one matrix and no Linear layer: it is trained and saved whole, beside the adapter."
    " Photographs are squeezed into a square of 896 pixels.",
    limits="The 270M and 1B models read words only.",
)
