"""InternVL 3 and 3.5 in transformers' own format (checkpoints named -hf): tiles of 448 pixels and a small view."""

from __future__ import annotations

from fgvr_kit.families import LINEAR, Family

FAMILY = Family(
    model_types=("internvl",),
    vision="model.vision_tower",
    connector=("model.multi_modal_projector",),
    lora_targets=rf"model\.(language_model\..*\.{LINEAR}|multi_modal_projector\.linear_[12])",
    image_marks=("<img>", "</img>"),
    processor_kwargs={"max_patches": 4},
    examples=("OpenGVLab/InternVL3-1B-hf", "OpenGVLab/InternVL3-8B-hf", "OpenGVLab/InternVL3_5-8B-HF"),
    image_tokens="256 a tile: 256 (a square) to 1,280 (four tiles and a small view)",
    notes="Four tiles at most, not twelve: as many tokens as other families take for a photograph.",
    limits="Checkpoints of the original code (model_type internvl_chat) are not read: take the one named -hf.",
)
