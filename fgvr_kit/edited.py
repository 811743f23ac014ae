"""Files that people edit, with a spreadsheet as often as with an editor: read what they save, write at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from fgvr_kit.errors import DatasetError

Row = dict[str, str]


def read_csv(path: Path, needed: Sequence[str]) -> tuple[list[str], list[Row]]:
    """(columns, rows) of a table separated by commas, semicolons or tabs, as spreadsheets save it.

    Cells that a short row lacks are "". Raises DatasetError when the file is not UTF-8, or lacks one of the
    columns `needed`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path.name} is not UTF-8", code="csv-encoding", where=str(path),
            why=f"byte {error.start} is no letter in it", hint='save it again as "CSV UTF-8"',
        ) from error  # fmt: skip
    first = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="", restval="")
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    if missing := [name for name in needed if name not in columns]:
        raise DatasetError(
            f"{path.name} has no column {missing[0]!r}", code="csv-columns", where=str(path),
            why=f"its first line is {first!r}", hint=f"the first line must hold {','.join(needed)}",
        )  # fmt: skip
    return columns, [{name: row[name] or "" for name in columns} for row in reader]


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table with commas, in UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a file at once, so that a kill leaves the old one or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
