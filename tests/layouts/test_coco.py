from __future__ import annotations

import json
import unicodedata
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.dataset.folder import scan
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Source, find_layout
from fgvr_kit.layouts.boxes import framed
from fgvr_kit.types import Entry
from tests.layouts.coco_files import Rows, box, coco, image, listed, photos
from tests.photographs import class_folders


def test_every_box_is_an_image_of_its_picture_with_all_that_is_known(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png")
    path = coco(
        tmp_path / "boxes.json",
        [
            image(1, "a.png", license=4, date_captured="2026-05-01"),
            image("2", "b.png", observer="Ida", tags=["x"]),
        ],
        [
            box(7, 2),
            box(8, 1, (40, 30, 20, 10), 2, area=200.5, iscrowd=0),
            box(9, "2", [90.5, 70, 50, 50], "1"),
        ],
        [
            {"id": 1, "name": "bee", "supercategory": "none"},
            {"id": "2", "name": "ox-eye\ndaisy", "supercategory": "plant"},
        ],
        licenses=[{"id": 4, "name": "CC0"}],
    )
    listing = listed(path, margin=0.5)
    known = {
        "date_captured": "2026-05-01",
        "licence": "CC0",
        "area": "200.5",
        "iscrowd": "0",
        "supercategory": "plant",
    }
    assert listing.entries == [
        Entry("a.png", "ox-eye daisy", None, "picture:a.png", known, (30, 25, 70, 45), "8", (100, 80)),
        Entry("b.png", "bee", None, "picture:b.png", {"observer": "Ida"}, (0, 0, 40, 40), "7", (100, 80)),
        Entry("b.png", "bee", None, "picture:b.png", {"observer": "Ida"}, (65, 45, 100, 80), "9", (100, 80)),
    ]
    assert listing.classes == {"ox-eye daisy": {"parent": "plant"}}
    assert (listing.skipped, listing.notices) == ([], [])
    images, skipped = scan(listing.root, listing.entries)
    assert [(i.path, i.width, i.height) for i in images] == [
        ("a.png#8", 40, 20), ("b.png#7", 40, 40), ("b.png#9", 35, 35)
    ]  # fmt: skip
    assert skipped == []


@pytest.mark.parametrize(
    ("bbox", "margin", "expected"),
    [
        ([10, 10, 30, 30], 0.1, (7, 7, 43, 43)),  # 10 + 30 + 0.1 * 30 is a little more than 43
        ([0.4, 0.6, 9.2, 9.2], 0, (0, 0, 10, 10)),
        ([-5, -5, 10, 10], 0, (0, 0, 5, 5)),
        ([95, 75, 500, 500], 2, (0, 0, 100, 80)),
        ([10, 10, 0, 5], 0.1, "its box has no width or no height"),
        ([10, 10, 5, -1], 0.1, "its box has no width or no height"),
        ([10, 10, 5, 1e-30], 0.1, "its box has no width or no height"),
        ([100, 0, 5, 5], 0.1, "its box lies outside the picture"),
        ([0, -9, 5, 9], 0.1, "its box lies outside the picture"),
        ([1, 2, 3], 0.1, "its box is no four numbers"),
        (None, 0.1, "its box is no four numbers"),
        ([1, 2, float("nan"), 4], 0.1, "its box is no four numbers"),
        ([1, 2, 10**400, 4], 0.1, "its box is no four numbers"),
        (["a", 2, 3, 4], 0.1, "its box is no four numbers"),
    ],
)
def test_boxes_are_framed_inside_the_picture(bbox: Any, margin: float, expected: Any) -> None:
    assert framed(bbox, (100, 80), margin) == expected


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "empty.png", "sizeless.png", "unnamed.png")
    path = coco(
        tmp_path / "boxes.json",
        [
            image(1, "a.png"), image(2, "empty.png"), image(3, "gone.png"), image(4, "../secret.png"),
            {"id": 5, "file_name": "sizeless.png"}, {"file_name": "nobody.png"}, image(6, "http://x.org/a.png"),
        ],
        [
            box(1, 1), box(2, 1, iscrowd=1), box(3, 1, [5, 5, 0, 0]), box(4, 1, category=99), box(5, 99),
            box(6, 3), box(7, 3), box(8, 5), "nonsense", box(None, 1, None),
        ],
    )  # fmt: skip
    listing = listed(path)
    assert [entry.path for entry in listing.entries] == ["a.png#1"]
    assert {(s.path, s.reason) for s in listing.skipped} == {
        ("gone.png", "there is no such file"),
        ("../secret.png", "outside the folder of the dataset"),
        ("http://x.org/a.png", "a URL: fetch the picture, and name its file"),
        ("boxes.json: nobody.png", "a picture without an id"),
        ("a.png#2", "a crowd, not one thing"),
        ("a.png#3", "its box has no width or no height"),
        ("a.png#4", "its category is not listed"),
        ("boxes.json#5", "its picture is not listed"),
        ("boxes.json#number 9", "its picture is not listed"),
        ("a.png#number 10", "its box is no four numbers"),
        ("sizeless.png#8", "the size of its picture is not told"),
        ("empty.png", "no box in it"),
    }
    assert [(n.code, n.why) for n in listing.notices] == [("files-unnamed", "'unnamed.png'")]


def test_boxes_of_one_picture_stand_together_under_names_of_their_own(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png")
    annotations = [box(n % 3, 1 + n % 2, [n, n, 10, 10]) for n in range(12)]
    listing = listed(coco(tmp_path / "x.json", [image(1, "a.png"), image(2, "b.png")], annotations))
    assert [file for file, _ in groupby(e.file for e in listing.entries)] == ["a.png", "b.png"]
    assert len({e.path for e in listing.entries}) == 12
    assert {e.group for e in listing.entries} == {"picture:a.png", "picture:b.png"}


def test_a_picture_of_another_size_is_told_by_the_scan(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", size=(50, 40))
    listing = listed(coco(tmp_path / "x.json", [image(1, "a.png")], [box(1, 1)]))
    images, (skipped,) = scan(listing.root, listing.entries)
    assert (images, skipped.path) == ([], "a.png#1")
    assert "100x80" in skipped.reason


def test_categories_of_one_name_are_one_class(tmp_path: Path) -> None:
    photos(tmp_path, "a.png")
    categories: Rows = [{"id": 1, "name": "bee"}, {"id": 2, "name": " bee "}, {"id": 3}]
    listing = listed(
        coco(tmp_path / "x.json", [image(1, "a.png")], [box(1, 1), box(2, 1, category=2)], categories)
    )
    assert [entry.class_name for entry in listing.entries] == ["bee", "bee"]
    assert [(n.code, n.why) for n in listing.notices] == [("coco-one-class", "their ids: 1, 2")]


@pytest.mark.parametrize(
    ("images", "categories"),
    [
        ([image(1, "a.png"), image("1", "b.png")], None),
        ([image(1, "a.png")], [{"id": 1, "name": "bee"}, {"id": 1, "name": "wasp"}]),
    ],
)
def test_an_id_that_could_mean_two_things_is_refused(
    tmp_path: Path, images: Rows, categories: Rows | None
) -> None:
    photos(tmp_path, "a.png", "b.png")
    with pytest.raises(DatasetError) as caught:
        listed(coco(tmp_path / "x.json", images, [box(1, 1)], categories))
    assert caught.value.code == "coco-id-twice"


@pytest.mark.parametrize("below", ["train2017", "images/train2017", "images", "annotations", "."])
def test_a_file_of_annotations_finds_its_pictures(tmp_path: Path, below: str) -> None:
    photos(tmp_path / below, "1.png")
    photos(tmp_path / "val2017", "1.png", "2.png")
    path = coco(tmp_path / "annotations" / "instances_train2017.json", [image(1, "1.png")], [box(1, 1)])
    listing = listed(path)
    images, _ = scan(listing.root, listing.entries)
    assert [i.path for i in images] == [f"{below}/1.png#1".removeprefix("./")]
    assert listing.entries[0].split is None  # one file alone is no split
    again = listed(path, root=str(listing.root))
    assert again.entries == listing.entries


def test_a_folder_of_coco_is_read_split_by_split(tmp_path: Path) -> None:
    for split in ("train2017", "val2017", "test2017"):
        photos(tmp_path / split, "1.png")
        coco(tmp_path / "annotations" / f"instances_{split}.json", [image(1, "1.png")], [box(1, 1)])
    coco(tmp_path / "annotations" / "captions_train2017.json", [], [])
    listing = listed(tmp_path)
    assert [(e.path, e.split) for e in listing.entries] == [
        ("test2017/1.png#1", "test"), ("train2017/1.png#1", "train"), ("val2017/1.png#1", "val")
    ]  # fmt: skip
    assert listing.notices == []


def test_an_export_of_cvat_brings_no_split(tmp_path: Path) -> None:
    photos(tmp_path / "images", "deep/1.png")
    attributes = {"sex": "f", "occluded": False}
    coco(
        tmp_path / "annotations" / "instances_default.json", [image(1, "deep/1.png")],
        [box(1, 1, attributes=attributes)],
    )  # fmt: skip
    (entry,) = listed(tmp_path).entries
    assert (entry.file, entry.split) == ("images/deep/1.png", None)
    assert json.loads(entry.details["attributes"]) == attributes


def test_an_export_of_roboflow_is_read(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        photos(tmp_path / split, "a.jpg")
        coco(
            tmp_path / split / "_annotations.coco.json", [image(0, "a.jpg")], [box(0, 0, category=1)],
            [{"id": 0, "name": "pests", "supercategory": "none"}, {"id": 1, "name": "bee", "supercategory": "pests"}],
        )  # fmt: skip
    listing = listed(tmp_path)
    assert [(e.path, e.split) for e in listing.entries] == [
        ("train/a.jpg#0", "train"),
        ("valid/a.jpg#0", "val"),
    ]
    assert listing.classes == {"bee": {"parent": "pests"}}


def test_names_of_pictures_are_found_as_those_of_tables(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", "å")
    photos(tmp_path, f"{nfd}.png", "in/B.PNG")
    names = [image(1, "å.png"), image(2, "in\\b.png")]
    listing = listed(coco(tmp_path / "x.json", names, [box(1, 1), box(2, 2)]))
    assert [entry.file for entry in listing.entries] == [f"{nfd}.png", "in/B.PNG"]


@pytest.mark.parametrize(
    ("raw", "code", "at"),
    [
        (b'{"images": [],\n "annotations": [}', "coco-json", ":2:18"),
        (b"", "coco-json", ":1:1"),
        (b"\xff\xfe{", "coco-json", "x.json"),
        (b"[" * 200_000, "coco-json", "x.json"),
        (b"[1]", "coco-shape", "x.json"),
        (b'{"type": "FeatureCollection", "features": []}', "coco-shape", "x.json"),
        (b'{"images": {}, "annotations": [], "categories": []}', "coco-shape", "x.json"),
    ],
)
def test_what_is_no_coco_file_is_refused(tmp_path: Path, raw: bytes, code: str, at: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    with pytest.raises(DatasetError) as caught:
        listed(path)
    assert caught.value.code == code
    assert (caught.value.where or "").endswith(at)


def test_class_folders_beside_other_json_stay_classes(tmp_path: Path) -> None:
    class_folders(tmp_path, {"bee": 1, "wasp": 1, "annotations": 1})
    (tmp_path / "annotations" / "list.json").write_text("{}")
    (tmp_path / "meta.json").write_text("{}")
    assert find_layout(Source("", tmp_path)).name == "classes"
