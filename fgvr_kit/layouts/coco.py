"""COCO boxes: every box is an image of its own, cut out with a margin; boxes of one picture stay together.

Where no annotation has a box (the iNaturalist competitions, train2019.json), every picture is an image.
Source: https://cocodataset.org/#format-data, https://github.com/visipedia/inat_comp
"""

from __future__ import annotations

import json
import mmap
import posixpath
from pathlib import Path
from typing import Any

from fgvr_kit.dataset.files import split_named
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.boxes import Boxes, Document
from fgvr_kit.layouts.paths import Files, root_of
from fgvr_kit.layouts.rows import text_of
from fgvr_kit.types import Split

ABOUT = "COCO boxes"

_ROBOFLOW = "_annotations.coco.json"
_LISTS = ("images", "annotations", "categories")
_LOOKED_AT = 20
"""Pictures by which the folder of a file is told: enough that a few missing ones do not matter."""


def sign_of(place: Path) -> str | None:
    """A .json file; or a folder with annotations/instances_*.json, _annotations.coco.json, or train*.json."""
    if place.is_file():
        return "a .json file" if place.suffix.lower() == ".json" else None
    if not place.is_dir() or not (found := _documents_in(place)):
        return None
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{found[0].relative_to(place).as_posix()}{more}"


def read(source: Source) -> Listing:
    """Every box with its margin (the setting dataset.margin), clipped to its picture.

    Raises DatasetError when a file is no COCO file, with line and column when it is no JSON.
    """
    paths = [source.place] if source.place.is_file() else _documents_in(source.place)
    if not paths:
        raise DatasetError(
            "there is no COCO file in the folder" if source.place.is_dir() else "there is no such file",
            code="dataset-not-found", where=str(source.place),
            hint="give the .json file, or the folder that holds annotations/instances_train.json",
        )  # fmt: skip
    files = Files(root_of(source, _top_of(source.place)))
    splits = {path: _split_of(path) for path in paths}
    if len(paths) == 1 or "train" not in splits.values():
        splits = dict.fromkeys(paths)  # half a split is none
    boxes = Boxes(files, source.settings.margin)
    with source.progress.task("reading boxes", len(paths)) as task:
        for path in paths:
            document = read_document(path)
            boxes.add(document, _base_of(document, files), splits[path])
            task.advance()
    return boxes.listing()


def read_document(path: Path) -> Document:
    """A COCO file. Raises DatasetError when it is none, or cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise _no_json(path, error.msg, f"{path}:{error.lineno}:{error.colno}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8; a number or a nesting beyond all measure
        raise _no_json(path, str(error), str(path)) from error
    except OSError as error:
        raise _no_json(path, error.strerror or "it cannot be read", str(path)) from error
    if not isinstance(found, dict) or not all(isinstance(found.get(name), list) for name in _LISTS):
        raise DatasetError(
            f"{path.name} is no COCO file", code="coco-shape", where=str(path), why=_shape(found),
            hint='it must hold the lists "images", "annotations" and "categories"',
        )  # fmt: skip
    licences = found.get("licenses")
    licences = licences if isinstance(licences, list) else []
    return Document(path, found["images"], found["annotations"], found["categories"], licences)


def _documents_in(folder: Path) -> list[Path]:
    """The COCO files of a folder: as COCO lays them, as Roboflow does, or as iNaturalist's competitions do."""
    if not folder.is_dir():
        return []
    coco = sorted((folder / "annotations").glob("instances_*.json"))
    return coco or sorted([*folder.glob(_ROBOFLOW), *folder.glob(f"*/{_ROBOFLOW}")]) or _splits_in(folder)


def _splits_in(folder: Path) -> list[Path]:
    """The files of a folder that are called as splits, train2019.json and val2019.json; [] without training."""
    named = [path for path in sorted(folder.glob("*.json")) if _split_of(path) and path.is_file()]
    labelled = [path for path in named if _is_labelled(path)]
    return labelled if any(_split_of(path) == "train" for path in labelled) else []


def _is_labelled(path: Path) -> bool:
    """Whether a file speaks of all that a COCO file must hold; one of test images alone may not."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return all(text.find(f'"{name}"'.encode()) >= 0 for name in _LISTS)
    except (OSError, ValueError):  # ValueError: it is empty
        return False


def _top_of(place: Path) -> Path:
    """The folder that pictures are looked for in: a COCO file lies in annotations/ beside theirs."""
    if place.is_dir():
        return place
    return place.parent.parent if place.parent.name.lower() == "annotations" else place.parent


def _split_of(path: Path) -> Split | None:
    """ "annotations/instances_train2017.json" and "train/_annotations.coco.json" are for training."""
    name = path.parent.name if path.name == _ROBOFLOW else path.stem.removeprefix("instances_")
    return split_named(name.rstrip("0123456789_-"))


def _base_of(document: Document, files: Files) -> str:
    """The folder in which most of the first pictures lie, relative to the root, with a slash at its end.

    It may be the one of the file, one named like it (train2017/), images/, or the root, which it is when they
    lie in none of them: below the root, a file is found wherever it lies.
    """
    here, stem = document.path.parent.absolute(), document.path.stem.removeprefix("instances_")
    bases = [f"{stem}/", f"images/{stem}/", "images/", ""]
    if here.is_relative_to(files.root) and here != files.root:
        bases.insert(0, f"{here.relative_to(files.root).as_posix()}/")
    first = [text_of(one.get("file_name")) for one in document.images[:_LOOKED_AT] if isinstance(one, dict)]
    counts = [sum(posixpath.normpath(base + name) in files.all for name in first) for base in bases]
    return bases[counts.index(max(counts))] if any(counts) else ""


def _shape(found: Any) -> str:
    if isinstance(found, dict):
        return f"it holds {', '.join(map(repr, list(found)[:5])) or 'nothing'}"
    return f"it holds a {type(found).__name__}, not an object"


def _no_json(path: Path, why: str, where: str) -> DatasetError:
    return DatasetError(
        f"{path.name} is no valid JSON", code="coco-json", where=where, why=why,
        hint="was the download or the export cut off? fetch it again",
    )  # fmt: skip
