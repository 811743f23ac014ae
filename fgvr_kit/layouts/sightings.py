"""Media files of a Camtrap DP package, each with what was observed on it: the joins of its three tables."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.datapackage import Package, cells_of
from fgvr_kit.layouts.entries import shown
from fgvr_kit.layouts.paths import Files, Missing
from fgvr_kit.layouts.rows import Table
from fgvr_kit.types import Skipped

Cells = Mapping[str, str]
"""Column -> text, of the cells of a row that are filled in."""


@dataclass(slots=True)
class Medium:
    """A row of media.csv with the cells of its deployment.

    file: where it lies, or why it is not there.  is_of_event: its observations are those of its event.
    """

    name: str
    file: str | Missing
    cells: Cells
    observations: list[Cells] = field(default_factory=list)
    is_of_event: bool = False

    @property
    def is_private(self) -> bool:
        return self.cells.get("filePublic", "").lower() == "false"


@dataclass(frozen=True, slots=True)
class Sightings:
    """path: of media.csv.  observed: the columns of observations.csv.  columns: of all three tables.
    skipped: rows that belong to no media file."""

    path: Path
    observed: Sequence[str]
    columns: Sequence[str]
    media: Sequence[Medium]
    skipped: Sequence[Skipped]

    @classmethod
    def of(cls, package: Package, files: Files) -> Sightings:
        """Raises DatasetError when media.csv or observations.csv is missing, or lacks a column."""
        media, observations = _needed(package, "media"), _needed(package, "observations")
        deployments = package.table("deployments")
        places = {
            row["deploymentID"]: row for row in cells_of(deployments, ["deploymentID"]) if "deploymentID" in row
        } if deployments else {}  # fmt: skip
        rows = cells_of(media, ["mediaID", "deploymentID", "filePath"])
        found, skipped = _media(rows, places, files)
        of_events, strays = _share_out(cells_of(observations, ["mediaID", "observationType"]), found)
        strays += _share_out_events(of_events, list(found.values()))
        columns = [*observations.columns, *media.columns, *(deployments.columns if deployments else ())]
        return cls(media.path, observations.columns, columns, list(found.values()), [*skipped, *strays])


def _needed(package: Package, name: str) -> Table:
    if table := package.table(name):
        return table
    raise DatasetError(
        f"{name}.csv is missing", code="datapackage-table", where=str(package.path.parent),
        hint="a Camtrap DP package holds deployments.csv, media.csv and observations.csv: unpack it whole",
    )  # fmt: skip


def _media(
    rows: Iterable[Cells], places: Mapping[str, Cells], files: Files
) -> tuple[dict[str, Medium], list[Skipped]]:
    """mediaID -> media file; and the rows that are none."""
    rows = list(rows)
    times = Counter(row.get("fileName", "").lower() for row in rows)
    found: dict[str, Medium] = {}
    skipped: list[Skipped] = []
    for row in rows:
        key = row.get("mediaID", "")
        name = shown(row.get("filePath") or row.get("fileName") or key)
        if not key or key in found:
            skipped.append(Skipped(f"media.csv: {name}", "listed twice" if key else "without a mediaID"))
            continue
        place = places.get(row.get("deploymentID", ""), {})
        is_one_of_its_name = times[row.get("fileName", "").lower()] == 1
        found[key] = Medium(name, _file_of(row, files, is_one_of_its_name), {**place, **row})
    return found, _told_apart(found, skipped)


def _file_of(row: Cells, files: Files, is_one_of_its_name: bool) -> str | Missing:
    """The file of a row; one that is given as URL may have been fetched, under its fileName or its mediaID."""
    kind = row.get("fileMediatype", "").lower().partition("/")[0]
    if kind in ("video", "audio"):
        return Missing(f"a {'video' if kind == 'video' else 'sound'}, not an image")
    found = files.find(row.get("filePath", ""))
    if isinstance(found, str):
        return found
    name = row.get("fileName", "")
    others = [f"{row.get('deploymentID', '')}/{name}", name if is_one_of_its_name else ""] if name else []
    for other in (*others, row["mediaID"]):
        if other and isinstance(fetched := files.find(other), str):
            return fetched
    is_private = row.get("filePublic", "").lower() == "false"
    return Missing(f"not public (filePublic is false): {found.reason}") if is_private else found


def _told_apart(found: Mapping[str, Medium], skipped: list[Skipped]) -> list[Skipped]:
    """Two rows may name one file; the second has none."""
    taken: set[str] = set()
    for medium in found.values():
        if isinstance(medium.file, str) and medium.file in taken:
            skipped.append(
                Skipped(f"{medium.file} (media {medium.cells['mediaID']})", "another row has this file")
            )
            medium.file = Missing("another row has this file")
        elif isinstance(medium.file, str):
            taken.add(medium.file)
    return skipped


def _share_out(
    observations: Iterable[Cells], media: Mapping[str, Medium]
) -> tuple[list[Cells], list[Skipped]]:
    """Give each observation to its media file; return those of events, and those whose file is not listed."""
    of_events: list[Cells] = []
    strays: list[Skipped] = []
    for one in observations:
        if "mediaID" not in one:
            of_events.append(one)
        elif one["mediaID"] in media:
            media[one["mediaID"]].observations.append(one)
        else:
            strays.append(Skipped(_name(one), "its media file is not listed in media.csv"))
    return of_events, strays


def _share_out_events(of_events: Sequence[Cells], media: Sequence[Medium]) -> list[Skipped]:
    """Give the observations of events to their media files that have none; return events without any file.

    A media file is of an event by its eventID, or else by its deployment and time.
    """
    by_id: dict[str, list[Cells]] = defaultdict(list)
    by_time: dict[str, list[Cells]] = defaultdict(list)
    for one in of_events:
        by_id[one.get("eventID", "")].append(one)
        by_time[one.get("deploymentID", "")].append(one)
    deployments = {key: _Events.of(events) for key, events in by_time.items()}
    met: set[int] = set()
    for medium in media:
        deployment = medium.cells.get("deploymentID", "")
        if event := medium.cells.get("eventID"):
            found = by_id[event]
        else:
            found = (
                deployments[deployment].at(medium.cells.get("timestamp")) if deployment in deployments else []
            )
        met.update(map(id, found))
        if found and not medium.observations:
            medium.observations, medium.is_of_event = found, True
    reason = "of an event, and no media file of its deployment was made in its time"
    return [Skipped(_name(one), reason) for one in of_events if id(one) not in met]


@dataclass(frozen=True, slots=True)
class _Events:
    """The observations of events of one deployment, by when they begin.  longest: how long one lasts at most."""

    starts: Sequence[datetime]
    ends: Sequence[datetime]
    observations: Sequence[Cells]
    longest: timedelta

    @classmethod
    def of(cls, observations: Sequence[Cells]) -> _Events:
        timed = [
            (start, _time(one.get("eventEnd")) or start, one)
            for one in observations if (start := _time(one.get("eventStart")))
        ]  # fmt: skip
        timed.sort(key=lambda event: event[0])
        longest = max((end - start for start, end, _ in timed), default=timedelta())
        return cls([t[0] for t in timed], [t[1] for t in timed], [t[2] for t in timed], longest)

    def at(self, timestamp: str | None) -> list[Cells]:
        """The observations in whose time a media file was made."""
        if (time := _time(timestamp)) is None:
            return []
        last = bisect_right(self.starts, time)
        first = bisect_right(self.starts, time - self.longest - timedelta(microseconds=1))
        return [self.observations[n] for n in range(first, last) if self.ends[n] >= time]


def _time(text: str | None) -> datetime | None:
    """A time as ISO 8601 writes it, in UTC where no zone is told; None for anything else."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _name(observation: Cells) -> str:
    return f"observations.csv: {shown(observation.get('observationID', '')) or 'a row without an id'}"
