"""train|val|test/<class>/*: the folders of the splits, each with one folder for each class."""

from __future__ import annotations

from pathlib import Path

from fgvr_kit.dataset.files import class_folders, class_named, require_folder, split_named, walk, why_not
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.types import Entry, Skipped

ABOUT = "train|val|test/<class>/*"


def sign_of(place: Path) -> str | None:
    """Every top folder that may hold images is named like a split, and one is for training.

    Raises DatasetError when some are and others are not, and it cannot be told what they mean.
    """
    if not place.is_dir():
        return None
    names = class_folders(place)
    splits = {name: split for name in names if (split := split_named(name))}
    if "train" not in splits.values() or not any(class_folders(place / name) for name in splits):
        return None
    if len(splits) == len(names):
        return f"the folders {', '.join(names)} are splits"
    others = [name for name in names if name not in splits]
    if len(set(splits.values())) > 1:
        raise DatasetError(
            f"the folder holds {', '.join(map(repr, splits))} and also {others[0]!r}: splits or classes?",
            code="dataset-layout",
            where=str(place),
            why=f"beside train and test there are {len(others)} other folders that hold images",
            hint=f"move {others[0]!r} elsewhere; or say which it is: --layout splits, --layout classes",
        )
    return None


def read(source: Source) -> Listing:
    """Top folder: split; folder below: class. Raises DatasetError when the place is no folder."""
    require_folder(source.place)
    listing = Listing(source.place, [])
    for path in walk(source.place, listing.skipped):
        parts = path.split("/")
        reason = why_not(path)
        split = split_named(parts[0])
        if reason is None and split is None:
            reason = "outside the folders of the splits"
        if reason is None and len(parts) < 3:
            reason = "outside any class folder"
        if reason is None and not class_named(parts[1]):
            reason = "in a folder without a name"
        if reason:
            listing.skipped.append(Skipped(path, reason))
        else:
            listing.entries.append(Entry(path, class_named(parts[1]), split))
    return listing
