"""The drawn dataset as a workspace that is ready to train: init, attributes, look-alikes."""

from __future__ import annotations

import json
from pathlib import Path

from fgvr_kit.drawn.pictures import Sizes, draw
from fgvr_kit.edited import write_text
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import FILE_NAME
from fgvr_kit.workspace import Workspace

SETTINGS: dict[str, object] = {
    "domain.superclass": "object",
    "domain.unit": "class",
    "extract.ask": "single",
    "mine.model": "toy-clip",
    "train.model": "toy-vlm",
    "finedefics.learning_rate": 2e-3,
    "finedefics.epochs": 4.0,
    "finedefics.align_batch": 48,
    "finedefics.instruct_batch": 48,
    "finedefics.micro_batch": 16,
    "finedefics.gradient_checkpointing": False,
}
"""What a laptop can train in about a minute; everything else is as Finedefics has it."""
ABLATIONS = """# What `fgvr-kit bench toy` compares beside the ablations that ship with the package.

[ccc-released]
about = "the category term as released: it pulls different classes together"
settings = { "finedefics.ccc" = "released" }

[own-negatives]
about = "each sample has its own hard negatives alone (equations 5 and 6)"
settings = { "finedefics.negatives" = "own" }

[still-negatives]
about = "hard negatives are embedded without a gradient: faster"
settings = { "finedefics.negative_gradient" = false }

[banked-negatives]
about = "... and serve eight optimizer steps before they are embedded anew: faster still"
against = "still-negatives"
settings = { "finedefics.negative_gradient" = false, "finedefics.bank_steps" = 8 }

[micro-contrast]
about = "a sample is compared with those in memory at once, as released"
settings = { "finedefics.contrast" = "micro" }

[learned-temperature]
about = "both temperatures are trained"
settings = { "finedefics.temperature" = "learned" }

[larger-contrast]
about = "three times the samples in a contrastive batch, and three times the epochs"
settings = { "finedefics.align_batch" = 144, "finedefics.epochs" = 12.0 }

[no-category-term]
about = "class names are not pushed apart"
settings = { "finedefics.ccc" = "off" }

[bounded-category-term]
about = "class names are pushed apart until they are"
settings = { "finedefics.ccc" = "bounded" }
"""
COMPARED = ("paper", "instruct-only", "align-only", "one-stage", "no-attributes", "random-negatives", "ccc-released",
            "own-negatives")  # fmt: skip


def prepare(folder: Path, sizes: Sizes, progress: Progress = SILENT) -> None:
    """Make the workspace in folder, up to the look-alikes. What stands is not made again.

    Raises WorkspaceError "other-pictures", and what the steps raise.
    """
    from fgvr_kit.pipeline.describe import describe
    from fgvr_kit.pipeline.discover import discover
    from fgvr_kit.pipeline.extract import extract
    from fgvr_kit.pipeline.init import init
    from fgvr_kit.pipeline.mine import mine

    drawn = folder / "drawn"
    images = draw(drawn, sizes, progress)
    spec = f"replay:{drawn / 'replies.jsonl'}"
    settings = {**SETTINGS, "extract.backend": spec, "describe.backend": spec}
    is_new = not (folder / FILE_NAME).is_file()
    init(
        images,
        folder,
        [f"{key}={json.dumps(value)}" for key, value in settings.items()] if is_new else [],
        progress,
    )
    if not (folder / "ablations.toml").is_file():
        write_text(folder / "ablations.toml", ABLATIONS)
    with Workspace(folder) as workspace, workspace.busy():
        if not (workspace.root / "attributes.csv").is_file():
            discover(workspace, from_file=drawn / "attributes.csv", replace=True)
        extract(workspace, progress=progress)
        describe(workspace, progress=progress)
        mine(workspace, progress)
