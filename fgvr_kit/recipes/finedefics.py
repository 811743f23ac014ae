"""Finedefics (ICLR 2025): align a multimodal LLM with attribute descriptions, then instruct it.

Compared with the released code (commit a179c35); the losses are held against its numbers in
tests/training/test_parity.py. Differs on purpose: the category term is the paper's equation (7), not the
release's (which pulls different classes together); temperatures are 0.07 and stay so; labels cover the answer
alone, not prompt and image placeholders; texts are embedded under an attention mask; samples of one class are
never each other's negatives; both stages train one adapter, which is not merged in between.
Left out on purpose: the queue and the projection heads that the release defines and never calls.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fgvr_kit.settings import Section, plugin_section
from fgvr_kit.training.checkpoint import Checkpoint, stage_fingerprint
from fgvr_kit.training.examples import (
    ALIGN_PROMPTS,
    INSTRUCT_PROMPTS,
    align_digest,
    align_examples,
    instruct_digest,
    instruct_examples,
)
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.training.run import Run

STAGES = ("align", "instruct")
PROMPTS = {"align": ALIGN_PROMPTS, "instruct": INSTRUCT_PROMPTS}


class Settings(Section):
    learning_rate: float = Field(2e-4, gt=0)
    """Highest learning rate of both stages (Finedefics: 2e-4); it rises in the warm-up, then falls to 0."""
    epochs: float = Field(1.0, gt=0)
    """Passes over the examples in each stage (Finedefics: 1). Small datasets need more."""
    align_batch: int = Field(64, ge=1)
    """Samples an optimizer step of stage align (Finedefics: 64); gathered in micro-batches."""
    instruct_batch: int = Field(128, ge=1)
    """Samples an optimizer step of stage instruct (Finedefics: 128); gathered in micro-batches."""
    micro_batch: int = Field(8, ge=1)
    """Samples in memory at once. Stage align compares a sample with the others of its micro-batch, so more
    is better there (Finedefics: 2 a GPU in stage align, 8 in stage instruct)."""
    gradient_checkpointing: bool = True
    """Compute activations twice instead of keeping them: about a third slower, several times less memory,
    the same result."""
    rank: int = Field(8, ge=1)
    """Rank of the LoRA adapter (Finedefics: 8)."""
    alpha: int = Field(8, ge=1)
    """The adapter's output is scaled by alpha / rank (Finedefics: 8)."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout in front of the adapter (Finedefics: 0.2)."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises (Finedefics: 60 of 602 steps)."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay (Finedefics: 0.01)."""
    attribute_temperature: float = Field(0.07, gt=0)
    """Divides cosines of images with descriptions (Finedefics: 0.07)."""
    category_temperature: float = Field(0.07, gt=0)
    """Divides cosines of descriptions with class names, and of class names (Finedefics: 0.07)."""
    negatives: Literal["shared", "own"] = "shared"
    """"shared": the hard negatives of all samples of a micro-batch serve every sample (as released).
    "own": each sample has its own (equations 5 and 6 of the paper)."""
    ccc: Literal["paper", "bounded", "released", "off"] = "paper"
    """The term that pushes class names apart: "paper" (equation 7), "bounded" (the same, but it cannot fall
    below 0), "off", or "released" (a mistake that pulls them together; for comparison only)."""
    seed: int = 42
    """Seed of the adapter's start, the order of examples, dropout and the order of options."""
    save_steps: int = Field(60, ge=1)
    """Optimizer steps between checkpoints (Finedefics: 60); a killed run goes on from the newest."""


_NOT_IN_THE_RESULT = {"save_steps", "gradient_checkpointing"}
_ALIGN_ONLY = {"align_batch", "attribute_temperature", "category_temperature", "negatives", "ccc"}
_INSTRUCT_ONLY = {"instruct_batch"}


def read_settings(workspace: Workspace) -> Settings:
    return plugin_section(workspace.settings, "finedefics", Settings)


def stage_fingerprints(workspace: Workspace) -> dict[str, str]:
    """stage -> what it would be trained from; loads no torch. A setting changes the stages that read it."""
    settings = read_settings(workspace)
    align = stage_fingerprint(
        workspace,
        "align",
        settings=settings.model_dump(exclude=_NOT_IN_THE_RESULT | _INSTRUCT_ONLY),
        data=align_digest(workspace),
        prompts=workspace.prompts.hashes(ALIGN_PROMPTS),
        parent=None,
    )
    instruct = stage_fingerprint(
        workspace,
        "instruct",
        settings=settings.model_dump(exclude=_NOT_IN_THE_RESULT | _ALIGN_ONLY),
        data=instruct_digest(workspace),
        prompts=workspace.prompts.hashes(INSTRUCT_PROMPTS),
        parent=align,
    )
    return {"align": align, "instruct": instruct}


def train(run: Run) -> Checkpoint:
    """Section 3 of the paper: align with attribute descriptions first, then instruct."""
    from fgvr_kit.training.batch import AlignCollator, InstructCollator
    from fgvr_kit.training.objectives import Align, instruct

    settings = read_settings(run.workspace)
    aligned = run.train(
        "align",
        align_examples,
        collator=AlignCollator,
        loss=Align(
            attribute_temperature=settings.attribute_temperature,
            category_temperature=settings.category_temperature,
            negatives=settings.negatives,
            ccc=settings.ccc,
        ),
        batch=settings.align_batch,
    )
    return run.train(
        "instruct",
        partial(instruct_examples, seed=settings.seed),
        collator=InstructCollator,
        loss=instruct,
        batch=settings.instruct_batch,
        init=aligned,
    )
