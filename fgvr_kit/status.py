"""Where a workspace stands: each step of the walk is done, stale or to do. Loads no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from fgvr_kit import plugins
from fgvr_kit.errors import DatasetError, FgvrError
from fgvr_kit.evaluation import evaluate
from fgvr_kit.pipeline import check, describe, discover, extract, init, mine
from fgvr_kit.training.runs.contenders import contenders
from fgvr_kit.workspace import Workspace

State = Literal["done", "stale", "to do"]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the walk. told: what is known of it in a few words; command: what does it."""

    name: str
    state: State
    told: str
    command: str


def steps(workspace: Workspace) -> list[Step]:
    """Every step in the order of the walk. A step is stale when what it was made from has changed since, or is
    stale itself."""
    walk = workspace.store.walk()
    found: dict[str, Step] = {}
    for name, command, fingerprint_of, told in _walk(workspace):
        words = told()
        state: State = "to do"
        if name in walk:
            now, problem = _now(fingerprint_of)
            rests_on = (*RESTS_ON.get(name, ()), *_OF_OTHER_STAGES.get(name, ()))
            rests_on_stale = any(found[before].state == "stale" for before in rests_on if before in found)
            state = "done" if now == walk[name]["fingerprint"] and not rests_on_stale else "stale"
            words = problem or words
        found[name] = Step(name, state, words, command)
    return list(found.values())


def next_command(found: list[Step]) -> str | None:
    """The first step that is to do or stale; None when the walk is done."""
    return next((step.command for step in found if step.state != "done"), None)


RESTS_ON = {
    "check": ("init",),
    "extract": ("init",),
    "describe": ("extract",),
    "mine": ("init",),
    "align": ("describe", "mine"),
    "instruct": ("align", "mine"),
    "eval": ("instruct", "mine"),
}

_OF_OTHER_STAGES = {"both": ("describe", "mine"), "eval": ("align", "both")}
"""What rests on what where a recipe trains other stages than the paper's two."""


def _now(fingerprint_of: Callable[[], str]) -> tuple[str | None, str | None]:
    """(fingerprint of now, None), or (None, what is wrong) when the inputs are missing or broken."""
    try:
        return fingerprint_of(), None
    except FgvrError as error:
        return None, error.message


_Row = tuple[str, str, Callable[[], str], Callable[[], str]]


def _walk(workspace: Workspace) -> list[_Row]:
    store = workspace.store
    settings = workspace.settings
    recipe = plugins.load("recipes", settings.train.recipe)
    by_template = settings.describe.by == "template"
    describing = _asking("attributes describe", "nobody" if by_template else settings.describe.backend)

    def stage(name: str) -> Callable[[], str]:
        return lambda: str(recipe.stage_fingerprints(workspace)[name])

    rows: list[_Row] = [
        (
            "init",
            "fgvr-kit init",
            lambda: init.fingerprint_of(workspace),
            lambda: f"{store.n_images():,} images, {store.count('skipped'):,} files left out",
        ),
        (
            "check",
            "fgvr-kit check",
            lambda: check.fingerprint_of(workspace),
            lambda: _told_of_check(workspace),
        ),
        (
            "discover",
            _asking("attributes", settings.discover.backend),
            lambda: discover.fingerprint_of(workspace),
            lambda: f"{_n_attributes(workspace)} attributes",
        ),
        (
            "extract",
            _asking("attributes extract", settings.extract.backend),
            lambda: extract.fingerprint_of(workspace),
            lambda: f"{store.count('answers'):,} answers",
        ),
        (
            "describe",
            describing,
            lambda: describe.fingerprint_of(workspace),
            lambda: f"{store.count('descriptions'):,} descriptions",
        ),
        (
            "mine",
            _with_model("mine", settings.mine.model, "ViT-L-14:laion2b_s32b_b82k"),
            lambda: mine.fingerprint_of(workspace),
            lambda: f"{store.count('negatives'):,} negatives, {store.count('options'):,} options",
        ),
    ]
    training = _with_model("train", settings.train.model, "HuggingFaceM4/idefics2-8b")
    rows += [
        (name, training, stage(name), partial(_told_of_stage, workspace, name))
        for name in _stages(recipe, workspace)
    ]
    rows.append(
        (
            "eval",
            "fgvr-kit eval",
            lambda: evaluate.fingerprint_of(workspace, contenders(workspace)),
            lambda: evaluate.told(store.scores()),
        )
    )
    return rows


def _stages(recipe: Any, workspace: Workspace) -> tuple[str, ...]:
    """Of a recipe whose stages hang on its settings, those of this workspace."""
    stages: tuple[str, ...] = recipe.stages(workspace) if hasattr(recipe, "stages") else recipe.STAGES
    return stages


def _asking(command: str, backend: str) -> str:
    return f"fgvr-kit {command}" + (
        "" if backend else " --backend openai:MODEL   (or ollama:MODEL, transformers:ID)"
    )


def _with_model(command: str, model: str, example: str) -> str:
    return f"fgvr-kit {command}" + ("" if model else f" --model MODEL   (such as {example})")


def _n_attributes(workspace: Workspace) -> int:
    try:
        return len(workspace.attributes())
    except DatasetError:
        return 0


def _told_of_check(workspace: Workspace) -> str:
    counts = Counter(finding.severity for finding in workspace.store.findings())
    told = [f"{counts[s]:,} {s}{'s' if counts[s] > 1 else ''}" for s in ("problem", "warning") if counts[s]]
    return ", ".join(told) or "nothing found"


def _told_of_stage(workspace: Workspace, stage: str) -> str:
    runs = [run for run in workspace.store.runs() if run["stage"] == stage]
    if not runs:
        return ""
    run = runs[-1]
    n_steps = workspace.store.count("steps", "run_id = ?", [run["id"]])
    return f"{run['id']}: {run['status']}, {n_steps} optimizer steps"
