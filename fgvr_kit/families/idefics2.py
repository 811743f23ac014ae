"""Idefics2: SigLIP, a perceiver that makes 64 vectors of any image, Mistral. The Finedefics paper's model."""

from __future__ import annotations

from fgvr_kit.families import LINEAR, Family

FAMILY = Family(
    model_types=("idefics2",),
    vision="model.vision_model",
    connector=("model.connector",),
    lora_targets=rf"model\.(text_model|connector)\..*\.{LINEAR}",
    processor_kwargs={"do_image_splitting": False},
    examples=("HuggingFaceM4/idefics2-8b", "HuggingFaceM4/idefics2-8b-chatty"),
    image_tokens="64",
    notes="Finedefics: 64 vectors an image, no tiles; adapter on text model, projection and resampler.",
)
