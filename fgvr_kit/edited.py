"""Files that people edit, with a spreadsheet as often as with an editor: read what they save, write at once."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from fgvr_kit.errors import DatasetError

Row = dict[str, str]


@dataclass(slots=True)
class Sheet:
    """A table that people keep, cell by cell, and how its file is written, so that it can be written back.

    columns: the first line.  rows: the others; a row may have fewer cells than that, or more.  head: what stands
    before the first line: a byte order mark, the line in which Excel names the delimiter.
    """

    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    delimiter: str = ","
    end: str = "\n"
    head: str = ""

    @classmethod
    def read(cls, path: Path, needed: Sequence[str]) -> Sheet:
        """Raises DatasetError when the file is not UTF-8, or lacks one of the columns `needed`."""
        columns, *rows = [cells for _, cells in csv_rows(path)] or [[]]
        if missing := [name for name in needed if name not in _stripped(columns)]:
            raise DatasetError(
                f"{path.name} has no column {missing[0]!r}", code="csv-columns", where=str(path),
                why=f"its first line is {','.join(columns)!r}",
                hint=f"the first line must hold {','.join(needed)}",
            )  # fmt: skip
        text = path.read_bytes().decode()
        told = re.match(r"\ufeff?(?:\s*sep=.[ \t]*\r?\n)?", text)
        with io.StringIO(text.removeprefix("\ufeff"), newline="") as file:
            delimiter, _ = _delimiter(file)
        head = told[0] if told else ""
        end = next((end for end in ("\r\n", "\n", "\r") if end in text[len(head) :]), "\n")
        return cls(columns, rows, delimiter, end, head)

    def cell(self, row: Sequence[str], column: str) -> str:
        """The text in a column, "" where the row or the table has none."""
        names = _stripped(self.columns)
        place = names.index(column) if column in names else len(row)
        return row[place] if place < len(row) else ""

    def put(self, row: list[str], column: str, text: str) -> None:
        """Write a cell. A column that is new is added behind every cell there is."""
        if column not in _stripped(self.columns):
            width = max(map(len, (self.columns, *self.rows)))
            self.columns += [""] * (width - len(self.columns)) + [column]
        place = _stripped(self.columns).index(column)
        row += [""] * (place + 1 - len(row))
        row[place] = text

    def write(self, path: Path) -> None:
        text = io.StringIO(newline="")
        text.write(self.head)
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator=self.end)
        writer.writerows([self.columns, *self.rows])
        write_text(path, text.getvalue())


def read_csv(path: Path, needed: Sequence[str]) -> tuple[list[str], list[Row]]:
    """(columns, rows) of a table separated by commas, semicolons or tabs, as spreadsheets save it.

    Cells that a short row lacks are "". Raises DatasetError as Sheet.read.
    """
    sheet = Sheet.read(path, needed)
    columns = _stripped(sheet.columns)
    return columns, [{name: sheet.cell(cells, name) for name in columns} for cells in sheet.rows]


def csv_rows(path: Path, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """(line it begins in, cells) of every row, the first one of names too; blank lines are left out.

    strict: a quote that is not closed, or closed before its cell ends, is an error; spreadsheets guess.
    Raises DatasetError for that, and when the file is not UTF-8.
    """
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter, line = _delimiter(file)
            reader = csv.reader(file, delimiter=delimiter, strict=strict)
            before = line - 1
            for cells in reader:
                if cells:
                    yield line, cells
                line = before + reader.line_num + 1
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise DatasetError(
            f"line {line} of {path.name} cannot be told apart into cells: {error}", code="csv-quotes",
            where=f"{path}:{line}", why="a cell that begins with a quote must end with one",
            hint='write quotes inside a quoted cell twice: "a ""small"" seed"',
        ) from error  # fmt: skip


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, text) of every line of a text file. Raises DatasetError when it is not UTF-8."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from enumerate(file, 1)
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error


def _delimiter(file: TextIO) -> tuple[str, int]:
    """(what parts the cells, the line to read on from). Excel may say so itself, in a first line "sep=;"."""
    first = file.readline()
    while first and not first.strip():
        first = file.readline()
    if told := re.fullmatch(r"sep=(.)\s*", first):
        return told[1], 2
    file.seek(0)
    bare = re.sub(r'"[^"]*"', "", first)
    return max(",;\t", key=bare.count), 1


def _not_utf8(path: Path) -> DatasetError:
    raw = path.read_bytes()
    try:
        raw.decode("utf-8")
        at = 0
    except UnicodeDecodeError as error:
        at = error.start
    return DatasetError(
        f"{path.name} is not UTF-8", code="csv-encoding", where=f"{path}:{raw.count(10, 0, at) + 1}",
        why=f"byte {at} is no letter in it", hint='save it again as "CSV UTF-8"',
    )  # fmt: skip


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table with commas, in UTF-8."""
    Sheet([*columns], [[*row] for row in rows]).write(path)


def _stripped(names: Iterable[str]) -> list[str]:
    return [name.strip() for name in names]


def write_text(path: Path, text: str) -> None:
    """Write a file at once, so that a kill leaves the old one or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(path)
