"""A workspace's own copy of a prompt, for tests that edit it."""

from __future__ import annotations

from pathlib import Path

from fgvr_kit.prompts import Prompts


def ejected(root: Path, name: str) -> Path:
    """The workspace's file of the prompt "extract/general", copied from the shipped one if it has none."""
    prompts = Prompts(root / "prompts")
    own = root / "prompts" / f"{name}.md"
    return own if own.is_file() else prompts.eject(name)
