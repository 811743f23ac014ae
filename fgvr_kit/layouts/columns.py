"""Which column of a table is the path, the class, the split, the group: as the user says, or by its name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fgvr_kit.dataset.files import split_named
from fgvr_kit.errors import DatasetError, SettingsError
from fgvr_kit.layouts.rows import Table
from fgvr_kit.settings import DatasetSettings

NONE = "none"

PATHS = (
    "path", "filepath", "filename", "file", "image", "imagepath", "imagename", "imagefile", "imagefilename",
    "img", "imgpath", "imgname", "imgfile", "picture", "photo", "imageid", "imgid", "photoid", "id",
)  # fmt: skip
LABELS = (
    "label", "labels", "labelname", "class", "classname", "classes", "species", "speciesname", "category",
    "categoryname", "target", "breed", "variety", "taxon", "scientificname", "classid", "labelid", "categoryid",
    "truelabel", "trueclass", "groundtruth",
)  # fmt: skip
SPLITS = ("split", "set", "subset", "partition", "fold")
GROUPS = ("group", "groupid")
"""What people call their columns, in lower case, letters only; the first that is there is taken."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Numbers of the columns of a table; None where it has none. details: the others."""

    path: int
    label: int | None
    split: int | None
    group: int | None
    details: tuple[int, ...]


def roles_of(table: Table, settings: DatasetSettings, *, needs_label: bool = True) -> Roles:
    """What the columns mean. The group's column is also a detail: who took a picture is worth keeping.

    Raises SettingsError for a column that the settings name and the table lacks, DatasetError when no column
    looks like the path (or the label, where one is needed).
    """
    path = _column(table, settings.path_col, PATHS, "path_col")
    label = _column(table, settings.label_col, LABELS, "label_col", {path})
    if path is None:
        raise _lacking(table, "the image files", "path")
    if label is None and needs_label:
        raise _lacking(table, "the class", "label")
    taken = {path, label}
    split = _split_column(table, settings.split_col, taken)
    group = _column(table, settings.group_col, GROUPS, "group_col", taken)
    details = [n for n in range(len(table.columns)) if n not in (path, label, split)]
    return Roles(path, label, split, group, tuple(details))


def guessed(columns: Sequence[str], usual: Iterable[str]) -> int | None:
    """The column that bears the first of the usual names."""
    plain = [re.sub(r"[^a-z0-9]+", "", name.lower()) for name in columns]
    return next((plain.index(name) for name in usual if name in plain), None)


def unknown_column(name: str, columns: Sequence[str], setting: str, where: str) -> SettingsError:
    """The error for a column that the user named and that is not there."""
    close = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
    known = ", ".join(columns)
    flag = "--" + setting.replace("_", "-")
    return SettingsError(
        f"there is no column {name!r}", code="table-column", where=where, why=f"its columns: {known}",
        hint=f"did you mean {flag} {close[0]!r}?" if close else f"{flag} takes one of: {known}",
    )  # fmt: skip


def _column(
    table: Table, wanted: str, usual: Iterable[str], setting: str, taken: Iterable[int | None] = ()
) -> int | None:
    if wanted == NONE and setting not in ("path_col", "label_col"):
        return None
    if not wanted:
        return guessed([("" if n in taken else name) for n, name in enumerate(table.columns)], usual)
    if wanted not in table.columns:
        raise unknown_column(wanted, table.columns, setting, str(table.path))
    return table.columns.index(wanted)


def _split_column(table: Table, wanted: str, taken: Iterable[int | None]) -> int | None:
    """A column that merely looks like the split is one only if some of its cells name a split."""
    number = _column(table, wanted, SPLITS, "split_col", taken)
    if wanted or number is None or any(split_named(row.cell(number)) for row in table.rows):
        return number
    return None


def _lacking(table: Table, what: str, role: str) -> DatasetError:
    columns = ", ".join(table.columns)
    return DatasetError(
        f"no column of {table.path.name} is known to name {what}", code="table-columns",
        where=str(table.path), why=f"its columns: {columns}" if columns else "it is empty",
        hint=f"name it: --{role}-col COLUMN; or call it {role!r} in the first line",
    )  # fmt: skip
