"""The lists of the papers' datasets: which images there are, their classes and splits, in .txt and .mat files.

The lists decide; a file on the disk decides nothing. One that is listed and missing is left out with that
reason, and so is one that no list names.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fgvr_kit.dataset.files import class_folders, is_junk, require_folder, walk, why_not
from fgvr_kit.edited import text_lines
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.rows import Row
from fgvr_kit.types import Entry, Notice, Skipped

Named = tuple[str, Entry]
"""The list that names an image, and the image; its file is relative to the folder of the dataset."""

Signs = Callable[[Path], list[str]]
"""The files and folders by which a dataset's folder is recognised, [] when it is not that folder."""

_MOST_FOLDERS = 20
"""No archive unpacks beside more folders than this; a folder of ten thousand classes is not looked through."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where the lists of a dataset lie: in the folder that the user named (place), or in one folder of it."""

    place: Path
    folder: Path
    signs: list[str]

    @property
    def prefix(self) -> str:
        """From place to folder: "", or "CUB_200_2011/"."""
        return "" if self.folder == self.place else f"{self.folder.name}/"


def find_home(place: Path, signs: Signs) -> Home | None:
    """The folder that bears the signs: the place, or else the first folder in it that does."""
    for folder in (place, *_folders(place)) if place.is_dir() else ():
        if found := _borne(folder, signs):
            return Home(place, folder, found)
    return None


def told_by(place: Path, signs: Signs) -> str | None:
    """By what a dataset is recognised at a place, None when it is not."""
    home = find_home(place, signs)
    return f"{home.prefix or 'it'} holds {' and '.join(home.signs[:2])}" if home else None


def home_of(source: Source, signs: Signs, about: str) -> Home:
    """Raises DatasetError when the dataset is not at the place."""
    require_folder(source.place)
    if home := find_home(source.place, signs):
        return home
    raise DatasetError(
        f"the folder does not hold {about} as its archives unpack", code="dataset-not-found",
        where=str(source.place), hint="choose another --layout, or leave it away",
    )  # fmt: skip


def listing_of(
    home: Home,
    named: Iterable[Named],
    folders: Mapping[str, str],
    *,
    about: str,
    n_test: int,
    notices: Sequence[Notice] = (),
    classes: Mapping[str, Mapping[str, str]] | None = None,
) -> Listing:
    """The images that the lists name, with the files in the image folders that cannot be used.

    folders: image folder -> the archive it comes from.  about: the dataset's name.  n_test: how many images
    the papers test on.  Raises DatasetError when an image folder is missing.
    """
    listing = Listing(home.place, [], [], [*_beside(home)], classes or {})
    on_disk: dict[str, None] = {}
    for folder, archive in folders.items():
        on_disk |= dict.fromkeys(_files(home, folder, archive, listing.skipped))
    times: Counter[str] = Counter()
    for by, entry in named:
        file = home.prefix + entry.file
        times[file] += 1
        if times[file] > 1:
            continue
        if file in on_disk:
            listing.entries.append(replace(entry, file=file))
        else:
            listing.skipped.append(Skipped(file, f"named by {by}, but there is no such file"))
    again = ((file, n) for file, n in times.items() if n > 1)
    listing.skipped.extend(
        Skipped(f"{file} (again)", f"listed {n} times: the first counts") for file, n in again
    )
    rest = (file for file in on_disk if file not in times)
    listing.skipped.extend(Skipped(file, why_not(file) or "no list of the dataset names it") for file in rest)
    listing.notices.extend([*_other_size(listing, about, n_test), *notices])
    return listing


def lacking(path: Path, needed: str, archive: str) -> DatasetError:
    """The error for a list that is not there.  needed: what it tells.  archive: what it comes in, its own name
    when it is a download of its own."""
    alone = archive == path.name
    return DatasetError(
        f"{path.name} is missing", code="list-missing", where=str(path.parent), why=f"it tells {needed}",
        hint="download it and put it here" if alone else f"unpack {archive}, it is in there",
    )  # fmt: skip


def broken(
    message: str, path: Path, line: int | None = None, *, code: str, why: str | None = None
) -> DatasetError:
    """The error for a list that is not what the archive holds."""
    return DatasetError(
        message,
        code=code,
        where=str(path) if line is None else f"{path}:{line}",
        why=why,
        hint="unpack the original archive again",
    )


def rows_of(path: Path, n_cells: int, needed: str, archive: str) -> list[Row]:
    """The lines of a list, blank ones and comments (#) left out; only the last cell may hold blanks.

    Raises DatasetError when it is missing, cannot be read, is not UTF-8, or a line has too few cells.
    """
    if not path.is_file():
        raise lacking(path, needed, archive)
    try:
        lines = [(line, text.strip()) for line, text in text_lines(path)]
    except OSError as error:
        raise broken(
            f"{path.name} cannot be read", path, code="list-unreadable", why=error.strerror
        ) from error
    rows = [Row(line, text.split(None, n_cells - 1)) for line, text in lines if text and text[0] != "#"]
    for row in rows:
        if len(row.cells) != n_cells:
            raise broken(
                f"line {row.line} of {path.name} has {len(row.cells)} cells instead of {n_cells}",
                path, row.line, code="list-line",
            )  # fmt: skip
    return rows


def by_id(path: Path, n_cells: int, needed: str, archive: str) -> dict[str, Row]:
    """The rows of a list under their first cell. Raises DatasetError as rows_of, and when one comes twice."""
    found: dict[str, Row] = {}
    for row in rows_of(path, n_cells, needed, archive):
        if found.setdefault(row.cells[0], row) is not row:
            raise broken(
                f"{path.name} lists {row.cells[0]!r} twice", path, row.line, code="list-line",
                why=f"it stands in line {found[row.cells[0]].line} already",
            )  # fmt: skip
    return found


def require_same(path: Path, keys: Iterable[str], other: str, others: Iterable[str]) -> None:
    """Raise DatasetError when a list does not name just the images that another list names."""
    mine, theirs = dict.fromkeys(keys), dict.fromkeys(others)
    if mine.keys() == theirs.keys():
        return
    first = next((key for key in (*theirs, *mine) if (key in mine) != (key in theirs)), "")
    raise broken(
        f"{path.name} and {other} do not list the same images: {len(mine):,} and {len(theirs):,}",
        path, code="lists-differ", why=f"{first!r} stands in {path.name if first in mine else other} only",
    )  # fmt: skip


def class_at(names: Sequence[str], label: int, path: Path, line: int | None = None) -> str:
    """The name of a class, which lists count from 1. Raises DatasetError for a label that is none."""
    if 1 <= label <= len(names):
        return names[label - 1]
    raise broken(
        f"label {label} is out of range: there are {len(names)} classes", path, line, code="label-range"
    )


def require_one_to_one(pairs: Iterable[tuple[int, str]], path: Path) -> None:
    """Raise DatasetError when (label, name) pairs do not give each of n names a label of its own, 1 to n.

    path: where the error says they stand.
    """
    names: dict[int, str] = {}
    labels: dict[str, int] = {}
    for label, name in pairs:
        if names.setdefault(label, name) != name or labels.setdefault(name, label) != label:
            raise broken(
                f"label {label} of {name!r} also stands for {names[label]!r}"
                if names[label] != name
                else f"{name!r} has two labels: {labels[name]} and {label}",
                path, code="label-conflict",
            )  # fmt: skip
    for label in names:
        class_at(list(labels), label, path)


def whole(cell: Any, path: Path, line: int | None = None) -> int:
    """A cell that must be a whole number. Raises DatasetError when it is not."""
    try:
        if (value := float(cell)).is_integer():
            return int(value)
    except (TypeError, ValueError):
        pass
    raise broken(f"{str(cell)[:50]!r} in {path.name} is no whole number", path, line, code="list-line")


def variables_of(path: Path, names: Sequence[str], needed: str, archive: str) -> dict[str, Any]:
    """Variables of a .mat file by name, each as an array of one dimension.

    Raises DatasetError when the file is missing, damaged or of version 7.3, or lacks a variable.
    """
    import numpy as np
    from scipy.io import loadmat

    if not path.is_file():
        raise lacking(path, needed, archive)
    try:
        found = loadmat(path, squeeze_me=True, variable_names=names)
    except Exception as error:  # loadmat meets damage with whatever it stumbles over
        newer = isinstance(error, NotImplementedError)
        raise broken(
            f"{path.name} cannot be read as a MATLAB file", path, code="list-unreadable",
            why="it is of version 7.3, and the archive's is not" if newer else str(error)[:200],
        ) from error  # fmt: skip
    if absent := [name for name in names if name not in found]:
        raise broken(f"{path.name} holds no variable {absent[0]!r}", path, code="list-variable")
    return {name: np.atleast_1d(found[name]).reshape(-1) for name in names}


def words(cells: Iterable[Any], path: Path) -> list[str]:
    """Cells that must be text, without the blanks MATLAB fills them up with. Raises DatasetError."""
    found = list(cells)
    if strange := [cell for cell in found if not isinstance(cell, str) or not cell.strip()]:
        raise broken(f"{str(strange[0])[:50]!r} in {path.name} is no text", path, code="list-line")
    return [str(cell).strip() for cell in found]


def _borne(folder: Path, signs: Signs) -> list[str]:
    with suppress(OSError):  # a folder that may not be looked into
        return signs(folder)
    return []


def _folders(place: Path) -> list[Path]:
    """The folders in a place, sorted; none when they are too many."""
    found: list[str] = []
    with suppress(OSError), os.scandir(place) as children:
        for child in children:
            if child.is_dir() and not is_junk(child.name):
                found.append(child.name)
            if len(found) > _MOST_FOLDERS:
                return []
    return [place / name for name in sorted(found)]


def _files(home: Home, folder: str, archive: str, skipped: list[Skipped]) -> list[str]:
    """The files of an image folder, relative to the place; skipped gains what cannot be looked into."""
    if not (home.folder / folder).is_dir():
        raise DatasetError(
            f"the image folder {folder} is missing", code="images-missing", where=str(home.folder),
            hint=f"unpack {archive}, it is in there",
        )  # fmt: skip
    base = f"{home.prefix}{folder}/"
    left_out: list[Skipped] = []
    found = [base + path for path in walk(home.folder / folder, left_out)]
    skipped.extend(Skipped(base + one.path, one.reason) for one in left_out)
    return found


def _beside(home: Home) -> list[Notice]:
    """A notice about image folders beside the dataset's own folder, which nobody reads."""
    others = [name for name in class_folders(home.place) if name != home.folder.name] if home.prefix else []
    if not others:
        return []
    more = ", ..." if len(others) > 3 else ""
    return [
        Notice(
            f"only {home.folder.name} is read; beside it lies {', '.join(map(repr, others[:3]))}{more}",
            code="folders-beside", where=str(home.place), hint="name the other folder to read that one",
        )
    ]  # fmt: skip


def _other_size(listing: Listing, about: str, n_test: int) -> list[Notice]:
    n = sum(entry.split == "test" for entry in listing.entries)
    if n == n_test:
        return []
    return [
        Notice(
            f"{n:,} test images; the papers test on {n_test:,}", code="test-split-size",
            where=str(listing.root), why=f"this is not the whole of {about}, or it was changed",
            hint="its numbers do not compare with theirs; fgvr-kit status --skipped names what was left out",
        )
    ]  # fmt: skip
