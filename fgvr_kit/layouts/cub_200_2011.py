"""Caltech-UCSD Birds-200-2011: 200 classes, 5,994 training and 5,794 test images.

CUB_200_2011.tgz unpacks attributes.txt and CUB_200_2011/ with images/, classes.txt, images.txt,
image_class_labels.txt, train_test_split.txt (1 is for training) and bounding_boxes.txt, all by image id.
Known traps: its site warns that images are in ImageNet too. NABirds has lists of the same names, and a
hierarchy.txt. Source: the archive's README (Wah et al., 2011).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fgvr_kit.dataset.files import class_named
from fgvr_kit.layouts.archives import Named, home_of, listing_of, told_by
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.lists import broken, by_id, class_at, require_same, whole
from fgvr_kit.layouts.rows import Row
from fgvr_kit.types import Entry, Notice, Split

ABOUT = "CUB-200-2011"
N_TEST = 5794

_ARCHIVE = "CUB_200_2011.tgz"
_IMAGES, _LABELS, _SIDES = "images.txt", "image_class_labels.txt", "train_test_split.txt"
_CLASSES, _BOXES = "classes.txt", "bounding_boxes.txt"
_SPLITS: dict[str, Split] = {"1": "train", "0": "test"}
_BOX = ("bbox_x", "bbox_y", "bbox_width", "bbox_height")
_IN_IMAGENET = Notice(
    "CUB-200-2011 shares photographs with ImageNet", code="in-imagenet",
    why="a model that was trained on ImageNet may have seen some of the test images",
    hint="say beside the scores what the model was trained on",
)  # fmt: skip


def sign_of(place: Path) -> str | None:
    """Two of its three lists, in the folder or in one folder of it."""
    return told_by(place, _signs)


def read(source: Source) -> Listing:
    """Every listed image; its id and bird's box (x, y, width, height in pixels) as columns.

    Raises DatasetError: a list or the image folder is missing, the lists do not name the same images, a label
    is none of classes.txt.
    """
    home = home_of(source, _signs, ABOUT)
    named = list(_named(home.folder))
    return listing_of(home, named, {"images": _ARCHIVE}, about=ABOUT, n_test=N_TEST, notices=[_IN_IMAGENET])


def _signs(folder: Path) -> list[str]:
    found = [name for name in (_IMAGES, _LABELS, _SIDES) if (folder / name).is_file()]
    return found if len(found) > 1 and not (folder / "hierarchy.txt").exists() else []


def _named(folder: Path) -> Iterator[Named]:
    images = by_id(folder / _IMAGES, 2, "the file of each image", _ARCHIVE)
    labels = by_id(folder / _LABELS, 2, "the class of each image", _ARCHIVE)
    splits = by_id(folder / _SIDES, 2, "which images are for testing", _ARCHIVE)
    boxes = _boxes(folder)
    for name, others in ((_LABELS, labels), (_SIDES, splits), *([(_BOXES, boxes)] if boxes else [])):
        require_same(folder / name, others, _IMAGES, images)
    names = _classes(folder / _CLASSES)
    for key, image in images.items():
        line = labels[key].line
        label = whole(labels[key].cells[1], folder / _LABELS, line)
        name = class_at(names, label, folder / _LABELS, line)
        box = dict(zip(_BOX, boxes[key].cells[1:], strict=True)) if boxes else {}
        split = _split(splits[key], folder / _SIDES)
        yield _IMAGES, Entry(f"images/{image.cells[1]}", name, split, details={"image_id": key, **box})


def _boxes(folder: Path) -> Mapping[str, Row]:
    path = folder / _BOXES
    return by_id(path, 5, "the box of each bird", _ARCHIVE) if path.is_file() else {}


def _classes(path: Path) -> list[str]:
    """Names in the order of their labels, without the number that stands before each: "001."."""
    rows = list(by_id(path, 2, "the names of the classes", _ARCHIVE).values())
    for number, row in enumerate(rows, 1):
        if whole(row.cells[0], path, row.line) != number:
            raise broken(
                f"class {row.cells[0]} of {path.name} stands in place of {number}",
                path, row.line, code="list-line",
            )  # fmt: skip
    return [class_named(re.sub(r"^\d+\.", "", row.cells[1])) for row in rows]


def _split(row: Row, path: Path) -> Split:
    if row.cells[1] in _SPLITS:
        return _SPLITS[row.cells[1]]
    raise broken(
        f"{row.cells[1]!r} in {path.name} is neither 1 (train) nor 0 (test)", path, row.line, code="list-line"
    )
