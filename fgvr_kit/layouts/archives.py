"""The papers' datasets as their archives unpack: where one lies, and its images as its lists name them.

The lists decide; a file on the disk decides nothing. One that is listed and missing is left out with that
reason, and so is one that no list names.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from fgvr_kit.dataset.files import class_folders, is_junk, require_folder, walk, why_not
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.types import Entry, Notice, Skipped

Named = tuple[str, Entry]
"""The list that names an image, and the image; its file is relative to the folder of the dataset."""

Signs = Callable[[Path], list[str]]
"""The files and folders by which a dataset's folder is recognised, [] when it is not that folder."""

_MOST_FOLDERS = 20
"""No archive unpacks beside more folders than this; a folder of ten thousand classes is not looked through."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where the lists of a dataset lie: in the folder that the user named (place), or in one folder of it."""

    place: Path
    folder: Path
    signs: list[str]

    @property
    def prefix(self) -> str:
        """From place to folder: "", or "CUB_200_2011/"."""
        return "" if self.folder == self.place else f"{self.folder.name}/"


def find_home(place: Path, signs: Signs) -> Home | None:
    """The folder that bears the signs: the place, or else the first folder in it that does."""
    for folder in (place, *_folders(place)) if place.is_dir() else ():
        if found := _borne(folder, signs):
            return Home(place, folder, found)
    return None


def told_by(place: Path, signs: Signs) -> str | None:
    """By what a dataset is recognised at a place, None when it is not."""
    home = find_home(place, signs)
    return f"{home.prefix or 'it'} holds {' and '.join(home.signs[:2])}" if home else None


def home_of(source: Source, signs: Signs, about: str) -> Home:
    """Raises DatasetError when the dataset is not at the place."""
    require_folder(source.place)
    if home := find_home(source.place, signs):
        return home
    raise DatasetError(
        f"the folder does not hold {about} as its archives unpack", code="dataset-not-found",
        where=str(source.place), hint="choose another --layout, or leave it away",
    )  # fmt: skip


def listing_of(
    home: Home,
    named: Iterable[Named],
    folders: Mapping[str, str],
    *,
    about: str,
    n_test: int,
    notices: Sequence[Notice] = (),
    classes: Mapping[str, Mapping[str, str]] | None = None,
) -> Listing:
    """The images that the lists name, with the files in the image folders that cannot be used.

    folders: image folder -> the archive it comes from.  about: the dataset's name.  n_test: how many images
    the papers test on.  Raises DatasetError when an image folder is missing.
    """
    listing = Listing(home.place, [], [], [*_beside(home)], classes or {})
    on_disk: dict[str, None] = {}
    for folder, archive in folders.items():
        on_disk |= dict.fromkeys(_files(home, folder, archive, listing.skipped))
    times: Counter[str] = Counter()
    for by, entry in named:
        file = home.prefix + entry.file
        times[file] += 1
        if times[file] > 1:
            continue
        if file in on_disk:
            listing.entries.append(replace(entry, file=file))
        else:
            listing.skipped.append(Skipped(file, f"named by {by}, but there is no such file"))
    again = ((file, n) for file, n in times.items() if n > 1)
    listing.skipped.extend(
        Skipped(f"{file} (again)", f"listed {n} times: the first counts") for file, n in again
    )
    rest = (file for file in on_disk if file not in times)
    listing.skipped.extend(Skipped(file, why_not(file) or "no list of the dataset names it") for file in rest)
    listing.notices.extend([*_other_size(listing, about, n_test), *notices])
    return listing


def _borne(folder: Path, signs: Signs) -> list[str]:
    with suppress(OSError):  # a folder that may not be looked into
        return signs(folder)
    return []


def _folders(place: Path) -> list[Path]:
    """The folders in a place, sorted; none when they are too many."""
    found: list[str] = []
    with suppress(OSError), os.scandir(place) as children:
        for child in children:
            if child.is_dir() and not is_junk(child.name):
                found.append(child.name)
            if len(found) > _MOST_FOLDERS:
                return []
    return [place / name for name in sorted(found)]


def _files(home: Home, folder: str, archive: str, skipped: list[Skipped]) -> list[str]:
    """The files of an image folder, relative to the place; skipped gains what cannot be looked into."""
    if not (home.folder / folder).is_dir():
        raise DatasetError(
            f"the image folder {folder} is missing", code="images-missing", where=str(home.folder),
            hint=f"unpack {archive}, it is in there",
        )  # fmt: skip
    base = f"{home.prefix}{folder}/"
    left_out: list[Skipped] = []
    found = [base + path for path in walk(home.folder / folder, left_out)]
    skipped.extend(Skipped(base + one.path, one.reason) for one in left_out)
    return found


def _beside(home: Home) -> list[Notice]:
    """A notice about image folders beside the dataset's own folder, which nobody reads."""
    others = [name for name in class_folders(home.place) if name != home.folder.name] if home.prefix else []
    if not others:
        return []
    more = ", ..." if len(others) > 3 else ""
    return [
        Notice(
            f"only {home.folder.name} is read; beside it lies {', '.join(map(repr, others[:3]))}{more}",
            code="folders-beside", where=str(home.place), hint="name the other folder to read that one",
        )
    ]  # fmt: skip


def _other_size(listing: Listing, about: str, n_test: int) -> list[Notice]:
    n = sum(entry.split == "test" for entry in listing.entries)
    if n == n_test:
        return []
    return [
        Notice(
            f"{n:,} test images; the papers test on {n_test:,}", code="test-split-size",
            where=str(listing.root), why=f"this is not the whole of {about}, or it was changed",
            hint="its numbers do not compare with theirs; fgvr-kit status --skipped names what was left out",
        )
    ]  # fmt: skip
