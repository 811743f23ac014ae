"""SmolVLM and Idefics3: SigLIP, pixel shuffle and one Linear layer, a Llama of 0.1 to 8 billion weights."""

from __future__ import annotations

from fgvr_kit.families.base import Family

FAMILY = Family(
    model_types=("smolvlm", "idefics3"),
    vision="model.vision_model",
    connector="model.connector",
    lora_targets=(
        r"model\.(text_model\..*\.(q|k|v|o|gate|up|down)_proj|connector\.modality_projection\.proj)"
    ),
    processor_kwargs={"do_image_splitting": False},
    notes="One view an image: its own tiling enlarges small photographs to up to 17 tiles.",
)
