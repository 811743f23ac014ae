"""attributes keep|drop|merge: the status of an attribute in attributes.csv; nothing else there is touched.

No row is removed and no stored reply: what is dropped today is kept again tomorrow at no cost.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fgvr_kit.dataset.attributes import DROPPED, MERGED, SEPARATOR, is_asked
from fgvr_kit.edited import Sheet
from fgvr_kit.errors import DatasetError, UsageError
from fgvr_kit.types import GENERAL
from fgvr_kit.workspace import Workspace

FROM_REPORT = "report: "
"""What a note begins with that `drop --suggested` has written; `keep` takes it away again."""
FILE = "attributes.csv"


@dataclass(frozen=True, slots=True)
class Edit:
    """A cell of a row beside its status, before and after."""

    column: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a row of attributes.csv says of itself before and after. "": it is asked for. new: a row that is added.

    edits: its other cells; of a new row, those that are not as in the row it was made after.
    """

    attribute: str
    before: str
    after: str
    new: bool = False
    edits: tuple[Edit, ...] = ()

    @property
    def is_change(self) -> bool:
        return self.new or self.before != self.after or bool(self.edits)

    @property
    def asks_otherwise(self) -> bool:
        """Whether it matters to extract; a note does not."""
        return self.new or self.before != self.after or any(edit.column != "note" for edit in self.edits)


class AttributeSheet:
    """attributes.csv as it lies there: cells that are not named here stay as they are."""

    def __init__(self, workspace: Workspace) -> None:
        """Raises DatasetError "no-attributes" where there is none."""
        self.path = workspace.root / FILE
        if not self.path.is_file():
            workspace.attributes()  # says so
        self.sheet = Sheet.read(self.path, ["attribute", "question"])

    def rows(self) -> dict[str, list[str]]:
        """attribute -> its row; of two with one name the first."""
        found: dict[str, list[str]] = {}
        for row in self.sheet.rows:
            if name := self.cell(row, "attribute"):
                found.setdefault(name, row)
        return found

    def cell(self, row: Sequence[str], column: str) -> str:
        return self.sheet.cell(row, column).strip()

    def find(self, wanted: str) -> str:
        """The name as it stands there; case, blanks and underscores do not matter.

        Raises UsageError "unknown-attribute" with the closest one.
        """
        rows = self.rows()
        if wanted.strip() in rows:
            return wanted.strip()
        folded = {_folded(name): name for name in rows}
        if found := folded.get(_folded(wanted)):
            return found
        close = difflib.get_close_matches(_folded(wanted), folded, n=1)
        raise UsageError(
            f"there is no attribute {wanted!r}", code="unknown-attribute", where=str(self.path),
            hint=f"did you mean {folded[close[0]]!r}?" if close else f"there are: {', '.join(rows)}",
        )  # fmt: skip

    def status(self, row: list[str], status: str) -> Change:
        before = self.cell(row, "status")
        if before != status:
            self.sheet.put(row, "status", status)
        return Change(self.cell(row, "attribute"), before, status)

    def edit(self, row: list[str], column: str, text: str) -> tuple[Edit, ...]:
        """Write a cell; nothing where it says so already."""
        before = self.cell(row, column)
        if before == text:
            return ()
        self.sheet.put(row, column, text)
        return (Edit(column, before, text),)

    def write(self, changes: Sequence[Change], *, dry_run: bool) -> list[Change]:
        """Those that change something. Raises DatasetError "attributes-none-left" before anything is written."""
        asked = [row for row in self.rows().values() if self._is_asked(row)]
        if not asked:
            raise DatasetError(
                "that would leave no attribute to ask for", code="attributes-none-left", where=str(self.path),
                hint="keep at least one; fgvr-kit attributes discover proposes others",
            )  # fmt: skip
        if not dry_run:
            self.sheet.write(self.path)
        return [change for change in changes if change.is_change]

    def _is_asked(self, row: list[str]) -> bool:
        return is_asked({name: self.cell(row, name) for name in ("attribute", "status")})


def drop(
    workspace: Workspace, names: Sequence[str], *, why: Mapping[str, str] | None = None, note: str | None = None,
    dry_run: bool = False,
) -> list[Change]:  # fmt: skip
    """Ask for these attributes no longer. Returns what changed.

    why: attribute -> reason, written as its note where it has none.  note: written whatever stands there.
    Raises UsageError "unknown-attribute", DatasetError "attributes-none-left".
    """
    table = AttributeSheet(workspace)
    changes = []
    for name in dict.fromkeys(map(table.find, names)):
        row = table.rows()[name]
        reason = (why or {}).get(name)
        noted = note
        if note is None and reason and not table.cell(row, "note"):
            noted = FROM_REPORT + reason
        changes.append(_with_note(table, row, DROPPED, noted))
    return table.write(changes, dry_run=dry_run)


def keep(
    workspace: Workspace, names: Sequence[str], *, note: str | None = None, dry_run: bool = False
) -> list[Change]:
    """Ask for these attributes again, whether they were dropped or merged. Raises UsageError "unknown-attribute"."""
    table = AttributeSheet(workspace)
    changes = []
    for name in dict.fromkeys(map(table.find, names)):
        row = table.rows()[name]
        is_of_report = table.cell(row, "note").startswith(FROM_REPORT)
        changes.append(_with_note(table, row, "", "" if note is None and is_of_report else note))
    return table.write(changes, dry_run=dry_run)


def merge(
    workspace: Workspace, names: Sequence[str], *, new_name: str | None = None, question: str | None = None,
    dry_run: bool = False,
) -> list[Change]:  # fmt: skip
    """Make one attribute of several: the first is asked for, the others no longer.

    new_name: what it is called from now on; a row of that name is added, with the question of the first, and all of
    names are marked as merged into it.  question: in place of that of the first. It is asked about every class where
    the merged ones are of several superclasses, or one is of none. What is overwritten in the row of the first is
    added to its note.
    Raises UsageError "unknown-attribute", "merge-one" (fewer than two), "merge-name" (new_name is taken or no name).
    """
    table = AttributeSheet(workspace)
    merged = list(dict.fromkeys(map(table.find, names)))
    if len(merged) < 2:
        raise UsageError("merging takes two attributes or more", code="merge-one",
                         hint="fgvr-kit attributes merge wing_colour colour_of_wings")  # fmt: skip
    row = table.rows()[merged[0]]
    told = {"question": question} if question else {}
    if len({table.cell(table.rows()[name], "superclass").casefold() for name in merged}) > 1:
        told["superclass"] = ""
    target = merged[0]
    if new_name is not None and new_name.strip() != merged[0]:
        target = _new_name(table, new_name)
        row = _added(table, target, row)
        change = Change(target, "", "", new=True, edits=_written(table, row, told))
    else:
        change = table.status(row, "")
        edits = _written(table, row, told)
        change = replace(change, edits=edits + _remembered(table, row, edits))
    into = f"{MERGED}{target}"
    changes = [change, *(table.status(table.rows()[name], into) for name in merged if name != target)]
    return table.write(changes, dry_run=dry_run)


def lost_options(workspace: Workspace, target: str, names: Sequence[str]) -> list[str]:
    """Values on the lists of merged attributes that the list of the one that is asked for does not have."""
    table = AttributeSheet(workspace)
    rows = table.rows()
    known = _options(table, rows[table.find(target)])
    if not known:
        return []
    others = (value for name in names for value in _options(table, rows[table.find(name)]))
    return [value for value in dict.fromkeys(others) if value not in known]


def corrections_left(workspace: Workspace, changes: Iterable[Change]) -> int:
    """Human corrections of attributes that were merged into others: they stay, under the old names."""
    merged = {change.attribute for change in changes if change.after.startswith(MERGED)}
    return sum(attribute in merged for _, attribute in workspace.store.corrections())


def _with_note(table: AttributeSheet, row: list[str], status: str, note: str | None) -> Change:
    """None: the note stays."""
    change = table.status(row, status)
    return change if note is None else replace(change, edits=table.edit(row, "note", note))


def _written(table: AttributeSheet, row: list[str], told: Mapping[str, str]) -> tuple[Edit, ...]:
    return tuple(edit for column, text in told.items() for edit in table.edit(row, column, text))


def _remembered(table: AttributeSheet, row: list[str], edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """What was overwritten, in the note behind what stands there."""
    lost = [f"{edit.column} was: {edit.before}" for edit in edits if edit.before]
    noted = [table.cell(row, "note")] if table.cell(row, "note") else []
    return table.edit(row, "note", "; ".join([*noted, *lost])) if lost else ()


def _new_name(table: AttributeSheet, wanted: str) -> str:
    name = wanted.strip()
    if not name or name == GENERAL or name in table.rows():
        raise UsageError(
            f"{wanted!r} cannot be the name of a new attribute", code="merge-name", where=str(table.path),
            why="an attribute is called so already" if name in table.rows() else "it names the free description"
            if name else "it is empty",
            hint="another name; or name that attribute first, and leave out --as",
        )  # fmt: skip
    return name


def _added(table: AttributeSheet, name: str, like: Sequence[str]) -> list[str]:
    row = [""] * len(table.sheet.columns)
    for column in ("question", "options", "superclass"):
        if text := table.cell(like, column):
            table.sheet.put(row, column, text)
    table.sheet.put(row, "attribute", name)
    table.sheet.rows.append(row)
    return row


def _options(table: AttributeSheet, row: Sequence[str]) -> list[str]:
    return [each.strip() for each in table.cell(row, "options").split(SEPARATOR) if each.strip()]


def _folded(name: str) -> str:
    return "_".join(name.casefold().replace("_", " ").replace("-", " ").split())
