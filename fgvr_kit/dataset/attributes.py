"""attributes.csv: what is asked about every image, edited by people and by `fgvr-kit attributes keep|drop|merge`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fgvr_kit.edited import write_csv
from fgvr_kit.errors import DatasetError
from fgvr_kit.types import GENERAL, Attribute

ATTRIBUTE_COLUMNS = ("attribute", "question", "options", "superclass", "status", "note")
SEPARATOR = ";"
"""Between the options of an attribute: "red; dark red; blue"."""
DROPPED, MERGED = "dropped", "merged into "
"""What `status` says of an attribute that is not asked for any more; "" for the others."""


def attribute_of(row: Mapping[str, str]) -> Attribute:
    """The attribute in a row; its cells have no blanks around them."""
    options = [each.strip() for each in row["options"].split(SEPARATOR)]
    question = row["question"] or f"What is the {row['attribute'].replace('_', ' ')}?"
    return Attribute(row["attribute"], question, tuple(each for each in options if each), row["superclass"])


def is_asked(row: Mapping[str, str]) -> bool:
    """Whether a row of attributes.csv holds an attribute that stands."""
    status = row["status"].casefold()
    return bool(row["attribute"]) and status != DROPPED and not status.startswith(MERGED)


def write_attributes(
    file: Path, attributes: Sequence[Attribute], notes: Mapping[str, str] | None = None
) -> None:
    """Write the list anew. notes: attribute -> what stands in column note."""
    known = notes or {}
    write_csv(file, ATTRIBUTE_COLUMNS, (row_of(a, known.get(a.name, "")) for a in attributes))


def row_of(attribute: Attribute, note: str = "") -> list[str]:
    """The cells of an attribute that stands, in the order of ATTRIBUTE_COLUMNS."""
    options = f"{SEPARATOR} ".join(attribute.options)
    return [attribute.name, attribute.question, options, attribute.superclass, "", note]


def check_attributes(attributes: Sequence[Attribute], where: str) -> None:
    """Raise DatasetError "attributes-unusable" for a list that cannot be asked for."""
    counts = Counter(a.name for a in attributes)
    twice = next((name for name, n in counts.items() if n > 1), None)
    one = next((a.name for a in attributes if len(set(a.options)) == 1), None)
    problem = (
        "it names no attribute" if not attributes
        else f"{twice!r} stands there twice" if twice
        else f"{GENERAL!r} is the name of the free description" if GENERAL in counts
        else f"{one!r} has one option only; options are separated by {SEPARATOR}" if one
        else None
    )  # fmt: skip
    if problem:
        raise DatasetError(problem, code="attributes-unusable", where=where, hint="edit the list")
