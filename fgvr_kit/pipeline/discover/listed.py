"""A list of attributes that people bring: .txt, .csv or .json."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

from fgvr_kit.asking import parse
from fgvr_kit.dataset.attributes import ATTRIBUTE_COLUMNS, is_asked
from fgvr_kit.errors import DatasetError
from fgvr_kit.types import Attribute


def read_attributes(file: Path) -> list[Attribute]:
    """The attributes of a file as written; a question that is not given is empty.

    .txt: one a line, "name", "name: question" or "name: question [red; blue]"; lines that begin with # are remarks.
    .csv: columns `attribute` (or `name`), `question`, `options` ("red; blue") and `superclass`; rows whose `status`
    is "dropped" or "merged into ..." are left out.  .json: a list of names, or of objects with these keys.
    Raises DatasetError "attributes-file" when it cannot be read, "csv-columns" without such a column.
    """
    ending = file.suffix.lower()
    readers = {".csv": _of_csv, ".json": _of_json, ".txt": _of_lines}
    if ending not in readers:
        raise _unreadable(file, f"its name ends in {ending or 'nothing'!r}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unreadable(file, error.strerror or "it cannot be opened") from error
    except UnicodeDecodeError as error:
        raise _unreadable(file, "it is not UTF-8 text") from error
    return readers[ending](text, file)


def _of_lines(text: str, file: Path) -> list[Attribute]:
    lines = [line.strip() for line in text.splitlines()]
    return [_of_line(line) for line in lines if line and not line.startswith("#")]


def _of_line(line: str) -> Attribute:
    closed = re.fullmatch(r"(.*?)\[([^\[\]]*[;|][^\[\]]*)\]", line)
    name, _, question = (closed[1] if closed else line).partition(":")
    return Attribute(name.strip(), question.strip(), parse.values_in(closed[2]) if closed else ())


def _of_json(text: str, file: Path) -> list[Attribute]:
    try:
        json.loads(text)  # people get a place and a reason; only models are read with patience
    except (json.JSONDecodeError, RecursionError) as error:
        raise _unreadable(file, f"it is not JSON: {error}") from error
    return parse.attribute_list(text)


def _of_csv(text: str, file: Path) -> list[Attribute]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)  # spreadsheets write semicolons where the comma is decimal
    rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter))
    columns = [cell.strip().lower() for cell in rows[0]] if rows else []
    name = next((columns.index(word) for word in ("attribute", "name") if word in columns), None)
    if name is None:
        raise DatasetError(
            "the file has no column 'attribute'",
            code="csv-columns",
            where=str(file),
            why=f"its first line is {head.strip()!r}",
            hint="the first line must be attribute,question (and options,superclass where there are any)",
        )
    found = []
    for cells in rows[1:]:
        row = {column: _cell(cells, columns.index(column)) for column in columns} | {
            "attribute": _cell(cells, name)
        }
        row = dict.fromkeys(ATTRIBUTE_COLUMNS, "") | row
        if is_asked(row):
            options = parse.values_in(row["options"])
            found.append(Attribute(row["attribute"], row["question"], options, row["superclass"]))
    return found


def _cell(row: Sequence[str], place: int) -> str:
    return row[place].strip() if place < len(row) else ""


def _unreadable(file: Path, why: str) -> DatasetError:
    return DatasetError(
        "the list of attributes cannot be read",
        code="attributes-file",
        where=str(file),
        why=why,
        hint="--from takes a .txt, .csv or .json file in UTF-8",
    )
