"""Qwen3-VL: any resolution, M-RoPE, and features of earlier vision blocks that join the first text layers."""

from __future__ import annotations

from fgvr_kit.families import LINEAR, Family

FAMILY = Family(
    model_types=("qwen3_vl",),
    vision="model.visual",
    connector=("model.visual.merger", "model.visual.deepstack_merger_list"),
    lora_targets=(
        rf"model\.(language_model\..*\.{LINEAR}"
        r"|visual\.(merger|deepstack_merger_list\.\d+)\.linear_fc[12])"
    ),
    plain_positions=False,
    image_marks=("<|vision_start|>", "<|vision_end|>"),
    examples=("Qwen/Qwen3-VL-2B-Instruct", "Qwen/Qwen3-VL-4B-Instruct", "Qwen/Qwen3-VL-8B-Instruct"),
    image_tokens="one for 32 x 32 pixels: 961 at most with max_pixels = 980 x 980",
    notes="The connector (merger, deepstack mergers) is a part of the vision module; its blocks are left alone.",
)
