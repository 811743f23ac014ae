"""Lists of attributes that people bring: taken over as they are, or put behind the present one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

from fgvr_kit.dataset.attributes import ATTRIBUTE_COLUMNS, row_of, write_attributes
from fgvr_kit.edited import Sheet
from fgvr_kit.errors import DatasetError
from fgvr_kit.pipeline.discover.listed import read_attributes
from fgvr_kit.pipeline.discover.proposed import Sieve, below, snake_case
from fgvr_kit.types import Attribute, Summary
from fgvr_kit.workspace import Workspace


def taken_over(workspace: Workspace, sieve: Sieve, file: Path, target: Path) -> Summary:
    """The list of a file as attributes.csv. Raises DatasetError."""
    found = _read(workspace, sieve, file)
    write_attributes(target, found, {a.name: f"from {file.name}" for a in found})
    return Summary("discover", {"from": str(file), "attributes": len(found)}, tuple(sieve.rows()))


def added(workspace: Workspace, sieve: Sieve, file: Path, target: Path) -> Summary:
    """Put the attributes of a file behind those that are there; dropped and merged ones are there too.

    Raises DatasetError.
    """
    found = _read(workspace, sieve, file)
    sheet = Sheet.read(target, ATTRIBUTE_COLUMNS[:2])
    new = _not_in(sheet, sieve, found)
    if known := len(found) - len(new):
        sieve.dropped["attributes", "in the list already"] += known
    for attribute in new:
        row: list[str] = []
        for column, cell in zip(ATTRIBUTE_COLUMNS, row_of(attribute, f"from {file.name}"), strict=True):
            if cell:
                sheet.put(row, column, cell)
        sheet.rows.append(row)
    if new:
        sheet.write(target)
    done = {"from": str(file), "added": len(new), "attributes": len(workspace.attributes())}
    return Summary("discover", done, tuple(sieve.rows()))


def _not_in(sheet: Sheet, sieve: Sieve, found: Sequence[Attribute]) -> list[Attribute]:
    """Those that the list does not ask of their superclass yet, under names that it does not hold."""
    present: set[tuple[Hashable, str]] = set()
    taken: set[Hashable] = set()
    for row in sheet.rows:
        superclass = sheet.cell(row, "superclass").strip()
        listed = Attribute(snake_case(sheet.cell(row, "attribute")), "", superclass=superclass)
        taken.add(sieve.meaning(listed.name))
        present |= {(sieve.meaning(each.name), superclass) for each in (listed, below(listed))}
    new: list[Attribute] = []
    for attribute in found:
        meanings = {sieve.meaning(attribute.name), sieve.meaning(below(attribute).name)}
        if any((meaning, whose) in present for meaning in meanings for whose in ("", attribute.superclass)):
            continue
        new.append(below(attribute) if sieve.meaning(attribute.name) in taken else attribute)
    return new


def _read(workspace: Workspace, sieve: Sieve, file: Path) -> list[Attribute]:
    """The usable attributes of a file. Raises DatasetError when there is none."""
    found = sieve.usable(read_attributes(file))
    parents = {image_class.parent for image_class in workspace.classes().values()}
    asked = [a for a in found if not a.superclass or a.superclass in parents]
    if n := len(found) - len(asked):
        sieve.dropped["attributes", "of a superclass that no class has (column parent of classes.csv)"] += n
    if asked:
        return asked
    raise DatasetError(
        "the file holds no usable attribute",
        code="no-attributes-found",
        where=str(file),
        why="; ".join(f"{n} {why}" for _, n, why in sieve.rows()) or "it is empty",
        hint="one a line: wing colour: What colour is the wing?",
    )
