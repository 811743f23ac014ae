"""COCO files without boxes: every picture is an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.layouts.base import Source, find_layout
from fgvr_kit.types import Entry, Skipped
from tests.layouts.coco_files import Rows, box, coco, image, listed, photos
from tests.photographs import class_folders


def test_without_any_box_the_pictures_are_the_images(tmp_path: Path) -> None:
    photos(tmp_path, "a.png", "b.png", "c.png", "d.png")
    names = [image(n, f"{name}.png") for n, name in enumerate("abcd")]
    pairs = [(0, 1), (1, 1), (1, 1), (2, 1), (2, 2)]
    annotations = [{"id": n, "image_id": i, "category_id": c} for n, (i, c) in enumerate(pairs)]
    categories: Rows = [{"id": 1, "name": "bee"}, {"id": 2, "name": "wasp"}]
    listing = listed(coco(tmp_path / "x.json", names, annotations, categories))
    assert listing.entries == [Entry("a.png", "bee"), Entry("b.png", "bee")]
    assert listing.skipped == [
        Skipped("d.png", "it has no label"), Skipped("c.png", "several classes, and no boxes that tell where")
    ]  # fmt: skip


INAT: dict[str, Any] = {
    "licenses": [
        {"id": 3, "name": "Attribution-NonCommercial License", "url": "http://creativecommons.org/licenses/by-nc/4.0/"},
        {"id": 4, "url": "http://creativecommons.org/publicdomain/zero/1.0/"},
    ]
}  # fmt: skip
BUTTERFLY: dict[str, Any] = {
    "id": 7, "name": "Danaus plexippus", "common_name": "Monarch", "supercategory": "Insects", "genus": "Danaus",
    "specific_epithet": "plexippus", "image_dir_name": "00007_Animalia", "kingdom": "Animalia",
}  # fmt: skip


def test_a_competition_of_inaturalist_is_read_from_its_folder(tmp_path: Path) -> None:
    for split, number in (("train", 1), ("val", 2)):
        photos(tmp_path / "train_val2021", f"Insects/7/{number}.jpg")
        name = f"train_val2021/Insects/7/{number}.jpg"
        told = {
            "license": number + 2,
            "rights_holder": "Ida",
            "date": "2019-08-14 12:01:00+00:00",
            "latitude": 52.5,
        }
        coco(
            tmp_path / f"{split}2021.json", [image(number, name, **told)],
            [{"id": 1, "image_id": number, "category_id": 7}], [BUTTERFLY], **INAT,
        )  # fmt: skip
    (tmp_path / "test2021.json").write_text(json.dumps({"images": [image(3, "test2021/3.jpg")]}))
    listing = listed(tmp_path)
    told = {
        "rights_holder": "Ida",
        "date": "2019-08-14 12:01:00+00:00",
        "latitude": "52.5",
        "supercategory": "Insects",
    }
    licences = ("Attribution-NonCommercial License", "http://creativecommons.org/publicdomain/zero/1.0/")
    assert listing.entries == [
        Entry(
            f"train_val2021/Insects/7/{number}.jpg",
            "Danaus plexippus",
            split,
            None,
            told | {"licence": licence},
        )
        for number, split, licence in ((1, "train", licences[0]), (2, "val", licences[1]))
    ]
    assert listing.classes == {
        "Danaus plexippus": {"parent": "Insects", "scientific": "Danaus plexippus", "common": "Monarch"}
    }
    assert (listing.skipped, listing.notices) == ([], [])


@pytest.mark.parametrize("text", ["", "{}", '{"images": [], "categories": []}', "[1, 2]"])
def test_class_folders_beside_a_train_json_of_another_kind_stay_classes(tmp_path: Path, text: str) -> None:
    class_folders(tmp_path, {"bee": 1, "wasp": 1})
    (tmp_path / "train.json").write_text(text)
    assert find_layout(Source("", tmp_path)).name == "classes"


def test_class_folders_with_a_val_json_alone_stay_classes(tmp_path: Path) -> None:
    class_folders(tmp_path, {"bee": 1, "wasp": 1})
    coco(tmp_path / "val.json", [image(1, "bee/0.png")], [box(1, 1)])
    assert find_layout(Source("", tmp_path)).name == "classes"
