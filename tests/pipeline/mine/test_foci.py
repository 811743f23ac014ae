from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.errors import DatasetError
from fgvr_kit.pipeline.mine import foci
from fgvr_kit.types import Image, ImageClass, Option

CLASSES = {
    c.name: c
    for c in (
        ImageClass("001.bee", "honey bee", ("Biene",), scientific="Apis mellifera"),
        ImageClass("002.wasp", "002.wasp"),
        ImageClass("003.ant_hill", "003.ant hill"),
        ImageClass("004.fly", "fly"),
    )
}
IMAGES = [
    Image(1, "test/bee/1.jpg", "001.bee", "test", "s1"),
    Image(2, "test/wasp/1.jpg", "002.wasp", "test", "s2"),
    Image(3, "train/bee/2.jpg", "001.bee", "train", "s3"),
    Image(4, "test/bee/4.jpg", "001.bee", "test", "s4"),
]


def written(path: Path, document: Any) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def entry(image: str, *options: str, truth: str | None = None) -> dict[str, Any]:
    return {"image": image, "options": list(options), "groundtruth": truth or options[0]}


def options(*ranked: tuple[int, str]) -> dict[int, list[Option]]:
    found: dict[int, list[Option]] = {}
    for image_id, name in ranked:
        so_far = found.setdefault(image_id, [])
        so_far.append(Option(image_id, len(so_far), name, 0.5, len(so_far)))
    return found


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "options.json"):
        with pytest.raises(DatasetError) as caught:
            foci.write(place, IMAGES, CLASSES, {})
        assert caught.value.code == "foci-unwritable"


def test_what_is_written_has_focis_form_and_is_read_back(tmp_path: Path) -> None:
    mined = options(
        (1, "001.bee"), (1, "004.fly"), (1, "002.wasp"), (2, "002.wasp"), (2, "001.bee"), (2, "004.fly")
    )
    n = foci.write(tmp_path / "new" / "options.json", IMAGES, CLASSES, mined)
    assert n == 2
    assert json.loads((tmp_path / "new" / "options.json").read_text()) == {
        "honey bee": [entry("test/bee/1.jpg", "honey bee", "002.wasp", "fly")],
        "002.wasp": [entry("test/wasp/1.jpg", "002.wasp", "fly", "honey bee")],
        "003.ant hill": [],
        "fly": [],
    }
    read, dropped = foci.read(tmp_path / "new" / "options.json", IMAGES, CLASSES)
    assert read == {i: [o.class_name for o in some] for i, some in mined.items()}
    assert [(what, n) for what, n, _ in dropped] == [("test images", 1)]


def test_what_was_read_is_written_as_it_was(tmp_path: Path) -> None:
    told = {"honey bee": [entry("test/bee/1.jpg", "honey bee", "fly", "002.wasp")],
            "002.wasp": [], "003.ant hill": [], "fly": []}  # fmt: skip
    read, _ = foci.read(written(tmp_path / "a.json", told), IMAGES, CLASSES)
    foci.write(
        tmp_path / "b.json", IMAGES, CLASSES, options(*((i, c) for i, some in read.items() for c in some))
    )
    assert json.loads((tmp_path / "b.json").read_text()) == told


@pytest.mark.parametrize("label", ["001.bee", "honey bee", "Honey_Bee", "bee", "biene", "apis mellifera"])
def test_a_label_is_any_name_of_a_class_in_any_spelling(tmp_path: Path, label: str) -> None:
    told = {label: [entry("test/bee/1.jpg", label, "Ant hill", "wasp")]}
    read, _ = foci.read(written(tmp_path / "a.json", told), IMAGES, CLASSES)
    assert read == {1: ["001.bee", "002.wasp", "003.ant_hill"]}


@pytest.mark.parametrize(
    "path",
    ["test/bee/4.jpg", "/home/author/images/bee/4.jpg", "./bee/4.jpg", "data\\bee\\4.jpg", "images/4.jpg"],
)
def test_an_image_is_told_by_the_end_of_its_path(tmp_path: Path, path: str) -> None:
    read, _ = foci.read(written(tmp_path / "a.json", {"bee": [entry(path, "bee", "fly")]}), IMAGES, CLASSES)
    assert list(read) == [4]


@pytest.mark.parametrize(
    "bad",
    [
        entry("test/bee/1.jpg", "bee", "hornet"),
        entry("test/bee/9.jpg", "bee", "fly"),
        entry("images/1.jpg", "bee", "fly"),  # fits two
        entry("train/bee/2.jpg", "bee", "fly"),
        entry("test/wasp/1.jpg", "bee", "fly"),  # a wasp here
        entry("test/bee/1.jpg", "bee", "fly", "Honey bee"),
        entry("test/bee/1.jpg", "wasp", "fly", truth="bee"),
        entry("test/bee/1.jpg", "bee", "fly", truth="fly"),
        entry("test/bee/1.jpg", "bee"),
        entry("test/bee/4.jpg", "bee", "fly"),  # once more
    ],
)
def test_what_cannot_be_asked_is_left_out_and_counted(tmp_path: Path, bad: dict[str, Any]) -> None:
    told = {"bee": [entry("test/bee/4.jpg", "bee", "wasp"), bad]}
    read, dropped = foci.read(written(tmp_path / "a.json", told), IMAGES, CLASSES)
    assert read == {4: ["001.bee", "002.wasp"]}
    assert [row[:2] for row in dropped] == [("questions of a.json", 1), ("test images", 2)]


def test_a_label_of_several_classes_is_left_out(tmp_path: Path) -> None:
    classes = {
        c.name: c for c in (ImageClass("a", "a", ("x",)), ImageClass("b", "b", ("X",)), ImageClass("c", "c"))
    }
    told = {"c": [entry("1.jpg", "c", "x"), entry("2.jpg", "c", "a")]}
    members = [Image(n, f"{n}.jpg", "c", "test", f"{n}") for n in (1, 2)]
    read, dropped = foci.read(written(tmp_path / "a.json", told), members, classes)
    assert read == {2: ["c", "a"]}
    assert dropped[0][1] == 1


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{", "foci-file"),
        ("[]", "foci-file"),
        ({"bee": {}}, "foci-file"),
        ({"bee": ["1.jpg"]}, "foci-file"),
        ({"bee": [{"image": "1.jpg", "options": ["bee"]}]}, "foci-file"),
        ({"bee": [entry("1.jpg", "bee") | {"options": [1, 2]}]}, "foci-file"),
        ({"bee": [entry("1.jpg", "bee") | {"image": 7}]}, "foci-file"),
        ({}, "foci-none"),
        ({"hornet": [entry("1.jpg", "hornet", "bee")]}, "foci-none"),
    ],
)
def test_a_file_of_no_use_is_refused(tmp_path: Path, document: Any, code: str) -> None:
    with pytest.raises(DatasetError) as caught:
        foci.read(written(tmp_path / "a.json", document), IMAGES, CLASSES)
    assert caught.value.code == code
    assert caught.value.why


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        foci.read(tmp_path / "a.json", IMAGES, CLASSES)
    assert caught.value.code == "foci-not-found"
