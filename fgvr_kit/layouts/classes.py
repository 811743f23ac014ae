"""<class>/*: one folder for each class, its images anywhere below it."""

from __future__ import annotations

from pathlib import Path

from fgvr_kit.dataset.files import class_folders, class_named, require_folder, split_named, walk, why_not
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.types import Entry, Skipped

ABOUT = "<class>/*"


def sign_of(place: Path) -> str | None:
    """Any folder with a folder in it that may hold images; but not one of splits without classes."""
    if not place.is_dir():
        return None
    names = class_folders(place)
    splits = {split_named(name) for name in names}
    if not names or (None not in splits and len(splits) > 1):
        return None
    return f"{len(names):,} folders hold images"


def read(source: Source) -> Listing:
    """The name of the top folder is the class. Raises DatasetError when the place is no folder."""
    require_folder(source.place)
    listing = Listing(source.place, [])
    for path in walk(source.place, listing.skipped):
        top, slash, _ = path.partition("/")
        nameless = "in a folder without a name" if slash and not class_named(top) else None
        if reason := why_not(path) or nameless or (None if slash else "outside any class folder"):
            listing.skipped.append(Skipped(path, reason))
        else:
            listing.entries.append(Entry(path, class_named(top)))
    return listing
