from __future__ import annotations

import shutil
from pathlib import Path

from fgvr_kit.types import Entry
from tests.layouts.unpacked import WITH_LABELS, entries, listed, refused, unpacked


def test_cars_have_their_box(tmp_path: Path) -> None:
    assert entries("stanford_cars", tmp_path)[-1] == Entry(
        "cars_test/00003.jpg", "Ram C/V Van 2012", "test",
        details={"bbox_x1": "3", "bbox_y1": "2", "bbox_x2": "30", "bbox_y2": "20"},
    )  # fmt: skip


def test_cars_may_lie_a_folder_deeper_and_the_test_labels_in_the_devkit(tmp_path: Path) -> None:
    place = unpacked("stanford_cars", tmp_path)
    for folder in ("cars_train", "cars_test"):
        (place / folder).rename(place / "moved")
        (place / folder).mkdir()
        (place / "moved").rename(place / folder / folder)
    (place / WITH_LABELS).rename(place / "devkit" / WITH_LABELS)
    _, listing = listed(place)
    assert [e.split for e in listing.entries] == ["train"] * 3 + ["test"] * 3
    assert (listing.entries[0].file, listing.skipped) == ("cars_train/cars_train/00001.jpg", [])


def test_the_devkits_list_of_test_cars_does_not_do(tmp_path: Path) -> None:
    place = unpacked("stanford_cars", tmp_path)
    shutil.copy(place / "devkit" / "cars_test_annos.mat", place / WITH_LABELS)
    error = refused(place)
    assert (error.code, "'class'" in error.message) == ("list-variable", True)
