"""Stanford Cars: 196 models with their years, 8,144 training and 8,041 test images.

cars_train.tgz unpacks cars_train/00001.jpg, cars_test.tgz cars_test/, car_devkit.tgz devkit/ with cars_meta.mat
(class_names, 1 x 196 cells of text) and cars_train_annos.mat (annotations, 1 x n structs of bbox_x1, bbox_y1,
bbox_x2, bbox_y2, class and fname). cars_test_annos_withlabels.mat is a download of its own and lies in either
folder; the cars_test_annos.mat of the devkit has no classes. Known trap: labels count from 1.
Source: the README of the devkit (Krause et al., 2013).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fgvr_kit.dataset.files import class_named
from fgvr_kit.layouts.archives import Named, home_of, listing_of, told_by
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.lists import broken, class_at, lacking, variables_of, whole, words
from fgvr_kit.types import Entry, Split

ABOUT = "Stanford Cars"
N_TEST = 8041

_FOLDERS: dict[str, Split] = {"cars_train": "train", "cars_test": "test"}
_META, _TRAIN, _TEST = "cars_meta.mat", "cars_train_annos.mat", "cars_test_annos_withlabels.mat"
_DEVKIT = "car_devkit.tgz"
_BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")


def sign_of(place: Path) -> str | None:
    """cars_train/ or cars_test/ with the other one or a list, in the folder or in one folder of it."""
    return told_by(place, _signs)


def read(source: Source) -> Listing:
    """Every listed image, its class the model with its year; the box of the car as columns.

    Raises DatasetError: a list (most often that of the test labels) or an image folder is missing, a list is no
    MATLAB file, a label is out of range.
    """
    home = home_of(source, _signs, ABOUT)
    meta = _list(home.folder, _META)
    found = variables_of(meta, ["class_names"], "the names of the classes", _DEVKIT)
    names = [class_named(name) for name in words(found["class_names"], meta)]
    paths = {"cars_train": _list(home.folder, _TRAIN), "cars_test": _list(home.folder, _TEST)}
    if not paths["cars_test"].is_file():
        raise lacking(home.folder / _TEST, "the classes of the test images, and the devkit does not", _TEST)
    folders = {folder: _images(home.folder, folder) for folder in _FOLDERS}
    named = [one for folder, path in paths.items() for one in _named(path, folders[folder], names)]
    archives = {folders[folder]: f"{folder}.tgz" for folder in _FOLDERS}
    return listing_of(home, named, archives, about=ABOUT, n_test=N_TEST)


def _signs(folder: Path) -> list[str]:
    folders = [f"{name}/" for name in _FOLDERS if (folder / name).is_dir()]
    paths = [_list(folder, name) for name in (_META, _TRAIN, _TEST)]
    lists = [path.relative_to(folder).as_posix() for path in paths if path.is_file()]
    return [*folders, *lists][:2] if folders and len(folders) + len(lists) > 1 else []


def _list(folder: Path, name: str) -> Path:
    """Where a list lies: in the devkit, or beside it."""
    inside = folder / "devkit" / name
    return inside if inside.is_file() else folder / name


def _images(folder: Path, name: str) -> str:
    """Where the images of a split lie; a copy of the dataset that many have puts them a folder deeper."""
    return f"{name}/{name}" if (folder / name / name).is_dir() else name


def _named(path: Path, folder: str, names: list[str]) -> Iterator[Named]:
    cars = variables_of(path, ["annotations"], f"the classes of {folder}", _DEVKIT)["annotations"]
    if absent := [field for field in ("fname", "class", *_BOX) if field not in (cars.dtype.names or ())]:
        raise broken(f"annotations in {path.name} have no field {absent[0]!r}", path, code="list-variable")
    split = _FOLDERS[folder.partition("/")[0]]
    for one, file in zip(cars, words(cars["fname"], path), strict=True):
        name = class_at(names, whole(one["class"], path), path)
        details = {field: str(whole(one[field], path)) for field in _BOX}
        yield path.name, Entry(f"{folder}/{file}", name, split, details=details)
