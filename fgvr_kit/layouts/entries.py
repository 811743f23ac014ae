"""What the rows of tables say about files, as entries: every row is an image, or left out with its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fgvr_kit.dataset.files import class_named, split_named
from fgvr_kit.layouts.base import Listing
from fgvr_kit.layouts.columns import LABELS, Roles, guessed
from fgvr_kit.layouts.paths import Files, Missing
from fgvr_kit.layouts.rows import Row, Table
from fgvr_kit.types import Entry, Notice, Skipped


@dataclass(frozen=True, slots=True)
class Part:
    """A table and what its columns mean.

    name: as it is told of.  prefix: what stands before each of its paths to make it start from the root: "train/",
    or "".
    """

    table: Table
    roles: Roles
    name: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class _Named:
    """An image as a row names it."""

    entry: Entry
    part: Part
    line: int


_LeftOut = tuple[str, str, str, int]  # path, reason, name of the table, line


def listed(
    files: Files, parts: Sequence[Part], completed: Callable[[Entry], Entry | str] = lambda entry: entry
) -> tuple[Listing, set[str]]:
    """The images that rows name, in the order in which they are named first; and every file that a row names.

    completed: adds to an entry what its folder tells, or says why it is left out.
    """
    listing = Listing(files.root, [], list(files.left_out))
    named: dict[str, list[_Named]] = defaultdict(list)
    mentioned: set[str] = set()
    left_out: list[_LeftOut] = []
    for part in parts:
        for row in part.table.rows:
            cell = row.cell(part.roles.path)
            file = files.find(cell, part.prefix)
            if isinstance(file, Missing):
                left_out.append((shown(cell), file.reason, part.name, row.line))
                continue
            mentioned.add(file)
            entry = _entry_of(part, row, file)
            entry = entry if isinstance(entry, str) else completed(entry)
            if isinstance(entry, str):
                left_out.append((file, entry, part.name, row.line))
            else:
                named[file].append(_Named(entry, part, row.line))
    for same in named.values():
        listing.entries.extend([same[0].entry] if _agree(same) else [])
        left_out += _surplus(same)
    listing.skipped.extend(_skipped(left_out, {e.file for e in listing.entries} if left_out else set()))
    listing.notices.extend(_numbers(listing.entries, parts))
    return listing, mentioned


def shown(text: str) -> str:
    """A cell in one line, not too long."""
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def _entry_of(part: Part, row: Row, file: str) -> Entry | str:
    """The image of a row, its class "" where no column tells it, or why there is none."""
    roles, columns = part.roles, part.table.columns
    if any(cell.strip() for cell in row.cells[len(columns) :]):
        return "its row has more cells than the first line: quote what holds a comma"
    label = class_named(row.cell(roles.label))
    if roles.label is not None and not label:
        return "it has no label"
    told = row.cell(roles.split).strip()
    split = split_named(told)
    if told and split is None:
        return f"{shown(told)!r} is no split (train, val, test)"
    details = {columns[n]: text for n in roles.details if (text := row.cell(n).strip())}
    return Entry(file, label, split, row.cell(roles.group).strip() or None, details)


def _agree(same: Sequence[_Named]) -> bool:
    return len(same) == 1 or len({one.entry.class_name for one in same}) == 1


def _surplus(same: Sequence[_Named]) -> Iterator[_LeftOut]:
    """The rows of one file that are left out: all but the first, or all of them when they do not agree."""
    file, kept = same[0].entry.file, same[0].entry.split
    if not _agree(same):
        labels = sorted({one.entry.class_name for one in same})
        more = f" and {len(labels) - 2} more" if len(labels) > 2 else ""
        reason = f"listed under different labels: {labels[0]!r}, {labels[1]!r}{more}"
        yield from ((file, reason, one.part.name, one.line) for one in same)
        return
    for one in same[1:]:
        other = one.entry.split
        sides = f", for {kept or 'any split'} and for {other or 'any split'}" if other != kept else ""
        yield file, f"listed twice{sides}", one.part.name, one.line


def _skipped(left_out: Iterable[_LeftOut], taken: set[str]) -> Iterator[Skipped]:
    """No path twice, nor that of an image: a second row of one file is called by its line."""
    for path, reason, name, line in left_out:
        where = f"{name} line {line}"
        unique = where if not path else f"{path} ({where})" if path in taken else path
        taken.add(unique)
        yield Skipped(unique, reason)


def _numbers(entries: Sequence[Entry], parts: Sequence[Part]) -> list[Notice]:
    """Labels that are numbers tell a model nothing; a column of words may stand beside them."""
    if not entries or not all(entry.class_name.isdecimal() for entry in entries):
        return []
    columns = {name for entry in entries for name, text in entry.details.items() if not text.isdecimal()}
    words = sorted(columns)
    number = guessed(words, LABELS)
    return [
        Notice(
            f"the classes of {parts[0].name} are numbers", code="labels-are-numbers",
            why="a model cannot know what class 3 looks like",
            hint="write their names into classes.csv, column display_name" if number is None
            else f"--label-col {words[number]!r} takes the classes from that column",
        )
    ]  # fmt: skip
