"""<class>/*: one folder for each class, its images anywhere below it."""

from __future__ import annotations

import shlex
from pathlib import Path

from fgvr_kit.dataset.files import class_folders, class_named, require_folder, split_named, walk, why_not
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.paths import wrapped
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
    """The name of the top folder is the class.

    Raises DatasetError when the place is no folder, or one that merely holds the folder of the classes.
    """
    require_folder(source.place)
    listing = Listing(source.place, [])
    for path in walk(source.place, listing.skipped):
        top, slash, _ = path.partition("/")
        nameless = "in a folder without a name" if slash and not class_named(top) else None
        if reason := why_not(path) or nameless or (None if slash else "outside any class folder"):
            listing.skipped.append(Skipped(path, reason))
        else:
            listing.entries.append(Entry(path, class_named(top)))
    if len({entry.class_name for entry in listing.entries}) == 1 and (inner := wrapped(source.place)):
        raise _wrapping(source, inner)
    return listing


def _wrapping(source: Source, inner: Path) -> DatasetError:
    names = class_folders(inner)
    more = ", ..." if len(names) > 3 else ""
    return DatasetError(
        f"all its images lie in one folder, {inner.name!r}, which would be the only class",
        code="dataset-one-class", where=str(source.place),
        why=f"the folders in that look like the classes: {', '.join(map(repr, names[:3]))}{more}",
        hint=f"fgvr-kit init {shlex.quote(str(Path(source.name) / inner.relative_to(source.place)))}",
    )  # fmt: skip
