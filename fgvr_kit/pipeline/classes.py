"""classes.csv: written once, edited by hand. New classes gain a row; what stands in a row is never changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from fgvr_kit.dataset.names import display_name, spellings
from fgvr_kit.edited import Row, read_csv, write_csv
from fgvr_kit.workspace import CLASS_COLUMNS


def write_classes(
    path: Path, names: Iterable[str], known: Mapping[str, Mapping[str, str]], merges: Mapping[str, str]
) -> int:
    """Write the file, or add the rows that are missing; fill in merged_into where it is empty.

    known: class -> cells that the dataset itself brings.  merges: class -> the one it is merged into.
    Returns how many rows are new.
    """
    columns, rows = read_csv(path, CLASS_COLUMNS[:2]) if path.is_file() else (list(CLASS_COLUMNS), [])
    have = {row["class"] for row in rows}
    new = [_row(name, known.get(name, {})) for name in sorted(set(names) - have)]
    merged = [row for row in (*rows, *new) if row["class"] in merges and not row.get("merged_into")]
    for row in merged:
        row["merged_into"] = merges[row["class"]]
    if new or merged:
        columns += [
            c for c in CLASS_COLUMNS if c not in columns and any(row.get(c) for row in (*new, *merged))
        ]
        write_csv(path, columns, ([row.get(c) or "" for c in columns] for row in (*rows, *new)))
    return len(new)


def spelling_merges(labels: Iterable[str]) -> dict[str, str]:
    """Which labels are one class under two spellings: the rarer -> the commoner. labels: one for each image."""
    counts = Counter(labels)
    merges: dict[str, str] = {}
    for same in spellings(counts):
        target = max(same, key=lambda name: (counts[name], name))
        merges |= {name: target for name in same if name != target}
    return merges


def _row(name: str, known: Mapping[str, str]) -> Row:
    return {"class": name, "display_name": display_name(name), **known}
