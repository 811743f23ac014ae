"""SmolVLM and Idefics3: SigLIP, pixel shuffle and one Linear layer, a Llama of 0.1 to 8 billion weights."""

from __future__ import annotations

from fgvr_kit.families import LINEAR, Family

FAMILY = Family(
    model_types=("smolvlm", "idefics3"),
    vision="model.vision_model",
    connector=("model.connector",),
    lora_targets=rf"model\.(text_model\..*\.{LINEAR}|connector\.modality_projection\.proj)",
    processor_kwargs={"do_image_splitting": False},
    examples=(
        "HuggingFaceTB/SmolVLM2-2.2B-Instruct",
        "HuggingFaceTB/SmolVLM-256M-Instruct",
        "HuggingFaceM4/Idefics3-8B-Llama3",
    ),
    image_tokens="64 (SmolVLM 256M and 500M), 81 (2.2B), 169 (Idefics3)",
    notes="One view an image: its own tiling enlarges small photographs to up to 17 tiles.",
)
