"""A workspace of six coins with answers, and a review of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.report.review import Review
from fgvr_kit.workspace import Workspace
from tests.pipeline.coins import Said, Scripted, make_workspace, opened, set_attributes, use

AUTHOR = "anna"


def answered(root: Path) -> Workspace:
    """The coins with their recorded answers: thirteen attributes and the free description."""
    workspace = opened(make_workspace(root))
    extract(workspace)
    return workspace


def scripted(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    say: Callable[[Request], Said],
    *overrides: str,
    table: str = "",
) -> Workspace:
    """The coins, answered by what `say` gives. table: rows of attributes.csv "name,question,options"."""
    make_workspace(root)
    if table:
        (root / "attributes.csv").write_text(f"attribute,question,options\n{table}\n", encoding="utf-8")
    else:
        set_attributes(root, "colour", "rim")
    use(Scripted(say), monkeypatch)
    workspace = opened(root, *overrides)
    extract(workspace)
    return workspace


def review_of(workspace: Workspace) -> Review:
    return Review(workspace, AUTHOR)


def twice(root: Path) -> None:
    """Put a second file with the pixels of the first coin beside it; `init` must see it."""
    first = sorted((root / "coins" / "1_euro").glob("*.jpg"))[0]
    shutil.copy(first, first.with_name("zz_again.jpg"))
