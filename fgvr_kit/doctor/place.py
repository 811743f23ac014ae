"""The workspace, if there is one: its settings, its database, its images, and the models that it names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fgvr_kit import plugins, toy
from fgvr_kit.doctor.diagnosis import Diagnosis, problem_of
from fgvr_kit.doctor.models import clip_model, model_place
from fgvr_kit.errors import FgvrError, WorkspaceError
from fgvr_kit.settings import Settings, load
from fgvr_kit.workspace import Workspace

_ASKING = ("discover", "extract", "describe")


@dataclass(frozen=True, slots=True)
class Place:
    """Where doctor was called. root: of the workspace, or else the current folder.  settings: in force there,
    overrides included; the defaults where they cannot be read.  diagnoses: what was seen of the workspace."""

    root: Path
    overrides: tuple[str, ...]
    settings: Settings
    diagnoses: tuple[Diagnosis, ...]

    @property
    def backends(self) -> dict[str, str]:
        """Setting -> "room:model", of the backends that are named."""
        specs = {f"{name}.backend": getattr(self.settings, name).backend.strip() for name in _ASKING}
        if self.settings.describe.by == "template":
            del specs["describe.backend"]
        return {key: spec for key, spec in specs.items() if spec}

    def wanted(self, room: str) -> dict[str, str]:
        """Setting -> model, of the backends of one room."""
        parts = {key: spec.partition(":") for key, spec in self.backends.items()}
        return {
            key: model.strip() for key, (name, _, model) in parts.items() if plugins.normalise(name) == room
        }


def look(start: Path | None, overrides: Sequence[str] = ()) -> Place:
    """start: the folder that -w names; None: found from here upwards. Never raises FgvrError."""
    here, given = (start or Path.cwd()).absolute(), tuple(overrides)
    try:
        with Workspace.find(start, overrides) as workspace:
            return Place(workspace.root, given, workspace.settings, tuple(_examine(workspace)))
    except WorkspaceError as error:
        if error.code != "no-workspace" or start is not None:
            return Place(here, given, Settings(), (problem_of("workspace", error),))
    except FgvrError as error:
        return Place(here, given, Settings(), (problem_of("settings", error),))
    except OSError as error:
        unread = Diagnosis(
            "settings", "problem", f"fgvr.toml cannot be read: {error}", "check its permissions"
        )
        return Place(here, given, Settings(), (unread,))
    nowhere = Diagnosis("workspace", "ok", "none here; fgvr-kit init IMAGES makes one")
    try:
        return Place(here, given, load(None, overrides), (nowhere,))
    except FgvrError as error:
        return Place(here, given, Settings(), (nowhere, problem_of("settings", error)))


def _examine(workspace: Workspace) -> list[Diagnosis]:
    checks: Mapping[str, Callable[[Workspace], str | Diagnosis | None]] = {
        "database": _database,
        "images": lambda w: str(w.dataset),
        "classes": _classes,
        "attributes": _attributes,
        **{f"{name}.backend": _backend(name) for name in _ASKING},
        "mine.model": lambda w: clip_model(w.settings.mine.model, "mine.model", os.environ),
        "check.model": lambda w: clip_model(w.settings.check.model, "check.model", os.environ),
        "train.model": _base_model,
        "train.recipe": _recipe,
    }
    found = [Diagnosis("workspace", "ok", f"{workspace.root}, its fgvr.toml is valid")]
    for name, check in checks.items():
        try:
            if seen := check(workspace):
                found.append(Diagnosis(name, "ok", seen) if isinstance(seen, str) else seen)
        except FgvrError as error:
            found.append(problem_of(name, error))
        except Exception as error:  # a damaged database, a plug-in of somebody else's
            found.append(Diagnosis(name, "problem", f"{type(error).__name__}: {error}", _FIXES.get(name, "")))
    return found


_FIXES = {"database": "restore .fgvr/fgvr.db, or remove .fgvr and start with fgvr-kit init"}


def _database(workspace: Workspace) -> str:
    if not (workspace.state / "fgvr.db").is_file():  # opening it would make one
        raise workspace.no_images()
    store = workspace.store
    n_images, n_replies = store.count("images"), store.count("replies")
    if not n_images:
        raise workspace.no_images()
    return f"{n_images:,} images, {n_replies:,} replies"


def _classes(workspace: Workspace) -> str:
    if not (workspace.state / "fgvr.db").is_file():
        return ""
    return f"{len(workspace.classes())} classes in classes.csv"


def _attributes(workspace: Workspace) -> str:
    if not (workspace.root / "attributes.csv").is_file():
        return ""
    return f"{len(workspace.attributes())} attributes in attributes.csv"


def _backend(name: str) -> Callable[[Workspace], Diagnosis | None]:
    def check(workspace: Workspace) -> Diagnosis | None:
        from fgvr_kit.backends.base import open_backend

        spec, key = getattr(workspace.settings, name).backend.strip(), f"{name}.backend"
        if not spec or (name == "describe" and workspace.settings.describe.by == "template"):
            return None
        open_backend(spec, workspace.settings, workspace.root, key=key)
        room, _, model = spec.partition(":")
        if plugins.normalise(room) == "replay" or model in toy.NAMES:
            return Diagnosis(key, "ok", spec)
        if plugins.normalise(room) == "transformers":
            beside = workspace.root / model
            return model_place(model, str(beside if beside.is_dir() else model), key)
        return Diagnosis(
            key, "unchecked", f"{spec}: named, and not asked whether it answers and sees pictures",
            "fgvr-kit doctor --models asks it",
        )  # fmt: skip

    return check


def _base_model(workspace: Workspace) -> Diagnosis | None:
    name, place = workspace.settings.train.model, workspace.base_model
    looks_like_folder = (
        name.startswith((".", "/", "~")) or name.partition("@")[0].count("/") > 1 or "\\" in name
    )
    if name and looks_like_folder and not Path(place).is_dir():
        raise WorkspaceError(
            f"there is no folder {name}",
            code="model-missing",
            where="train.model",
            hint="a folder with config.json, seen from the workspace, or a hub id such as HuggingFaceM4/idefics2-8b",
        )
    return model_place(name, place, "train.model") if name else None


def _recipe(workspace: Workspace) -> str:
    name = workspace.settings.train.recipe
    plugins.load("recipes", name)
    return name
