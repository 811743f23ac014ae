"""What the tests of discover share: a workspace of two classes without a list, and what is written in one."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.pipeline.coins import CLASSES

RIM = {"name": "rim", "question": "How is the rim?"}
ONCE = "discover.samples=1"


def notes(root: Path) -> dict[str, str]:
    """attribute -> its note in attributes.csv."""
    with (root / "attributes.csv").open(encoding="utf-8", newline="") as file:
        return {row["attribute"]: row["note"] for row in csv.DictReader(file)}


def with_parents(root: Path, *parents: str) -> None:
    """Write a classes.csv in which each class has its parent."""
    lines = [
        f"{name},{name.replace('_', ' ')},,,,{parent},,"
        for name, parent in zip(CLASSES, parents, strict=True)
    ]
    head = "class,display_name,synonyms,scientific,common,parent,merged_into,note"
    (root / "classes.csv").write_text("\n".join([head, *lines]) + "\n")
