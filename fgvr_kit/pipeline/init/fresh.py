"""What a fresh workspace is given: fgvr.toml with every setting explained."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fgvr_kit import settings as settings_module
from fgvr_kit.edited import write_text
from fgvr_kit.settings import FILE_NAME, HUB


def write_settings(root: Path, name: str, place: Path, paths_root: Path, overrides: Sequence[str]) -> None:
    """Write fgvr.toml for the dataset `name`, which lies at place.

    paths_root: the folder that paths start from; it is written down where it is not the obvious one.
    """
    is_usual = paths_root.resolve() == (place if place.is_dir() else place.parent)
    values = {
        "dataset.path": name if name.startswith(HUB) else _relative(place, root),
        "dataset.root": "" if is_usual else _relative(paths_root, root),
    }
    chosen = settings_module.load(None, overrides, environ={})
    write_text(root / FILE_NAME, render_settings(values, chosen))


def render_settings(values: Mapping[str, Any], chosen: settings_module.Settings) -> str:
    """fgvr.toml as text: every section and key, with the words that stand under the field."""
    import tomlkit

    document = tomlkit.document()
    document.add(
        tomlkit.comment("The settings of this workspace. `fgvr-kit settings` tells where each value in")
    )
    document.add(
        tomlkit.comment("force comes from; --set section.key=value changes one for a single command.")
    )
    for name, section in settings_module.sections(chosen):
        table = tomlkit.table()
        for key, field in type(section).model_fields.items():
            table.add(tomlkit.nl())
            for line in (field.description or "").splitlines():
                table.add(tomlkit.comment(line.strip()))
            table.add(key, values.get(f"{name}.{key}", getattr(section, key)))
        document.add(name, table)
    return tomlkit.dumps(document)


def _relative(path: Path, root: Path) -> str:
    return os.path.relpath(path, root) if path.is_relative_to(root) else str(path)
