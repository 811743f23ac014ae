"""Rooms of plug-ins: a file in the room is its own registration, an entry point adds one from outside.

`names("backends")` lists without importing; `load("families", "qwen2.5-vl")` imports one.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from types import ModuleType
from typing import Literal

from fgvr_kit.errors import MissingExtra, PluginError

Room = Literal["backends", "checks", "families", "layouts", "recipes"]

_NOT_PLUGINS: dict[Room, set[str]] = {
    "backends": {"base", "ollama_faults", "ollama_models", "openai_batch", "openai_faults", "openai_manners", "wire"},
    "checks": {"base"},
    "families": {"base", "sequences", "turns", "weights"},
    "layouts": {
        "archives", "base", "boxes", "columns", "datapackage", "download", "entries", "hub", "lists", "paths", "rows",
        "sightings",
    },
    "recipes": set(),
}  # fmt: skip
"""Files that the plug-ins of a room share."""
_WORDS = {
    "backends": "backend",
    "checks": "check",
    "families": "family",
    "layouts": "layout",
    "recipes": "recipe",
}
_EXTRAS = {"trl": "rl", "datasets": "hub"}  # every other third-party import belongs to [local]


def names(room: Room) -> list[str]:
    """Names of the plug-ins of a room, sorted: files of the room and entry points `fgvr_kit.<room>`."""
    package = importlib.import_module(f"fgvr_kit.{room}")
    files = {module.name for module in pkgutil.iter_modules(package.__path__)} - _NOT_PLUGINS[room]
    return sorted(files | {point.name for point in _points(entry_points, room)})


@cache
def _points(find: Callable[..., EntryPoints], room: Room) -> tuple[EntryPoint, ...]:
    """The entry points of a room. Finding them opens a file of every installed package: once is enough."""
    return tuple(find(group=f"fgvr_kit.{room}"))


def normalise(name: str) -> str:
    """'Qwen2.5-VL' -> 'qwen2_5_vl'."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def load(room: Room, name: str) -> ModuleType:
    """The module of a plug-in.

    Raises PluginError with the closest known name, or MissingExtra when it needs a package that is not
    installed. A missing module of our own stays an ImportError: that is a bug, not a choice.
    """
    wanted = normalise(name)
    if wanted not in names(room):
        close = difflib.get_close_matches(wanted, names(room), n=1, cutoff=0.5)
        known = ", ".join(names(room))
        raise PluginError(
            f"there is no {_WORDS[room]} {name!r}",
            code=f"unknown-{_WORDS[room]}",
            why=f"known: {known}",
            hint=f"did you mean {close[0]!r}?" if close else f"choose one of: {known}",
        )
    try:
        for point in (point for point in _points(entry_points, room) if point.name == wanted):
            module = point.load()
            assert isinstance(module, ModuleType), f"entry point {point.value} must name a module"
            return module
        return importlib.import_module(f"fgvr_kit.{room}.{wanted}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "fgvr_kit":
            raise
        package = error.name.split(".")[0]
        raise MissingExtra(
            package, _EXTRAS.get(package, "local"), f"the {_WORDS[room]} {wanted!r}"
        ) from error


def require(package: str, purpose: str) -> ModuleType:
    """Import a third-party package of an extra, or raise MissingExtra with the line that installs it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != package.split(".")[0]:
            raise
        name = {"open_clip": "open_clip_torch"}.get(package.split(".")[0], package.split(".")[0])
        raise MissingExtra(name, _EXTRAS.get(name, "local"), purpose) from error
