"""The named variants of a recipe that are compared with it: templates/ablations/<recipe>.toml, and the user's own."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from fgvr_kit import plugins, shipped
from fgvr_kit.errors import DatasetError, FgvrError, SettingsError
from fgvr_kit.training.planning.plan import StagePlan, plan_training
from fgvr_kit.workspace import Workspace

OWN_FILE = "ablations.toml"
REFERENCE = "paper"
"""What the others are compared with."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    about: str = ""
    against: str = ""
    settings: dict[str, Any] = {}


class _File(RootModel[dict[str, _Entry]]):
    pass


@dataclass(frozen=True, slots=True)
class Ablation:
    """settings: "section.key" -> value, in place of what fgvr.toml says.  against: the ablation that it differs from
    in one thing; "": the reference."""

    name: str
    about: str
    settings: dict[str, Any] = field(default_factory=dict)
    against: str = ""

    def overrides(self) -> list[str]:
        """As --set takes them."""
        return [f"{key}={_toml(value)}" for key, value in self.settings.items()]


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of an ablation. stages: what it takes; why_not: what keeps it from being trained."""

    ablation: Ablation
    seed: int
    overrides: tuple[str, ...]
    stages: tuple[StagePlan, ...] = ()
    why_not: FgvrError | None = None


def known_ablations(workspace: Workspace) -> dict[str, Ablation]:
    """Name -> ablation: those of the recipe, one for each attribute, and those of the workspace's ablations.toml.

    Raises SettingsError for a file that is none.
    """
    recipe = plugins.normalise(workspace.settings.train.recipe)
    found: dict[str, Ablation] = {}
    for file in (shipped.folder("templates") / "ablations" / f"{recipe}.toml", workspace.root / OWN_FILE):
        if file.is_file():
            found |= _read(file)
    try:
        attributes = [attribute.name for attribute in workspace.attributes()]
    except DatasetError:
        attributes = []
    if "composed" in found:
        for name in attributes:
            key = f"without-{name.replace('_', '-').replace(' ', '-')}"
            settings = {**found["composed"].settings, f"{recipe}.left_out": [name]}
            found.setdefault(key, Ablation(key, f"composed without {name!r} (table 5)", settings, "composed"))
    return found


def trials(
    workspace: Workspace, names: Sequence[str], n_seeds: int, overrides: Sequence[str] = ()
) -> list[Trial]:
    """What is to be trained for the named ablations, the reference first. No torch.

    names: none means all that can be trained; one that is named and cannot be raises its error.
    overrides: of the command, below those of the ablations.
    """
    known = known_ablations(workspace)
    for name in names:
        if name not in known:
            raise _unknown(name, list(known))
    recipe = plugins.normalise(workspace.settings.train.recipe)
    first = int(workspace.settings.plugins.get(recipe, {}).get("seed", _default_seed(recipe)))
    chosen = list(dict.fromkeys([*([REFERENCE] if REFERENCE in known else []), *_with_theirs(names, known)]))
    found = []
    for name in chosen:
        for seed in range(first, first + n_seeds):
            own = (*overrides, *known[name].overrides(), f"{recipe}.seed={seed}")
            trial = _planned(workspace.root, Trial(known[name], seed, own))
            if trial.why_not and name in names:
                raise trial.why_not
            found.append(trial)
    return found


def n_steps(planned: Sequence[Trial]) -> tuple[int, int]:
    """(stages, optimizer steps) that are still to be trained; a stage that several share is trained once."""
    open_ = {s.fingerprint: s.steps for t in planned if not t.why_not for s in t.stages if not s.stands}
    return len(open_), sum(open_.values())


def _with_theirs(names: Sequence[str], known: Mapping[str, Ablation]) -> list[str]:
    """The names, all for none, each behind what it is compared with."""
    return [one for name in names or known for one in (known[name].against, name) if one in known]


def _planned(root: Path, trial: Trial) -> Trial:
    try:
        with Workspace(root, trial.overrides) as workspace:
            stages = plan_training(workspace).stages
    except FgvrError as error:
        return Trial(trial.ablation, trial.seed, trial.overrides, (), error)
    return Trial(trial.ablation, trial.seed, trial.overrides, stages)


def _read(file: Path) -> dict[str, Ablation]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        entries = _File.model_validate(document).root
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        told = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise SettingsError(
            f"{file.name} is no list of ablations: {told}",
            code="ablations-file",
            where=str(file),
            hint='[my-idea], then about = "..." and settings = { "finedefics.rank" = 16 }',
        ) from error
    return {name: Ablation(name, e.about, e.settings, e.against) for name, e in entries.items()}


def _unknown(name: str, known: list[str]) -> SettingsError:
    close = difflib.get_close_matches(name, known, n=1)
    return SettingsError(
        f"there is no ablation {name!r}",
        code="unknown-ablation",
        why=f"known: {', '.join(known)}",
        hint=f"did you mean {close[0]!r}?"
        if close
        else f"write it into {OWN_FILE}, or fgvr-kit ablate --list",
    )


def _default_seed(recipe: str) -> int:
    return int(plugins.load("recipes", recipe).Settings().seed)


def _toml(value: Any) -> str:
    """JSON of plain values is TOML of them, but for a table, which no setting takes."""
    return json.dumps(value)
