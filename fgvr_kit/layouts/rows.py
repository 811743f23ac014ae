"""Tables as people keep them: .csv, .tsv, .jsonl. Every cell is text; every row knows its line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fgvr_kit.edited import csv_rows, text_lines
from fgvr_kit.errors import DatasetError

JSON_LINES = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv", *JSON_LINES)


@dataclass(frozen=True, slots=True)
class Row:
    """cells: in the order of the columns; those at the end may be missing."""

    line: int
    cells: list[str]

    def cell(self, column: int | None) -> str:
        """The text in a column, "" where the row has none."""
        return self.cells[column] if column is not None and column < len(self.cells) else ""


@dataclass(frozen=True, slots=True)
class Table:
    """columns: their names, no two alike."""

    path: Path
    columns: list[str]
    rows: list[Row]


def read_table(path: Path, most: int | None = None) -> Table:
    """A table, or its first rows only, `most` of them.

    Raises DatasetError: not UTF-8, a quote that is not closed, a line that is no JSON object, no permission.
    """
    try:
        if path.suffix.lower() in JSON_LINES:
            return _of_objects(path, islice(_objects(path), most))
        lines = csv_rows(path, strict=True)
        _, first = next(lines, (1, []))
        return Table(path, _columns(first), [Row(*line) for line in islice(lines, most)])
    except OSError as error:
        raise DatasetError(
            f"{path.name} cannot be read ({error.strerror})", code="table-unreadable", where=str(path),
            hint="make it readable, or name another table",
        ) from error  # fmt: skip


def text_of(value: Any) -> str:
    """A value of JSON as a cell: text as it is, null and NaN as "", everything else as JSON."""
    if isinstance(value, str):
        return value if value.isascii() else _whole(value)
    if value is None or value != value:
        return ""
    if type(value) in (int, float):  # as JSON writes them, without its ceremony
        return repr(value)
    return _whole(json.dumps(value, ensure_ascii=False, default=str))


def _whole(text: str) -> str:
    """Text without halves of characters, which JSON can spell and no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _of_objects(path: Path, objects: Iterable[tuple[int, dict[str, Any]]]) -> Table:
    places: dict[str, int] = {}
    rows: list[Row] = []
    for line, found in objects:
        for name in found:
            places.setdefault(name, len(places))
        cells = [""] * len(places)
        for name, value in found.items():
            cells[places[name]] = text_of(value)
        rows.append(Row(line, cells))
    return Table(path, _columns(list(places)), rows)


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in text_lines(path):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            at = f":{error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise _no_object(path, f"{line}{at}", "is no valid JSON", why) from error
        if not isinstance(value, dict):
            raise _no_object(path, str(line), "is no JSON object", f"it is {type(value).__name__}")
        yield line, value


def _no_object(path: Path, line: str, what: str, why: str) -> DatasetError:
    return DatasetError(
        f"line {line.partition(':')[0]} of {path.name} {what}", code="jsonl-line", where=f"{path}:{line}",
        why=why, hint='every line holds one row, such as {"path": "1.jpg", "label": "bee"}',
    )  # fmt: skip


def _columns(names: list[str]) -> list[str]:
    """Names without blanks around them; one that has none is called by its number."""
    plain = (" ".join(_whole(name).split()) for name in names)
    return numbered([name or f"column {n}" for n, name in enumerate(plain, 1)], "{} ({})")


def numbered(names: Iterable[str], form: str) -> list[str]:
    """The names, no two alike: one that was there before is numbered.  form: how, "{} ({})"."""
    found: dict[str, None] = {}
    for name in names:
        unique, times = name, 1
        while unique in found:
            times += 1
            unique = form.format(name, times)
        found[unique] = None
    return list(found)
