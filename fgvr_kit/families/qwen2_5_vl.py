"""Qwen2-VL and Qwen2.5-VL: any resolution, a merger of 2 x 2 patches, positions in time, height and width."""

from __future__ import annotations

from fgvr_kit.families import LINEAR, Family

FAMILY = Family(
    model_types=("qwen2_5_vl", "qwen2_vl"),
    vision="model.visual",
    connector=("model.visual.merger",),
    lora_targets=rf"model\.(language_model\..*\.{LINEAR}|visual\.merger\.mlp\.(0|2))",
    plain_positions=False,
    image_marks=("<|vision_start|>", "<|vision_end|>"),
    examples=("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2-VL-2B-Instruct"),
    image_tokens="one for 28 x 28 pixels: 1,225 at most with max_pixels = 980 x 980",
    notes="The connector (merger) is a part of the vision module; its blocks are left alone.",
)
