"""classes.csv, one row a class: its columns, what a row says, and which labels are merged. Written by `init`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fgvr_kit.dataset.names import spellings
from fgvr_kit.edited import read_csv
from fgvr_kit.errors import DatasetError
from fgvr_kit.types import ImageClass

CLASS_COLUMNS = (
    "class", "display_name", "synonyms", "scientific", "common", "parent", "merged_into", "note",
)  # fmt: skip


def class_of(row: Mapping[str, str]) -> ImageClass:
    """The class that a row is about; its cells hold no blanks around them."""
    name = row["class"]
    synonyms = tuple(s.strip() for s in row["synonyms"].split(";") if s.strip())
    more = (row[column] for column in ("scientific", "common", "parent"))
    return ImageClass(name, row["display_name"] or name, synonyms, *more)


def merges_in(file: Path) -> dict[str, str]:
    """label -> the class it is merged into, of a classes.csv; {} where there is none yet.

    Raises DatasetError for a class that is merged into itself, or into one that is in no row.
    """
    if not file.is_file():
        return {}
    rows = read_csv(file, CLASS_COLUMNS[:1])[1]
    targets = {row["class"].strip(): row.get("merged_into", "").strip() for row in rows}
    return {name: _end_of_merges(name, targets, str(file)) for name in targets if targets[name]}


def refuse_same_names(classes: Sequence[ImageClass], where: str) -> None:
    """Raise DatasetError for two classes under one name in a question: it could not be answered."""
    shown: dict[str, ImageClass] = {}
    for image_class in classes:
        name = " ".join(image_class.display_name.casefold().split())
        if other := shown.get(name):
            labels = (other.name, image_class.name)
            raise DatasetError(
                f"the classes {labels[0]!r} and {labels[1]!r} are both shown as {image_class.display_name!r}",
                code="classes-same-name",
                where=where,
                hint=f"give one another display_name; if they are one class, {_merged(*labels)}",
            )
        shown[name] = image_class


def _merged(first: str, second: str) -> str:
    if spellings((first, second)):
        return "fgvr-kit init --merge-spellings makes them one"
    return f"write {first!r} into merged_into of {second!r}, and run fgvr-kit init again"


def _end_of_merges(name: str, targets: Mapping[str, str], where: str) -> str:
    passed = [name]
    while target := targets[passed[-1]]:
        if target not in targets or target in passed:
            raise DatasetError(
                f"{name!r} cannot be merged into {target!r}",
                code="classes-merge",
                where=where,
                why="that is itself" if target in passed else "no row is called that",
                hint="write the name of another class, as it stands in column class, into merged_into",
            )
        passed.append(target)
    return passed[-1]
