"""classes.csv: written once, edited by hand. New classes gain a row; what stands in a row is never changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from fgvr_kit.dataset.classes import CLASS_COLUMNS
from fgvr_kit.dataset.names import display_name, spellings
from fgvr_kit.edited import Sheet


def write_classes(
    path: Path, names: Iterable[str], known: Mapping[str, Mapping[str, str]], merges: Mapping[str, str]
) -> int:
    """Write the file, or add the rows that are missing; fill in merged_into where it is empty. What a person has
    written stays as it is: every cell, and what parts them.

    known: class -> cells that the dataset itself brings.  merges: class -> the one it is merged into.
    Returns how many rows are new.
    """
    sheet = Sheet.read(path, CLASS_COLUMNS[:2]) if path.is_file() else Sheet([*CLASS_COLUMNS])
    rows = {sheet.cell(row, "class").strip(): row for row in sheet.rows}
    new = {name: [""] * len(sheet.columns) for name in sorted(set(names) - set(rows))}
    sheet.rows += new.values()
    changes = [
        (row, *cell) for name, row in new.items() for cell in _cells(name, known.get(name, {})).items()
    ]
    changes += [
        (row, "merged_into", merges[name])
        for name, row in (rows | new).items()
        if name in merges and not sheet.cell(row, "merged_into").strip()
    ]
    for row, column, text in changes:
        sheet.put(row, column, text)
    if changes:
        sheet.write(path)
    return len(new)


def spelling_merges(labels: Iterable[str]) -> dict[str, str]:
    """Which labels are one class under two spellings: the rarer -> the commoner. labels: one for each image."""
    counts = Counter(labels)
    merges: dict[str, str] = {}
    for same in spellings(counts):
        target = max(same, key=lambda name: (counts[name], name))
        merges |= {name: target for name in same if name != target}
    return merges


def _cells(name: str, known: Mapping[str, str]) -> dict[str, str]:
    """What the row of a new class holds: column -> text."""
    said = {column: text for column, text in known.items() if text}
    return {"class": name, "display_name": display_name(name)} | said
