"""Data packages: datapackage.json and the tables it names. Source: https://datapackage.org/standard/data-package/"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.rows import Table, read_table

FILE = "datapackage.json"

_MISSING = ("", "NaN", "nan", "NA")


@dataclass(frozen=True, slots=True)
class Package:
    """path: of datapackage.json.  about: what stands in it."""

    path: Path
    about: Mapping[str, Any]

    def objects(self, key: str) -> list[Mapping[str, Any]]:
        """The objects in a list of the package, [] where there is none."""
        found = self.about.get(key)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def table(self, name: str) -> Table | None:
        """A table of the package, or the .csv of that name beside it; None where there is none.

        Raises DatasetError when it lies elsewhere, or cannot be read.
        """
        told = next((one.get("path") for one in self.objects("resources") if one.get("name") == name), None)
        file = str(told[0] if isinstance(told, list) and told else told or f"{name}.csv")
        folder = self.path.parent.resolve()
        if re.match(r"[a-z][a-z0-9+.-]+://", file, re.I):
            raise _elsewhere(self.path, name, file, "it is a URL")
        path = (folder / file).resolve()
        if not path.is_relative_to(folder):
            raise _elsewhere(self.path, name, file, "it lies outside the folder of the package")
        if path.suffix.lower() not in (".csv", ".tsv"):
            raise _elsewhere(self.path, name, file, "it is no .csv file")
        return read_table(path) if path.is_file() else None


def read_package(path: Path) -> Package:
    """Raises DatasetError when the file cannot be read or is no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise _no_package(path, error.strerror or "it cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise _no_package(path, f"it is no valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise _no_package(path, f"it holds a {type(found).__name__}, not an object")
    return Package(path, found)


def cells_of(table: Table, needed: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table, each as column -> text of the cells that are filled in.

    Raises DatasetError when a needed column is not there.
    """
    if lacking := [name for name in needed if name not in table.columns]:
        raise DatasetError(
            f"{table.path.name} has no column {lacking[0]!r}", code="datapackage-columns", where=str(table.path),
            why=f"its columns: {', '.join(table.columns)}", hint="export the package again, as Camtrap DP 1.0",
        )  # fmt: skip
    return [
        {name: text for name, cell in zip(table.columns, row.cells, strict=False)
         if (text := cell.strip()) not in _MISSING}
        for row in table.rows
    ]  # fmt: skip


def _no_package(path: Path, why: str) -> DatasetError:
    return DatasetError(
        f"{path.name} is no data package", code="datapackage-json", where=str(path), why=why,
        hint="was the download or the export cut off? fetch it again",
    )  # fmt: skip


def _elsewhere(path: Path, name: str, file: str, why: str) -> DatasetError:
    return DatasetError(
        f"the table {name!r} cannot be read: {file[:200]!r}", code="datapackage-table", where=str(path), why=why,
        hint=f"put it beside {path.name} as {name}.csv, and name that under resources",
    )  # fmt: skip
