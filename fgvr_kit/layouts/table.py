"""A table (.csv, .tsv, .jsonl) that names images with their classes, and keeps whatever else is known of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from fgvr_kit.dataset.files import class_folders
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.columns import LABELS, PATHS, Roles, guessed, roles_of
from fgvr_kit.layouts.entries import Part, listed, shown
from fgvr_kit.layouts.paths import Files, Missing, root_of, rooted, wrapped
from fgvr_kit.layouts.rows import TABLES, Table, read_table
from fgvr_kit.types import Notice

ABOUT = "a table: path, label"

_SAMPLE = 50
"""Rows that are looked at for what a table may mean."""


def sign_of(place: Path) -> str | None:
    """A table itself; or a folder with one table at its top, whose images lie in at most one folder.

    Where there are more folders with images they are the classes, whatever a table beside them says.
    Raises DatasetError when several tables name images and labels.
    """
    if place.is_file():
        return f"a {place.suffix.lower()} file" if place.suffix.lower() in TABLES else None
    if not place.is_dir() or not (tables := _tables(place)) or len(class_folders(place)) > 1:
        return None
    found = _labelling(place, tables)
    if not found and len(tables) == 1 and not wrapped(place) and any(Files(place).images()):
        found = tables  # --path-col and --label-col may say what its columns are
    if len(found) > 1:
        raise _several(place, found)
    return f"{found[0].name} lies beside its images" if found else None


def read(source: Source) -> Listing:
    """Every row is an image or a file left out. Paths start from the table's folder, or [dataset] root.

    Raises DatasetError and SettingsError when the table or its columns cannot be understood.
    """
    path = source.place if source.place.is_file() else _table_in(source.place)
    root = root_of(source, path.parent)
    table = read_table(path)
    files = Files(root, path.parent)
    roles = roles_of(table, source.settings)
    listing, mentioned = listed(files, [Part(table, roles, path.name)])
    lost = [] if 2 * len(mentioned) > len(table.rows) else _lost(files, table, roles)
    if lost and not mentioned:
        raise _nowhere(files, table, roles, lost)
    if 2 * len(lost) >= len(table.rows) > 0:
        error = _nowhere(files, table, roles, lost)
        listing.notices.append(Notice(error.message, error.code, error.hint, error.where, error.why))
    listing.notices.extend(files.unnamed(mentioned, path.name))
    return listing


def _lost(files: Files, table: Table, roles: Roles) -> list[str]:
    """The cells that should name an image and do not."""
    cells = [cell for row in table.rows if (cell := row.cell(roles.path)).strip()]
    return [cell for cell in cells if isinstance(files.find(cell), Missing)]


def _nowhere(files: Files, table: Table, roles: Roles, lost: Sequence[str]) -> DatasetError:
    found = files.find(lost[0])
    n = len(table.rows)
    return DatasetError(
        f"{'none' if len(lost) == n else 'only ' + format(n - len(lost), ',')} of the {n:,} paths in"
        f" {table.path.name} lead{'s' if len(lost) >= n - 1 else ''} to an image",
        code="table-paths", where=str(table.path),
        why=f"{shown(lost[0])!r}: {found.reason}" if isinstance(found, Missing) else None,
        hint=_meant(files, table, roles, lost[:_SAMPLE]),
    )  # fmt: skip


def _meant(files: Files, table: Table, roles: Roles, lost: Sequence[str]) -> str:
    """What is likely meant by paths that lead nowhere: another column, another root, the folders as classes."""
    for number, name in enumerate(table.columns):
        found = [isinstance(files.find(row.cell(number)), str) for row in table.rows[:_SAMPLE]]
        if number != roles.path and 2 * sum(found) >= len(found):
            return f"the column {name!r} names files that are there: --path-col {shlex.quote(name)}"
    if root := rooted(files, lost):
        return f"such files lie in another folder: --root {shlex.quote(str(root))}"
    if inner := wrapped(files.root):
        return f"are the folders there the classes? fgvr-kit init {shlex.quote(str(inner))}"
    return "--root FOLDER says where the paths start, --path-col COLUMN which column names the files"


def _tables(folder: Path) -> list[Path]:
    """The tables at the top of a folder."""
    return [
        path for path in sorted(folder.iterdir())
        if path.suffix.lower() in TABLES and path.is_file() and not path.name.startswith(".")
    ]  # fmt: skip


def _table_in(folder: Path) -> Path:
    """The one table of a folder. Raises DatasetError when there is none, or several that could be it."""
    tables = _tables(folder) if folder.is_dir() else []
    found = tables if len(tables) == 1 else _labelling(folder, tables)
    if len(found) > 1:
        raise _several(folder, found)
    if not found:
        raise DatasetError(
            "there is no table of images in the folder" if folder.is_dir() else "there is no such file",
            code="dataset-not-found", where=str(folder),
            hint="give the table itself: fgvr-kit init labels.csv",
        )  # fmt: skip
    return found[0]


def _labelling(folder: Path, tables: Sequence[Path]) -> list[Path]:
    """The tables whose columns look like path and label; of several, those that name a file which is there."""
    found = [path for path in tables if _looks_labelling(path)]
    if len(found) < 2:
        return found
    files = Files(folder)
    return [path for path in found if _names_a_file(path, files)]


def _looks_labelling(path: Path) -> bool:
    try:
        columns = read_table(path, 1).columns
    except DatasetError:
        return False
    return guessed(columns, PATHS) is not None and guessed(columns, LABELS) is not None


def _names_a_file(path: Path, files: Files) -> bool:
    try:
        table = read_table(path)
    except DatasetError:
        return False
    number = guessed(table.columns, PATHS)
    return any(isinstance(files.find(row.cell(number)), str) for row in table.rows)


def _several(folder: Path, tables: Sequence[Path]) -> DatasetError:
    names = " and ".join(path.name for path in tables)
    return DatasetError(
        f"{names} both name images and labels: which is it?", code="dataset-layout", where=str(folder),
        hint=f"give the table itself: fgvr-kit init {tables[0]}",
    )  # fmt: skip
