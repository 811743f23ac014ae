"""FGVC-Aircraft (2013b): 100 variants, 3,334 training, 3,333 validation and 3,333 test images.

fgvc-aircraft-2013b.tar.gz unpacks fgvc-aircraft-2013b/data/ with images/, variants.txt and
images_variant_{train,val,test}.txt ("1025794 707-320"); the same for families and manufacturers, and
images_box.txt (xmin, ymin, xmax, ymax; the first pixel is 1, 1). The papers train on train and val together.
Known trap: a banner, 20 pixels high, at the bottom of each picture names its photographer.
Source: the archive's README (Maji et al., 2013).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fgvr_kit.dataset.files import class_named
from fgvr_kit.layouts.archives import Named, home_of, listing_of, told_by
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.lists import broken, by_id, require_same, rows_of
from fgvr_kit.types import SPLITS, Entry, Notice

ABOUT = "FGVC-Aircraft"
N_TEST = 3333

_ARCHIVE = "fgvc-aircraft-2013b.tar.gz"
_BOX = ("bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax")
_BANNER = Notice(
    "the lowest 20 rows of each aircraft picture are a banner that names its photographer",
    code="aircraft-banner", why="a model may learn from it, and its makers ask to remove it",
    hint="cut 20 rows off a copy of the pictures; or say beside the scores that they were left in",
)  # fmt: skip


def sign_of(place: Path) -> str | None:
    """Two of its lists in the folder, in data/ of it, or in data/ of one folder of it."""
    return told_by(place, _signs)


def read(source: Source) -> Listing:
    """Every listed image, its class the variant; family, manufacturer and box are columns where the archive
    has them, and the family is the parent of its class.

    Raises DatasetError: a list or the image folder is missing, lists do not name the same images, a variant is
    not in variants.txt.
    """
    home = home_of(source, _signs, ABOUT)
    inside = home.signs[0].rpartition("/")[0]
    named = list(_named(home.folder / inside, f"{inside}/" if inside else ""))
    parents: dict[str, Mapping[str, str]] = {}
    for _, entry in named:
        if family := entry.details.get("family"):
            parents.setdefault(entry.class_name, {"parent": family})
    folder = f"{inside}/images" if inside else "images"
    return listing_of(
        home, named, {folder: _ARCHIVE}, about=ABOUT, n_test=N_TEST, notices=[_BANNER], classes=parents
    )


def _signs(folder: Path) -> list[str]:
    names = ["variants.txt", *(f"images_variant_{split}.txt" for split in SPLITS)]
    for inside in ("", "data/"):
        found = [inside + name for name in names if (folder / f"{inside}{name}").is_file()]
        if len(found) > 1:
            return found
    return []


def _named(folder: Path, inside: str) -> Iterator[Named]:
    rows = rows_of(folder / "variants.txt", 1, "the names of the variants", _ARCHIVE)
    variants = {row.cells[0] for row in rows}
    boxes = _boxes(folder)
    for split in SPLITS:
        path = folder / f"images_variant_{split}.txt"
        listed = by_id(path, 2, f"the variant of each {split} image", _ARCHIVE)
        above = {level: _level(folder, level, split, listed) for level in ("family", "manufacturer")}
        for image, row in listed.items():
            if row.cells[1] not in variants:
                raise broken(
                    f"{row.cells[1]!r} is no variant of variants.txt", path, row.line, code="label-range",
                    why=f"it names {len(variants)} variants",
                )  # fmt: skip
            details = {level: names[image] for level, names in above.items() if names}
            details |= dict(zip(_BOX, boxes.get(image, ()), strict=False))
            file = f"{inside}images/{image}.jpg"
            yield path.name, Entry(file, class_named(row.cells[1]), split, details=details)


def _level(folder: Path, level: str, split: str, images: Mapping[str, object]) -> Mapping[str, str]:
    """The family or the manufacturer of each image, where the archive lists them."""
    path = folder / f"images_{level}_{split}.txt"
    if not path.is_file():
        return {}
    found = by_id(path, 2, f"the {level} of each image", _ARCHIVE)
    require_same(path, found, f"images_variant_{split}.txt", images)
    return {image: row.cells[1] for image, row in found.items()}


def _boxes(folder: Path) -> Mapping[str, Sequence[str]]:
    path = folder / "images_box.txt"
    if not path.is_file():
        return {}
    rows = by_id(path, 5, "the box of each aircraft", _ARCHIVE)
    return {image: row.cells[1:] for image, row in rows.items()}
