"""Where the images lie and where the workspace is to lie: neither inside the other, both with names that are text."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from fgvr_kit.dataset.names import as_text
from fgvr_kit.errors import DatasetError, SettingsError, WorkspaceError
from fgvr_kit.layouts.base import Listing
from fgvr_kit.settings import HUB
from fgvr_kit.types import Entry
from fgvr_kit.workspace import place_of


def named(images: str | Path, root: Path) -> tuple[str, Path]:
    """(as the user wrote it, where it lies).

    Raises WorkspaceError when root lies inside the image folder, DatasetError for a path that fgvr.toml, which is
    UTF-8, cannot hold.
    """
    name = str(images)
    place = place_of(name, root) if name.startswith(HUB) else Path(name).expanduser().resolve()
    for path in (str(root), str(place)):
        if as_text(path) != path:
            raise DatasetError(
                "the name of a folder or file on the way is not UTF-8", code="path-encoding", where=as_text(path),
                why="fgvr.toml and the database hold text, and cannot name it",
                hint="rename it; or make a link to it that has another name, and give that",
            )  # fmt: skip
    if place.is_dir() and root.is_relative_to(place):
        raise _inside(root, place)
    return name, place


def refuse_among_images(root: Path, listing: Listing) -> None:
    """Raise WorkspaceError when a table that lies at root, or above it, names images all around the workspace."""
    if listing.entries:
        folder = (listing.root / _common_folder(listing.entries)).resolve()
        if root.is_relative_to(folder):
            raise _inside(root, folder)


def refuse_unused_root(wanted: str, root: Path, used: Path) -> None:
    """Raise SettingsError when paths start elsewhere than [dataset] root says: so would those of every later step."""
    if wanted and (root / wanted).resolve() != used.resolve():
        raise SettingsError(
            "this layout has no use for dataset.root (--root)",
            code="root-not-used",
            where=wanted,
            why=f"its paths start from {used}",
            hint="leave it out; tables and COCO files use it",
        )


def _common_folder(entries: Sequence[Entry]) -> str:
    return os.path.commonpath({posixpath.dirname(entry.file) for entry in entries})


def _inside(root: Path, folder: Path) -> WorkspaceError:
    return WorkspaceError(
        "the workspace would lie inside the image folder, which is never written to",
        code="workspace-in-dataset",
        where=str(root),
        why=None if root == folder else f"the images lie in {folder}",
        hint=f"go elsewhere, or name a place: -w DIR (not {folder} nor below it)",
    )
