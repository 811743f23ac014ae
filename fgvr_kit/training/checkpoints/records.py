"""run.json and the row of table `runs`: what a stage was trained from, and what came of it. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fgvr_kit
from fgvr_kit.training.schedule import Schedule
from fgvr_kit.types import Notice, Summary
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.training.checkpoints.checkpoint import Checkpoint

FEW_STEPS = 20
"""With fewer optimizer steps an adapter has hardly left its start: warm-up and decay eat most of them."""


def read_run(folder: Path) -> dict[str, Any] | None:
    """run.json of a run's folder, or None when there is none."""
    try:
        document: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return document


def write_run(folder: Path, document: Mapping[str, Any]) -> None:
    """Write run.json at once, so that a kill leaves the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "run.json.part"
    part.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(folder / "run.json")


def describe_run(
    workspace: Workspace,
    recipe: str,
    settings: Mapping[str, Any],
    stage: str,
    fingerprint: str,
    note: str | None,
    commit: str | None,
    init: Checkpoint | None,
    *,
    merged: bool = False,
) -> dict[str, Any]:
    """run.json as it is when a stage begins. settings: the recipe's section.  commit: of the base model on the hub.

    merged: init was merged into the base.
    """
    return {
        "recipe": recipe,
        "stage": stage,
        "fingerprint": fingerprint,
        "parent": init.run_id if init else None,
        "merged": init.run_id if init and merged else None,
        "model": workspace.settings.train.model,
        "commit": commit,
        "settings": {"train": workspace.settings.train.model_dump(), recipe: dict(settings)},
        "versions": versions(),
        "note": note,
        "started": now(),
    }


def notices_of(recipe: str, stage: str, n_examples: int, n_steps: int, used: Schedule) -> list[Notice]:
    """What the user should know of a stage that is trained."""
    if n_steps >= FEW_STEPS:
        return []
    return [
        Notice(
            f"stage {stage} took only {n_steps} optimizer steps",
            code="few-steps",
            why=f"{n_examples} examples in batches of {used.batch}, {used.epochs:g} epochs",
            hint=f"raise epochs in [{recipe}], or lower the samples a step there (..._batch)",
        )
    ]


def versions() -> dict[str, str]:
    """What a run was trained with."""
    packages = ("torch", "transformers", "peft", "accelerate")
    return {"fgvr_kit": fgvr_kit.__version__, **{name: version(name) for name in packages}}


def row_of(folder: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The columns of table `runs` that run.json holds."""
    columns = {
        name: document[name]
        for name in ("recipe", "stage", "fingerprint", "parent", "model", "note", "started")
    }
    return {
        "id": folder.name,
        **columns,
        "settings": json.dumps(document["settings"]),
        "versions": json.dumps(document["versions"]),
    }


def summary_of(document: dict[str, Any]) -> Summary:
    return Summary(
        document["step"],
        document["done"],
        tuple((what, n, why) for what, n, why in document["dropped"]),
        tuple(document["notes"]),
        tuple(Notice(**notice) for notice in document["notices"]),
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
