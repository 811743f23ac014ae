"""Copies of the papers' datasets for tests: the file structure of the original archives, made-up pictures.

Each function unpacks a dataset into a folder as its archives do. counts: class -> (train, val, test) images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from tests.photographs import picture

Counts = Mapping[str, tuple[int, int, int]]
SPLITS = ("train", "val", "test")


def evenly(names: list[str], train: int, val: int, test: int) -> Counts:
    """So many images in all, each class as many as the next (or one more)."""
    n = len(names)
    return {
        name: tuple(total // n + (i < total % n) for total in (train, val, test))  # type: ignore[misc]
        for i, name in enumerate(names)
    }


def cub_200_2011(root: Path, counts: Counts, *, drawn: bool = True) -> Path:
    """CUB_200_2011.tgz. Classes such as "001.Black_footed_Albatross"; images of a class may be for either."""
    home = root / "CUB_200_2011"
    images, labels, sides, boxes = [], [], [], []
    for number, (label, name, split, nth) in enumerate(_each(counts), 1):
        file = f"{name}/{name[4:]}_{nth:04d}_{number}.jpg"
        _image(home / "images" / file, drawn)
        images.append(f"{number} {file}")
        labels.append(f"{number} {label}")
        sides.append(f"{number} {int(split == 'train')}")
        boxes.append(f"{number} {float(nth)} 2.0 20.0 12.5")
    _text(root / "attributes.txt", ["1 has_bill_shape::curved_(up_or_down)"])
    _text(home / "README", ["The Caltech-UCSD Birds-200-2011 Dataset"])
    _text(home / "parts" / "parts.txt", ["1 back"])
    _text(home / "attributes" / "certainties.txt", ["1 not visible"])
    _text(home / "images.txt", images)
    _text(home / "image_class_labels.txt", labels)
    _text(home / "train_test_split.txt", sides)
    _text(home / "bounding_boxes.txt", boxes)
    _text(home / "classes.txt", [f"{label} {name}" for label, name in enumerate(counts, 1)])
    return root


def stanford_dogs(root: Path, counts: Counts, *, drawn: bool = True) -> Path:
    """images.tar, annotation.tar and lists.tar. Classes such as "n02085620-Chihuahua"."""
    lists: dict[str, list[tuple[str, int]]] = {"file": [], "train": [], "test": []}
    numbers = count(7)
    for label, name, split, _ in _each(counts):
        file = f"{name}/{name[:9]}_{next(numbers)}.jpg"
        _image(root / "Images" / file, drawn)
        _text(root / "Annotation" / file.removesuffix(".jpg"), ["<annotation></annotation>"])
        lists["file"].append((file, label))
        lists[split].append((file, label))
    for name, rows in lists.items():
        files = [file for file, _ in rows]
        variables = {
            "file_list": cells(files),
            "annotation_list": cells([file.removesuffix(".jpg") for file in files]),
            "labels": np.array([[label] for _, label in rows], np.uint8),
        }
        mat(root / f"{name}_list.mat", variables)
    return root


def fgvc_aircraft(root: Path, counts: Counts, *, drawn: bool = True) -> Path:
    """fgvc-aircraft-2013b.tar.gz. The family of "737-200" is "Boeing 737", its manufacturer "Boeing"."""
    data = root / "fgvc-aircraft-2013b" / "data"
    lists: dict[str, list[str]] = {}
    boxes = []
    for number, (_, name, split, _) in enumerate(_each(counts), 34309):
        _image(data / "images" / f"{number:07d}.jpg", drawn)
        boxes.append(f"{number:07d} 3 2 30 20")
        levels = {"variant": name, "family": f"Boeing {name.partition('-')[0]}", "manufacturer": "Boeing"}
        for part in (split, *(["trainval"] if split != "test" else [])):
            lists.setdefault(f"images_{part}.txt", []).append(f"{number:07d}")
            for level, text in levels.items():
                lists.setdefault(f"images_{level}_{part}.txt", []).append(f"{number:07d} {text}")
    for file, lines in lists.items():
        _text(data / file, lines)
    _text(data / "images_box.txt", boxes)
    _text(data / "variants.txt", list(counts))
    _text(data / "families.txt", sorted({f"Boeing {name.partition('-')[0]}" for name in counts}))
    _text(data / "manufacturers.txt", ["Boeing"])
    _text(data.parent / "README.md", ["# FGVC-Aircraft Benchmark"])
    _text(data.parent / "vl_pr.m", ["function vl_pr"])
    return root


def flowers_102(root: Path, counts: Counts, *, drawn: bool = True) -> Path:
    """102flowers.tgz beside imagelabels.mat and setid.mat. Classes are labels, as text: "1" to "102"."""
    labels: list[int] = []
    sets: dict[str, list[int]] = {"trnid": [], "valid": [], "tstid": []}
    for number, (_, name, split, _) in enumerate(_each(counts), 1):
        _image(root / "jpg" / f"image_{number:05d}.jpg", drawn)
        labels.append(int(name))
        sets[dict(zip(SPLITS, sets, strict=True))[split]].append(number)
    mat(root / "imagelabels.mat", {"labels": np.array([labels], np.uint8)})
    mat(root / "setid.mat", {name: np.array([numbers], np.uint16) for name, numbers in sets.items()})
    return root


def oxford_iiit_pet(root: Path, counts: Counts, *, drawn: bool = True) -> Path:
    """images.tar.gz and annotations.tar.gz. Breeds of cats begin with a capital, those of dogs do not."""
    lists: dict[str, list[str]] = {"list": [], "train": [], "test": []}
    for label, name, split, nth in _each(counts):
        image = f"{name}_{nth}"
        _image(root / "images" / f"{image}.jpg", drawn)
        line = f"{image} {label} {1 if name[0].isupper() else 2} {label}"
        lists["list"].append(line)
        lists[split].append(line)
        _text(root / "annotations" / "xmls" / f"{image}.xml", ["<annotation></annotation>"])
    head = ["#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids", "#SPECIES: 1:Cat 2:Dog"]
    _text(root / "annotations" / "list.txt", head + lists["list"])
    _text(root / "annotations" / "trainval.txt", lists["train"])
    _text(root / "annotations" / "test.txt", lists["test"])
    _text(root / "annotations" / "README", ["OVERVIEW"])
    return root


def stanford_cars(root: Path, counts: Counts, *, drawn: bool = True) -> Path:
    """cars_train.tgz, cars_test.tgz, car_devkit.tgz, and the labels of the test set beside them."""
    rows: dict[str, list[tuple[Any, ...]]] = {"train": [], "test": []}
    for label, _, split, _ in _each(counts):
        file = f"{len(rows[split]) + 1:05d}.jpg"
        _image(root / f"cars_{split}" / file, drawn)
        rows[split].append((3, 2, 30, 20, label, file))
    boxed = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
    unnamed = [(*row[:4], row[5]) for row in rows["test"]]
    annos = {"annotations": structs([*boxed, "class", "fname"], rows["train"])}
    mat(root / "devkit" / "cars_meta.mat", {"class_names": cells(list(counts)).reshape(1, -1)})
    mat(root / "devkit" / "cars_train_annos.mat", annos)
    mat(root / "devkit" / "cars_test_annos.mat", {"annotations": structs([*boxed, "fname"], unnamed)})
    labelled = {"annotations": structs([*boxed, "class", "fname"], rows["test"])}
    mat(root / "cars_test_annos_withlabels.mat", labelled)
    _text(root / "devkit" / "README.txt", ["This file documents the devkit"])
    return root


def cells(texts: list[str]) -> np.ndarray:
    """An n x 1 cell array of text."""
    found = np.empty((len(texts), 1), object)
    found[:, 0] = texts
    return found


def structs(fields: list[str], rows: list[tuple[Any, ...]]) -> np.ndarray:
    """A 1 x n array of structs."""
    found = np.empty((1, len(rows)), [(field, object) for field in fields])
    for number, row in enumerate(rows):
        found[0, number] = row
    return found


def mat(path: Path, variables: Mapping[str, Any]) -> None:
    """Compressed, as MATLAB writes it and as the originals are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, dict(variables), do_compression=True)


def _each(counts: Counts) -> Iterator[tuple[int, str, str, int]]:
    """(label, class, split, which image of its class) of every image."""
    for label, (name, numbers) in enumerate(counts.items(), 1):
        nth = count(1)
        for split, n in zip(SPLITS, numbers, strict=True):
            for _ in range(n):
                yield label, name, split, next(nth)


def _image(path: Path, drawn: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if drawn:
        picture(str(path.name) + path.parent.name).save(path, quality=95)
    else:
        path.touch()


def _text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
