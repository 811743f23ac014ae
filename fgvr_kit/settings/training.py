"""[train]: what is trained, of which model, on which images; the recipe has a section of its own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fgvr_kit.settings.section import Section


class TrainSettings(Section):
    model: str = ""
    """Base model: a folder, or a hub id ("HuggingFaceM4/idefics2-8b"). "ID@REVISION" holds on to a tag or commit of
    it; without one, the name is all that is known of it when it changes on the hub."""
    recipe: str = "finedefics"
    """What to train: a paper's recipe. Its own settings stand in the section of that name."""
    device: str = "auto"
    """"auto" (a GPU if there is one), "cpu", "cuda", "mps"."""
    quantize: Literal["auto", "nf4", "int8", "none"] = "auto"
    """Weights of the base model's text part: "nf4" is QLoRA (4 bit), "int8" is LLM.int8 (8 bit), "none" keeps them
    whole; "auto" is "nf4" on a CUDA GPU and "none" elsewhere. Vision tower and connector always stay whole."""
    tune: Literal["lora", "dora", "full"] = "lora"
    """What of the model is trained: "lora", an adapter beside its layers; "dora", an adapter with magnitudes (arXiv
    2402.09353); "full", all weights but the vision tower's, in 32 bit: about 16 bytes a parameter, and a learning
    rate ten times smaller or less."""
    targets: str = ""
    """Layers that get an adapter: an expression that a Linear layer's whole path must match; "": those of the model's
    family, in text model and connector."""
    between: Literal["continue", "merge"] = "continue"
    """Between two stages: "continue" trains the same adapter further, "merge" puts it into the base and begins a new
    one, as Finedefics does. The merged model takes the room of the whole model on the disk."""
    max_pixels: int = Field(980 * 980, ge=56 * 56)
    """Larger photographs are shrunk to at most this many pixels before the model sees them, in training,
    evaluation and prediction alike."""
    shots: int = Field(0, ge=0)
    """Train on this many images of each class only; 0: on all. Unlike [dataset] shots it needs no new `init`."""
    sampler: Literal["plain", "balanced"] = "plain"
    """"balanced": images of small classes are seen more often, so that every class is seen equally often."""
    augment: Literal["none", "flip", "crop"] = "none"
    """"flip": half of the photographs are mirrored, anew in each epoch; "crop": a part of at least 80 % of each side
    is shown. Flips are refused where left and right or writing tell classes apart."""
    val_share: float = Field(0.0, ge=0, lt=0.5)
    """Share of the training images, in whole groups, held out to validate while training; not used when the dataset
    has validation images of its own."""
    val_steps: int = Field(0, ge=0)
    """Optimizer steps between validations by task accuracy; 0: as many as between checkpoints."""
    patience: int = Field(0, ge=0)
    """End a stage when this many validations in a row brought no better accuracy; 0: never. The weights of the best
    validation are kept in any case."""
    report_to: str = ""
    """Trackers that are told of every step, such as "tensorboard" or "wandb"; "": none. The curves are kept in the
    workspace in any case."""
