"""Finedefics (ICLR 2025): align a multimodal LLM with attribute descriptions, then instruct it.

Compared with the released code (commit a179c35); the losses are held against its numbers in
tests/training/test_parity.py. Differs on purpose: the category term is the paper's equation (7), not the
release's (which pulls different classes together); temperatures are 0.07 and stay so, or are learned indeed;
labels cover the answer alone, not prompt and image placeholders; texts are embedded under an attention mask; a
sample is compared with its whole optimizer step, not with the one other on its GPU; samples of one class are never
each other's negatives; both stages train one adapter, which is merged in between only if [train] between says so.
Left out on purpose: the queue and the projection heads that the release defines and never calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from fgvr_kit.settings import Section, plugin_section
from fgvr_kit.training.checkpoints.checkpoint import Checkpoint, stage_fingerprint
from fgvr_kit.training.data.examples import (
    Examples,
    align_digest,
    align_examples,
    both_digest,
    both_examples,
    instruct_digest,
    instruct_examples,
)
from fgvr_kit.training.data.material import Asked, Attributes, Material, NegativesFrom
from fgvr_kit.training.loop.validation import read_by_validation
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.training.objectives.finedefics import Align
    from fgvr_kit.training.runs.run import Run

STAGES = ("align", "instruct")
"""The paper's; `stages` tells those of a workspace."""
PROMPTS = {"align": ("align/describe",), "instruct": ("ask/open", "ask/choice")}

Stage = Literal["align", "instruct", "both"]
_WALKS: tuple[tuple[Stage, ...], ...] = (("align", "instruct"), ("align",), ("instruct",), ("both",))


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
    """Samples in the memory of a GPU at once (Finedefics: 2 in stage align, 8 in stage instruct). What is learned
    stays the same, but for dropout, unless contrast = "micro"."""
    gradient_checkpointing: bool = True
    """Compute activations twice instead of keeping them: about a third slower, several times less memory. What is
    learned stays the same, but for dropout."""
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
    """Divides cosines of images with descriptions (Finedefics: 0.07); learned ones start there."""
    category_temperature: float = Field(0.07, gt=0)
    """Divides cosines of descriptions with class names, and of class names (Finedefics: 0.07); learned ones start
    there."""
    temperature: Literal["fixed", "learned"] = "fixed"
    """"learned" trains both temperatures with the adapter, between 0.01 and 0.5, and saves them beside it (the
    release means to, but freezes them)."""
    temperature_learning_rate: float = Field(5e-3, gt=0)
    """Highest learning rate of learned temperatures: about the share of itself by which one changes in a step."""
    contrast: Literal["step", "micro"] = "step"
    """What stage align compares a sample with: "step", all others of the optimizer step, on all GPUs (the paper's
    equations; what does not fit into memory at once is embedded twice); "micro", those in memory at the same time
    (as released; faster, but what is learned hangs on micro_batch and the number of GPUs)."""
    negatives: Literal["shared", "own"] = "shared"
    """"shared": the hard negatives of all samples that are compared serve every sample (as released).
    "own": each sample has its own (equations 5 and 6 of the paper)."""
    negative_gradient: bool = True
    """Whether hard negatives are pushed away themselves. false pushes only what is compared with them; their texts
    then need no backward pass."""
    bank_steps: int = Field(0, ge=0)
    """With negative_gradient = false: a hard negative's vector serves so many optimizer steps before its text is
    embedded anew; 0: one step."""
    ccc: Literal["paper", "bounded", "released", "off"] = "paper"
    """The term that pushes class names apart: "paper" (equation 7), "bounded" (the same, but it cannot fall
    below 0), "off", or "released" (a mistake that pulls them together; for comparison only)."""
    seed: int = 42
    """Seed of the adapter's start, the order of examples, dropout and the order of options."""
    save_steps: int = Field(60, ge=1)
    """Optimizer steps between checkpoints (Finedefics: 60); a killed run goes on from the newest."""
    stages: list[Stage] = Field(["align", "instruct"])
    """["align", "instruct"] (Finedefics), one of them alone (Table 6b), or ["both"]: the losses of both at once
    (Table 3c)."""
    questions: list[Asked] = Field(["open", "choice"], min_length=1)
    """What stage instruct asks of each image: its class by name, and among look-alikes (Finedefics: both; ["open"]
    alone loses the habit of answering with a letter, Table 3a)."""
    attributes: Attributes = "image"
    """What stage align sees: "image", each image's own description (Finedefics); "class", one description of its
    class, made of the most usual answers (Table 6e); "none", images and class names alone (Table 3b)."""
    composed: bool = False
    """Compose the descriptions of stage align of the answers alone (prompts/describe/template.md), in place of the
    stored ones."""
    left_out: list[str] = Field([])
    """Attributes whose answers stand in no composed description (Table 5)."""
    sentences: int = Field(0, ge=0)
    """Keep so many sentences of each description; 0: all (Table 6d: short ones serve less)."""
    noise: float = Field(0.0, ge=0, le=1)
    """Share of images that get the description of an image of another class (Table 6c)."""
    negatives_from: NegativesFrom = "mined"
    """"mined": the look-alikes that `mine` found; "random": random images of random wrong classes (Table 6a)."""

    @field_validator("stages")
    @classmethod
    def _stages_follow_each_other(cls, stages: list[Stage]) -> list[Stage]:
        if tuple(stages) not in _WALKS:
            known = ", ".join(str(list(walk)).replace("'", '"') for walk in _WALKS)
            raise PydanticCustomError("stages", "{why}", {"why": f"the stages can be {known}"})
        return stages

    @field_validator("bank_steps")
    @classmethod
    def _banked_negatives_have_no_gradient(cls, steps: int, info: ValidationInfo) -> int:
        if steps and info.data.get("negative_gradient"):
            raise PydanticCustomError("bank_steps", "{why}", {"why": "it needs negative_gradient = false"})
        return steps

    @field_validator("temperature")
    @classmethod
    def _learned_ones_start_in_their_range(cls, kind: str, info: ValidationInfo) -> str:
        starts = [info.data.get(f"{of}_temperature", 0.07) for of in ("attribute", "category")]
        if kind == "learned" and not all(0.01 <= t <= 0.5 for t in starts):
            why = f"learned temperatures start between 0.01 and 0.5, not at {starts[0]:g} and {starts[1]:g}"
            raise PydanticCustomError("temperature", "{why}", {"why": why})
        return kind

    def material(self) -> Material:
        """What the examples are made for."""
        return Material(
            attributes=self.attributes,
            composed=self.composed,
            left_out=tuple(self.left_out),
            sentences=self.sentences,
            noise=self.noise,
            negatives_from=self.negatives_from,
            questions=tuple(self.questions),
            seed=self.seed,
        )


_NOT_IN_THE_RESULT = {"save_steps", "gradient_checkpointing", "stages"}
_DESCRIBING = {"attributes", "composed", "left_out", "sentences", "noise"}
_ALIGN_ONLY = _DESCRIBING | {
    "align_batch",
    "attribute_temperature",
    "category_temperature",
    "temperature",
    "temperature_learning_rate",
    "contrast",
    "negatives",
    "negative_gradient",
    "bank_steps",
    "ccc",
}
_INSTRUCT_ONLY = {"instruct_batch", "questions"}


def read_settings(workspace: Workspace) -> Settings:
    return plugin_section(workspace.settings, "finedefics", Settings)


def stages(workspace: Workspace) -> tuple[str, ...]:
    """The stages of this workspace, in their order."""
    return tuple(read_settings(workspace).stages)


def stage_fingerprints(workspace: Workspace) -> dict[str, str]:
    """stage -> what it would be trained from; loads no torch. A setting changes the stages that read it."""
    settings = read_settings(workspace)
    material = settings.material()
    unread = {"align": _INSTRUCT_ONLY, "instruct": _ALIGN_ONLY | {"micro_batch"}, "both": set[str]()}
    if settings.temperature == "fixed":
        unread = {stage: names | {"temperature_learning_rate"} for stage, names in unread.items()}
    if settings.contrast == "step":  # what is compared with what does not hang on it then
        unread["align"] = unread["align"] | {"micro_batch"}
        unread["both"] = unread["both"] | {"micro_batch"}
    digests = {"align": align_digest, "instruct": instruct_digest, "both": both_digest}
    found: dict[str, str] = {}
    parent: str | None = None
    for stage in settings.stages:
        found[stage] = parent = stage_fingerprint(
            workspace,
            stage,
            settings={"augment": workspace.settings.train.augment}
            | read_by_validation(workspace, settings.save_steps, by_choice=stage != "align")
            | settings.model_dump(exclude=_NOT_IN_THE_RESULT | unread[stage]),
            data=digests[stage](workspace, material),
            prompts=workspace.prompts.hashes(_prompts(stage, material)),
            parent=parent,
        )
    return found


def _prompts(stage: Stage, material: Material) -> Sequence[str]:
    align, instruct = material.align_prompts(), material.instruct_prompts()
    return {"align": align, "instruct": instruct, "both": tuple(dict.fromkeys((*align, *instruct)))}[stage]


def examples_of(workspace: Workspace, stage: str) -> Examples[Any]:
    """The rows of a stage; loads no torch. Raises as align_examples and instruct_examples do."""
    make: dict[str, Callable[[Workspace, Material], Examples[Any]]] = {
        "align": align_examples,
        "instruct": instruct_examples,
        "both": both_examples,
    }
    return make[stage](workspace, read_settings(workspace).material())


def batch_of(workspace: Workspace, stage: str) -> int:
    """Samples an optimizer step of a stage."""
    settings = read_settings(workspace)
    return settings.instruct_batch if stage == "instruct" else settings.align_batch


def train(run: Run) -> Checkpoint:
    """Section 3 of the paper: align with attribute descriptions first, then instruct."""
    from fgvr_kit.training.data.batch import AlignCollator, InstructCollator
    from fgvr_kit.training.loop.validation import choice_accuracy, nearest_class_accuracy
    from fgvr_kit.training.objectives.finedefics import instruct
    from fgvr_kit.training.objectives.one_stage import Both, BothCollator

    settings = read_settings(run.workspace)
    aligned: Checkpoint | None = None
    if settings.stages == ["both"]:
        return run.train(
            "both",
            partial(examples_of, stage="both"),
            collator=BothCollator,
            loss=Both(_align(settings), instruct),
            batch=settings.align_batch,
            measure=choice_accuracy,
        )
    if "align" in settings.stages:
        aligned = run.train(
            "align",
            partial(examples_of, stage="align"),
            collator=AlignCollator,
            loss=_align(settings),
            batch=settings.align_batch,
            measure=nearest_class_accuracy,
        )
    if aligned and "instruct" not in settings.stages:
        return aligned
    return run.train(
        "instruct",
        partial(examples_of, stage="instruct"),
        collator=InstructCollator,
        loss=instruct,
        batch=settings.instruct_batch,
        init=aligned,
        measure=choice_accuracy,
    )


def _align(settings: Settings) -> Align:
    """Equation (8). Without attributes the contrast of images and class names alone: the class name then stands in
    the description's place, and the first of the three terms is all of it (Table 3b; weight 1, as released)."""
    from fgvr_kit.training.losses import HALVES
    from fgvr_kit.training.objectives.finedefics import Align

    has_attributes = settings.attributes != "none"
    return Align(
        attribute_temperature=(
            settings.attribute_temperature if has_attributes else settings.category_temperature
        ),
        category_temperature=settings.category_temperature,
        negatives=settings.negatives,
        ccc=settings.ccc if has_attributes else "off",
        contrast=settings.contrast,
        learned=settings.temperature == "learned",
        temperature_learning_rate=settings.temperature_learning_rate,
        negative_gradient=settings.negative_gradient,
        bank_steps=settings.bank_steps,
        weights=HALVES if has_attributes else (1.0, 0.0, 0.0),
    )
