"""The lists of the papers' datasets: what stands in their .txt and .mat files, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fgvr_kit.edited import text_lines
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.rows import Row


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
