"""The annotations of COCO files, as entries: which part of which picture, and what else is known of it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fgvr_kit.dataset.files import class_named
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing
from fgvr_kit.layouts.entries import shown
from fgvr_kit.layouts.paths import Files, Missing
from fgvr_kit.layouts.rows import text_of
from fgvr_kit.types import Box, Entry, Notice, Skipped, Split

_OF_PICTURE = {"id", "file_name", "width", "height", "license"}
_OF_ANNOTATION = {"id", "image_id", "category_id", "bbox", "segmentation"}
"""Keys that are told elsewhere; every other text or number is a detail."""
_Told = Mapping[str, Any]
_ROUNDING = 1e-6  # 10 + 0.1 * 30 is a little more than 13


@dataclass(frozen=True, slots=True)
class Document:
    """A COCO file, read but not checked: its lists hold whatever stands in the file, until it is taken in."""

    path: Path
    images: Sequence[Any]
    annotations: list[Any]
    categories: Sequence[Any]
    licences: Sequence[Any]


@dataclass(slots=True)
class _Picture:
    """size: (width, height), None when it is not told.  is_told: some annotation speaks of it."""

    file: str
    group: str
    size: tuple[int, int] | None
    details: dict[str, str]
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class _Category:
    """cells: of its row in classes.csv."""

    name: str
    cells: Mapping[str, str]


class Boxes:
    """The boxes of one or several files over one folder of pictures.

    margin: what is left around each box, as a share of its width and height.
    """

    def __init__(self, files: Files, margin: float) -> None:
        self._files = files
        self._margin = margin
        self._of_file: dict[str, list[Entry]] = {}
        self._listing = Listing(files.root, [], list(files.left_out))
        self._classes: dict[str, Mapping[str, str]] = {}
        self._names: list[str] = []
        self._bases: set[str] = set()

    def add(self, document: Document, base: str, split: Split | None) -> None:
        """Take in a file whose pictures lie in the folder `base`, relative to the root ("train2017/")."""
        self._names.append(document.path.name)
        self._bases.add(base)
        categories = self._categories(document)
        pictures = self._pictures(document, base)
        has_boxes = any("bbox" in one or "segmentation" in one for one in map(_object, document.annotations))
        for number, told in enumerate(map(_object, document.annotations), 1):
            document.annotations[number - 1] = None  # its polygons are most of the memory
            name = _key(told.get("id")) or f"number {number}"
            picture = pictures.get(_key(told.get("image_id")) or "")
            if picture is None:
                self._leave_out(f"{document.path.name}#{name}", "its picture is not listed")
            elif isinstance(picture, _Picture):  # a missing one is told of once
                picture.is_told = True
                category = categories.get(_key(told.get("category_id")) or "")
                entry = self._entry(told, name, picture, category, split, has_boxes)
                if isinstance(entry, str):
                    self._leave_out(f"{picture.file}#{name}", entry)
                else:
                    self._of_file[picture.file].append(entry)
        for picture in pictures.values():
            if isinstance(picture, _Picture) and not picture.is_told and not self._of_file[picture.file]:
                self._leave_out(picture.file, "no box in it" if has_boxes else "it has no label")

    def listing(self) -> Listing:
        """All entries, picture by picture."""
        listing = replace(
            self._listing, classes={name: cells for name, cells in self._classes.items() if cells}
        )
        for file, entries in self._of_file.items():
            whole = [entry for entry in entries if entry.box is None]
            listing.entries.extend(told_apart([entry for entry in entries if entry.box]))
            if len({entry.class_name for entry in whole}) > 1:
                self._leave_out(file, "several classes, and no boxes that tell where")
            else:
                listing.entries.extend(whole[:1])
        below = next(iter(self._bases)) if len(self._bases) == 1 else ""
        listing.notices.extend(self._files.unnamed(self._of_file, " or ".join(self._names[:3]), below))
        return listing

    def _leave_out(self, path: str, reason: str) -> None:
        self._listing.skipped.append(Skipped(path, reason))

    def _entry(
        self, told: _Told, name: str, picture: _Picture, category: _Category | None, split: Split | None,
        has_boxes: bool,
    ) -> Entry | str:  # fmt: skip
        """A box, or the whole picture where no annotation of the file has one; or what is wrong with it."""
        if category is None:
            return "its category is not listed"
        details = {**picture.details, **_texts(told, _OF_ANNOTATION)}
        if parent := category.cells.get("parent"):
            details["supercategory"] = parent
        if not has_boxes:
            return Entry(picture.file, category.name, split, None, details)
        if told.get("iscrowd"):
            return "a crowd, not one thing"
        if picture.size is None:
            return "the size of its picture is not told"
        box = framed(told.get("bbox"), picture.size, self._margin)
        if isinstance(box, str):
            return box
        return Entry(picture.file, category.name, split, picture.group, details, box, name, picture.size)

    def _categories(self, document: Document) -> dict[str, _Category]:
        """id -> category. Raises DatasetError when one id stands for two names."""
        found: dict[str, _Category] = {}
        ids: dict[str, set[str]] = defaultdict(set)
        for told in map(_object, document.categories):
            key, name = _key(told.get("id")), class_named(text_of(told.get("name")))
            if key is None or not name:
                continue
            category = _Category(name, _cells_of(name, told))
            if found.setdefault(key, category).name != name:
                raise _two_meanings(document.path, "category", key, found[key].name, name)
            ids[name].add(key)
            self._classes.setdefault(name, category.cells)
        self._listing.notices.extend(_one_class(document.path, ids))
        return found

    def _pictures(self, document: Document, base: str) -> dict[str, _Picture | Missing]:
        """id -> picture, or why there is none. Raises DatasetError when one id stands for two files."""
        licences = {
            _key(told.get("id")) or "": text_of(told.get("name")) or text_of(told.get("url"))
            for told in map(_object, document.licences)
        }
        found: dict[str, _Picture | Missing] = {}
        names: dict[str, str] = {}
        for told in map(_object, document.images):
            name, key = text_of(told.get("file_name")), _key(told.get("id"))
            if key is None:
                self._leave_out(f"{document.path.name}: {shown(name)}", "a picture without an id")
                continue
            if names.setdefault(key, name) != name:
                raise _two_meanings(document.path, "picture", key, names[key], name)
            file = self._files.find(name, base)
            if isinstance(file, Missing):
                found[key] = file
                self._leave_out(shown(name) or f"{document.path.name}: picture {key}", file.reason)
                continue
            licence = licences.get(_key(told.get("license")) or "-") or text_of(told.get("license"))
            details = _texts(told, _OF_PICTURE) | ({"licence": licence} if licence else {})
            found[key] = _Picture(file, f"picture:{file}", _size(told), details)
            self._of_file.setdefault(file, [])
        return found


def framed(bbox: Any, size: tuple[int, int], margin: float) -> Box | str:
    """A box (left, top, width, height) in whole pixels with its margin, inside its picture; or what is wrong."""
    try:
        left, top, width, height = map(float, bbox)
    except (TypeError, ValueError, OverflowError):
        return "its box is no four numbers"
    if not math.isfinite(left + top + width + height):
        return "its box is no four numbers"
    if width <= 0 or height <= 0:
        return "its box has no width or no height"
    if left >= size[0] or top >= size[1] or left + width <= 0 or top + height <= 0:
        return "its box lies outside the picture"
    beside, above = margin * width, margin * height
    box = (
        max(0, math.floor(left - beside + _ROUNDING)),
        max(0, math.floor(top - above + _ROUNDING)),
        min(size[0], math.ceil(left + width + beside - _ROUNDING)),
        min(size[1], math.ceil(top + height + above - _ROUNDING)),
    )
    return box if box[0] < box[2] and box[1] < box[3] else "its box has no width or no height"


def _cells_of(name: str, category: _Told) -> dict[str, str]:
    """What a category tells for classes.csv; those of iNaturalist have common names, and their own is in Latin."""
    parent = class_named(text_of(category.get("supercategory")))
    cells = {
        "parent": "" if parent.lower() in ("none", name.lower()) else parent,
        "scientific": name if "specific_epithet" in category else "",
        "common": class_named(text_of(category.get("common_name"))),
    }
    return {column: text for column, text in cells.items() if text}


def _object(value: Any) -> _Told:
    return value if isinstance(value, dict) else {}


def _texts(found: _Told, but: set[str]) -> dict[str, str]:
    """Every text and number, and CVAT's attributes, as text."""
    return {
        key: text_of(value)
        for key, value in found.items()
        if key not in but and (isinstance(value, (str, int, float)) or key == "attributes") and value != ""
    }


def _size(picture: _Told) -> tuple[int, int] | None:
    width, height = picture.get("width"), picture.get("height")
    if not isinstance(width, (int, float)) or not isinstance(height, (int, float)):
        return None
    return (int(width), int(height)) if 1 <= width < math.inf and 1 <= height < math.inf else None


def _key(value: Any) -> str | None:
    """An id as text, however it is written; None when there is none."""
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return (" ".join(text_of(value).split()) or None) if isinstance(value, str) else None


def told_apart(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The boxes of one picture, no two of one name: an id that is used again is numbered."""
    if len({entry.name for entry in entries}) == len(entries):
        return entries
    found: dict[str, Entry] = {}
    for entry in entries:
        name, times = entry.name, 1
        while name in found:
            times += 1
            name = f"{entry.name}-{times}"
        found[name] = replace(entry, name=name)
    return list(found.values())


def _one_class(path: Path, ids: Mapping[str, set[str]]) -> list[Notice]:
    return [
        Notice(
            f"{len(keys)} categories of {path.name} are called {name!r}, and are one class",
            code="coco-one-class", where=str(path), why=f"their ids: {', '.join(sorted(keys))}",
            hint="give them names of their own in the file, if they are several",
        )
        for name, keys in ids.items() if len(keys) > 1
    ]  # fmt: skip


def _two_meanings(path: Path, what: str, key: str, first: str, second: str) -> DatasetError:
    return DatasetError(
        f"the {what} id {key} of {path.name} stands for two: {shown(first)!r} and {shown(second)!r}",
        code="coco-id-twice", where=str(path), why="boxes that name it could mean either",
        hint="were two files joined? give every id once, or use them as two files",
    )  # fmt: skip
