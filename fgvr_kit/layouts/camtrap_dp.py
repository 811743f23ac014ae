"""Camtrap DP: photographs of camera traps, with who was seen on which, as Agouti, TRAPPER, GBIF and others export.

A folder with datapackage.json, deployments.csv, media.csv and observations.csv. The class is the scientificName;
a box (bboxX, bboxY, bboxWidth, bboxHeight, shares of the picture) is an image of its own. Cameras do not move: one
deployment stands on one side of the split, unless the setting dataset.group_col says otherwise.
Source: https://camtrap-dp.tdwg.org/data (version 1.0)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fgvr_kit.dataset.files import class_named
from fgvr_kit.dataset.images import upright_size
from fgvr_kit.errors import ImageError
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.boxes import framed, told_apart
from fgvr_kit.layouts.columns import NONE, unknown_column
from fgvr_kit.layouts.datapackage import FILE, Package, read_package
from fgvr_kit.layouts.paths import Files, Missing, root_of
from fgvr_kit.layouts.sightings import Cells, Medium, Sightings
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Entry, Notice, Skipped

ABOUT = "Camtrap DP"
LABEL, DEPLOYMENT = "scientificName", "deploymentID"

_BOX = ("bboxX", "bboxY", "bboxWidth", "bboxHeight")
_TOLD_ELSEWHERE = {*_BOX, "filePath", "exifData"}
_NO_CLASS = {
    "blank": "nothing is in it (blank)",
    "human": "a human is in it, no animal",
    "vehicle": "a vehicle is in it, no animal",
    "unclassified": "nobody has looked at it yet (unclassified)",
    "unknown": "nobody could tell what is in it (unknown)",
}
"""observationType -> why such a picture has no class."""


def sign_of(place: Path) -> str | None:
    """datapackage.json that speaks of Camtrap DP, or that lies beside media.csv and observations.csv."""
    path = _package_at(place)
    if path.name != FILE or not path.is_file():
        return None
    if all((path.parent / f"{name}.csv").is_file() for name in ("media", "observations")):
        return f"{FILE} lies beside media.csv and observations.csv"
    return f"{FILE} speaks of Camtrap DP" if b"camtrap-dp" in path.read_bytes() else None


def read(source: Source) -> Listing:
    """Every observation of an animal: its box, or the whole picture where no observation of it has one.

    Observations of an event give their class to the pictures of its deployment in its time that have none of
    their own. Raises DatasetError when a table is missing or lacks a column, SettingsError for a column that
    the settings name and observations.csv lacks.
    """
    package = read_package(_package_at(source.place))
    files = Files(root_of(source, package.path.parent))
    sightings = Sightings.of(package, files)
    label, group = source.settings.label_col or LABEL, _group_column(source.settings)
    if label not in sightings.observed:
        raise unknown_column(label, sightings.observed, "label_col", str(package.path))
    if group and group not in sightings.columns:
        raise unknown_column(group, list(dict.fromkeys(sightings.columns)), "group_col", str(package.path))
    listing = Listing(files.root, [], [*files.left_out, *sightings.skipped], classes=_classes(package, label))
    pictures = _Pictures(label, group, source.settings.margin, _rights(package), listing)
    with source.progress.task("reading observations", len(sightings.media)) as task:
        for medium in sightings.media:
            pictures.add(medium)
            task.advance()
    listing.notices.extend(_notices(sightings, source.settings))
    named = (medium.file for medium in sightings.media if isinstance(medium.file, str))
    listing.notices.extend(files.unnamed(named, "media.csv"))
    return listing


def _package_at(place: Path) -> Path:
    return place / FILE if place.is_dir() else place


def _group_column(settings: DatasetSettings) -> str:
    return "" if settings.group_col == NONE else settings.group_col or DEPLOYMENT


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Puts the images of media files into a listing, and what is left out of them.

    label: the column of the class.  group: that of what stays together, "" for each picture alone.
    rights: what the package tells of all its media.
    """

    label: str
    group: str
    margin: float
    rights: Mapping[str, str]
    listing: Listing

    def add(self, medium: Medium) -> None:
        if isinstance(medium.file, Missing):
            self._leave_out(medium.name, medium.file.reason)
            return
        others = [(one, why) for one in medium.observations if (why := _why_no_class(one, self.label))]
        animals = [one for one in medium.observations if not _why_no_class(one, self.label)]
        if not animals:
            told = ", ".join(dict.fromkeys(why for _, why in others))
            self._leave_out(medium.file, told or "it has no observation")
            return
        for one, why in others:
            self._leave_out(f"{medium.file}#{_name(one)}", why)
        together = {**animals[0], **medium.cells}.get(self.group)
        group = f"{self.group}:{together}" if together else f"picture:{medium.file}"
        if any(map(_is_drawn, animals)):
            self._add_boxes(medium.file, medium, animals, group)
        elif len({class_named(one[self.label]) for one in animals}) > 1:
            self._leave_out(medium.file, "several classes, and no boxes that tell where")
        else:
            self.listing.entries.append(self._entry(medium.file, medium, animals[0], group))

    def _add_boxes(self, file: str, medium: Medium, animals: Sequence[Cells], group: str) -> None:
        try:
            size = upright_size(self.listing.root / file)
        except ImageError as error:
            self._leave_out(file, error.reason)
            return
        entries: list[Entry] = []
        for one in animals:
            box = framed(_pixels(one, *size), size, self.margin)
            if isinstance(box, str):
                why = box if _is_drawn(one) else "it has no box, and others in its picture have"
                self._leave_out(f"{file}#{_name(one)}", why)
            else:
                whole = self._entry(file, medium, one, group)
                entries.append(replace(whole, box=box, name=_name(one), size=size))
        self.listing.entries.extend(told_apart(entries))

    def _entry(self, file: str, medium: Medium, observation: Cells, group: str) -> Entry:
        """An observation as an image, with all that is known of it, its media file and its deployment."""
        told = {**self.rights, **observation, **medium.cells}
        details = {
            name: text for name, text in told.items() if name not in _TOLD_ELSEWHERE and name != self.label
        }
        return Entry(file, class_named(observation[self.label]), None, group, details)

    def _leave_out(self, path: str, reason: str) -> None:
        self.listing.skipped.append(Skipped(path, reason))


def _is_drawn(observation: Cells) -> bool:
    return any(name in observation for name in _BOX)


def _pixels(observation: Cells, width: int, height: int) -> list[float] | None:
    """left, top, width, height of its box; None where it is no four numbers."""
    try:
        return [float(observation[name]) * side for name, side in zip(_BOX, (width, height) * 2, strict=True)]
    except (KeyError, ValueError):
        return None


def _why_no_class(observation: Cells, label: str) -> str | None:
    if reason := _NO_CLASS.get(observation.get("observationType", "").lower()):
        return reason
    return None if class_named(observation.get(label, "")) else f"an animal without a {label}"


def _name(observation: Cells) -> str:
    """What its box is called; "#" parts a path from that."""
    return " ".join(observation.get("observationID", "").replace("#", "-").split()) or "observation"


def _rights(package: Package) -> dict[str, str]:
    """The licence of the media and who holds their rights, as the package tells."""
    licences = [one for one in package.objects("licenses") if one.get("scope") == "media"]
    holders = [one for one in package.objects("contributors") if one.get("role") == "rightsHolder"]
    told = {
        "licence": next((str(one.get("name") or one.get("path") or "") for one in licences), ""),
        "rights_holder": ", ".join(str(one.get("title") or "") for one in holders),
    }
    return {name: text for name, text in told.items() if text}


def _classes(package: Package, label: str) -> dict[str, dict[str, str]]:
    """Scientific name -> cells of classes.csv, as the package tells of its taxa."""
    found: dict[str, dict[str, str]] = {}
    for taxon in package.objects("taxonomic") if label == LABEL else ():
        names = taxon.get("vernacularNames")
        names = names if isinstance(names, dict) else {}
        cells = {
            "scientific": str(taxon.get("scientificName") or ""),
            "common": str(names.get("en") or names.get("eng") or ""),
            "parent": str(taxon.get("family") or taxon.get("genus") or ""),
        }
        if name := class_named(cells["scientific"]):
            found[name] = {column: " ".join(text.split()) for column, text in cells.items() if text}
    return found


def _notices(sightings: Sightings, settings: DatasetSettings) -> list[Notice]:
    where, notices = str(sightings.path), []
    if n := sum(medium.is_of_event for medium in sightings.media):
        notices.append(Notice(
            f"{n:,} pictures have the class of their event, not one of their own", code="camtrap-event-labels",
            where=where, why="an event may hold pictures in which nothing is to be seen",
            hint="look at them: fgvr-kit check shows likely wrong labels",
        ))  # fmt: skip
    if n := sum(medium.is_private and isinstance(medium.file, str) for medium in sightings.media):
        notices.append(Notice(
            f"{n:,} pictures are not public (filePublic is false), and are used", code="camtrap-not-public",
            where=where, hint="keep them to yourself, and what shows them: the page of fgvr-kit check",
        ))  # fmt: skip
    n = len({medium.cells.get(DEPLOYMENT) for medium in sightings.media})
    if not settings.group_col and n > 1:
        notices.append(Notice(
            f"the pictures of each of {n:,} deployments stay on one side of the split", code="camtrap-grouped",
            where=where, why="a model knows a camera by its background",
            hint="init --group-col eventID --resplit keeps only the pictures of an event together",
        ))  # fmt: skip
    return notices
