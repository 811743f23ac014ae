from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.layouts.base import Source, find_layout
from fgvr_kit.types import Entry
from tests.layouts.unpacked import ALBATROSS, drop_last_line, entries, listed, refused, unpacked


def test_birds_have_their_ids_and_boxes(tmp_path: Path) -> None:
    name = f"{ALBATROSS}/Black_footed_Albatross"
    box = {"bbox_y": "2.0", "bbox_width": "20.0", "bbox_height": "12.5"}
    assert entries("cub_200_2011", tmp_path)[:3] == [
        Entry(f"images/{name}_000{n}_{n}.jpg", "Black_footed_Albatross", split,
              details={"image_id": str(n), "bbox_x": f"{n}.0", **box})
        for n, split in ((1, "train"), (2, "train"), (3, "test"))
    ]  # fmt: skip


def test_birds_need_no_boxes(tmp_path: Path) -> None:
    place = unpacked("cub_200_2011", tmp_path)
    (place / "CUB_200_2011" / "bounding_boxes.txt").unlink()
    assert listed(place)[1].entries[0].details == {"image_id": "1"}


@pytest.mark.parametrize("file", ["image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt"])
def test_lists_of_birds_of_unequal_length_are_refused(tmp_path: Path, file: str) -> None:
    place = unpacked("cub_200_2011", tmp_path)
    drop_last_line(place / "CUB_200_2011" / file)
    error = refused(place)
    assert (error.code, error.why) == ("lists-differ", "'6' stands in images.txt only")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("train_test_split.txt", "3 0", "3 2"),
        ("train_test_split.txt", "3 0", "3"),
        ("images.txt", "6 014", "5 014"),
        ("classes.txt", "2 014", "3 014"),
        ("image_class_labels.txt", "6 2", "6 2.5"),
    ],
)
def test_a_line_of_the_birds_that_cannot_be_is_refused(tmp_path: Path, file: str, old: str, new: str) -> None:
    place = unpacked("cub_200_2011", tmp_path)
    path = place / "CUB_200_2011" / file
    path.write_text(path.read_text().replace(old, new))
    error = refused(place)
    assert (error.code, error.where.startswith(f"{path}:")) == ("list-line", True)


def test_birds_of_north_america_are_not_these_birds(tmp_path: Path) -> None:
    home = unpacked("cub_200_2011", tmp_path) / "CUB_200_2011"
    (home / "hierarchy.txt").write_text("1 0\n")
    assert find_layout(Source(str(home), home)).name != "cub_200_2011"
