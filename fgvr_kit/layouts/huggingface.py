"""A dataset of the Hugging Face hub: "hf:org/name", "hf:org/name:config@revision", or "hf:FOLDER".

Its images are kept inside the workspace, each with its own bytes; what is kept is read, not the hub.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fgvr_kit.dataset.files import split_named
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.columns import roles_of
from fgvr_kit.layouts.download import wanted
from fgvr_kit.layouts.entries import Part, listed
from fgvr_kit.layouts.hub import FILE, ROWS, Copy, fetch, folder_of, kept
from fgvr_kit.layouts.paths import Files
from fgvr_kit.layouts.rows import read_table
from fgvr_kit.types import Entry, Split

ABOUT = "a dataset of the Hugging Face hub"


def sign_of(place: Path) -> str | None:
    """Never: such a dataset is named, not found ("hf:...")."""
    return None


def read(source: Source) -> Listing:
    """Every row with its image, class, split and other columns, from the copy in the source's place.

    The network is asked only where the place holds no finished copy of that revision.
    Raises DatasetError when there is no such dataset, no way to it, no image or several label columns;
    SettingsError for a column that is not there, MissingExtra without the package `datasets`.
    """
    asked, settings = wanted(source.name), source.settings
    copy = kept(source.place, asked)
    is_there = copy is not None and copy.finished and (source.place / ROWS).is_file()
    if copy is None or not is_there or settings.path_col not in ("", copy.image):
        copy = fetch(asked, source.place, settings.path_col, source.progress)
    label = _label_column(copy, settings.label_col)
    table = read_table(source.place / ROWS)
    named = settings.model_copy(update={"path_col": FILE, "label_col": label})
    part = Part(table, roles_of(table, named), ROWS)
    return listed(Files(source.place.absolute()), [part], _by_folder(copy))[0]


def _label_column(copy: Copy, wanted: str) -> str:
    """The column that the user names, or the one of type ClassLabel; "" leaves it to the names of the columns."""
    if wanted or not copy.labels:
        return wanted
    if len(copy.labels) > 1:
        raise DatasetError(
            f"the dataset has {len(copy.labels)} columns of labels: {', '.join(copy.labels)}",
            code="hub-several-labels", where=copy.name, hint=f"name the class: --label-col {copy.labels[0]!r}",
        )  # fmt: skip
    return copy.labels[0]


def _by_folder(copy: Copy) -> Callable[[Entry], Entry]:
    """Gives an entry the split whose folder it lies in; a dataset without a training split brings none."""
    splits: dict[str, Split | None] = {folder_of(name): split_named(name) for name in copy.rows}
    if "train" not in splits.values():
        return lambda entry: entry
    return lambda entry: replace(entry, split=entry.split or splits.get(entry.file.partition("/")[0]))
