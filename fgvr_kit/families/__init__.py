"""The room of families: how one base architecture is put together, as data.

A file here is a family, named after a `model_type` of transformers: it holds one `FAMILY` and no behaviour. What
all of them do is written once: base.py (Vlm), sequences/ (forward passes), turns.py (prompts), weights/ (files).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fgvr_kit import plugins

LINEAR = r"(q|k|v|o|gate|up|down)_proj"
"""Regular expression: the Linear layers of a decoder, which are named alike in every family."""


@dataclass(frozen=True, slots=True)
class Family:
    """How one base architecture is put together; module paths are those of its transformers class."""

    model_types: tuple[str, ...]
    """`model_type` of the checkpoints' config.json."""
    vision: str
    """Path of the vision tower: never quantised, never trained."""
    connector: tuple[str, ...]
    """Paths of what turns vision features into text-sized vectors: never quantised. May lie in `vision`."""
    lora_targets: str
    """Regular expression (the whole path must match): Linear layers of text model and connector."""
    trained_whole: tuple[str, ...] = ()
    """Paths of modules without Linear layers that are trained, and saved, beside the adapter."""
    plain_positions: bool = True
    """Whether the text model numbers image tokens like words; False for M-RoPE."""
    whole_images: bool = False
    """Whether the tokens of an image attend to each other in both directions; everything else is causal."""
    image_marks: tuple[str, ...] = ()
    """Tokens around an image, or in front of everything, without which the text model never sees one."""
    processor_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What the processor is loaded with, beyond its own settings."""
    examples: tuple[str, ...] = ()
    """Hub ids of checkpoints."""
    image_tokens: str = ""
    """How many tokens one photograph becomes, for people."""
    notes: str = ""
    limits: str = ""
    """What cannot be done, and why."""
    by_parts: bool = True
    """Whether the parts can be driven one by one. False for guests: stock transformers does all of it."""
    sees: bool = True
    """False for models that read words only."""

    @property
    def embedding(self) -> str:
        """Where the vector of an object is read, for people."""
        marks = [mark for mark in self.image_marks if mark]
        kept = f" and {', '.join(marks)}" if marks else ""
        return f"last hidden state at an end token, behind the image's tokens{kept} alone"

    def is_eye(self, path: str) -> bool:
        """Whether a module or a weight is of the vision tower: what stays as it is."""
        return within(path, self.vision) and not self.is_bridge(path)

    def is_bridge(self, path: str) -> bool:
        return any(within(path, part) for part in self.connector)


def within(path: str, part: str) -> bool:
    return path == part or path.startswith(f"{part}.")


NOT_DRIVEN: Mapping[str, str] = {
    "paligemma": "it is no chat model (no template, one task prefix a prompt), and its text model reads the prompt in"
    " both directions: the state at an end token would not be what a causal model gives",
    "mllama": "its images never become tokens: the text model looks at them through cross-attention",
    "blip-2": "it is no chat model: it has no template that tells a question from its answer",
    "qwen3_vl_moe": "its experts are fused tensors: neither 4 bit nor an adapter on Linear layers reaches them",
}
"""model_type -> why there is no family for it, of models that people ask for."""


def families() -> dict[str, Family]:
    """Name of the file -> its family, sorted."""
    return {name: plugins.load("families", name).FAMILY for name in plugins.names("families")}


def known_families() -> dict[str, Family]:
    """model_type -> the family that lists it."""
    return {kind: family for family in families().values() for kind in family.model_types}
