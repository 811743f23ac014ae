"""Idefics2: SigLIP, a perceiver that makes 64 vectors of any image, Mistral. The Finedefics paper's model."""

from __future__ import annotations

from fgvr_kit.families.base import Family

FAMILY = Family(
    model_types=("idefics2",),
    vision="model.vision_model",
    connector="model.connector",
    lora_targets=r"model\.(text_model|connector)\..*\.(q|k|v|o|gate|up|down)_proj",
    processor_kwargs={"do_image_splitting": False},
    notes="Finedefics: 64 vectors an image, no tiles; adapter on text model, projection and resampler.",
)
