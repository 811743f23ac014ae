"""What a fresh workspace is given: fgvr.toml with every setting explained, and the prompts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fgvr_kit import settings as settings_module
from fgvr_kit import shipped
from fgvr_kit.edited import write_text
from fgvr_kit.settings import FILE_NAME


def write_settings(root: Path, overrides: Sequence[str], values: Mapping[str, Any]) -> None:
    """Write fgvr.toml. values: "section.key" -> value, over what the overrides say."""
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


def copy_prompts(root: Path) -> int:
    """Copy the shipped prompts that the workspace does not have yet; return how many."""
    copied = 0
    source = shipped.folder("prompts")
    for file in sorted(source.glob("*/*.md")):
        target = root / "prompts" / file.relative_to(source)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            copied += 1
    return copied
