"""Tiny models with random weights, built on this machine: the whole walk runs offline in minutes.

They know nothing. Everything that rests on one says so: the checkpoint carries "untrained toy model".
Importing this module imports no torch.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fgvr_kit import plugins, shipped
from fgvr_kit.fingerprint import fingerprint

NOTE = "untrained toy model"

_RECIPES = {  # name -> (module, function, packages that decide the bytes)
    "toy-vlm": ("vlm", "build_vlm", ("torch", "transformers", "tokenizers")),
    "toy-clip": ("clip", "build_clip", ("torch", "open_clip_torch")),
}
NAMES: tuple[str, ...] = tuple(_RECIPES)


def path_of(name: str) -> Path:
    """The checkpoint folder of a toy model, built at the first call (seconds) and kept in the cache.

    Two processes may build at once: each builds its own copy, the first one to finish is kept.
    Raises KeyError for a name that is not in NAMES, MissingExtra when torch is not installed.
    """
    module, function, _ = _RECIPES[name]
    target = shipped.cache_folder() / "toy" / identity(name)
    if target.is_dir():
        return target
    for package in ("torch", "open_clip" if module == "clip" else "transformers"):
        plugins.require(package, f"the model {name!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
    try:
        getattr(importlib.import_module(f"fgvr_kit.toy.{module}"), function)(draft)
        draft.chmod(0o755)  # mkdtemp made it private; a cache may be shared
        try:
            os.replace(draft, target)  # noqa: PTH105 (a folder onto a folder)
        except OSError:
            if not target.is_dir():  # somebody else's copy stands there: theirs is the same
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def identity(name: str) -> str:
    """The name with a hash of all that decides the weights: how it is built, and by which versions."""
    module, _, packages = _RECIPES[name]
    source = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    return f"{name}-{fingerprint(source, [_version(package) for package in packages])}"


def write_note(folder: Path) -> None:
    """Mark a checkpoint folder as untrained."""
    (folder / "card.json").write_text(json.dumps({"note": NOTE}) + "\n", encoding="utf-8")


def note_of(folder: Path) -> str | None:
    """What must stand beside every number of this checkpoint; None for one without a card.json."""
    card = folder / "card.json"
    if not card.is_file():
        return None
    note = json.loads(card.read_text(encoding="utf-8")).get("note")
    return str(note) if note else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
