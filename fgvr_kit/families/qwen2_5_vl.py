"""Qwen2-VL and Qwen2.5-VL: any resolution, a merger of 2 x 2 patches, positions in time, height and width."""

from __future__ import annotations

from fgvr_kit.families.base import Family

FAMILY = Family(
    model_types=("qwen2_5_vl", "qwen2_vl"),
    vision="model.visual",
    connector="model.visual.merger",
    lora_targets=(r"model\.(language_model\..*\.(q|k|v|o|gate|up|down)_proj|visual\.merger\.mlp\.(0|2))"),
    plain_positions=False,
    image_marks=("<|vision_start|>", "<|vision_end|>"),
    notes="The connector (merger) is a part of the vision module; its blocks are left alone.",
)
