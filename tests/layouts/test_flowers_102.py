from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fgvr_kit.dataset.names import spellings
from fgvr_kit.layouts.flowers_102 import NAMES
from tests.layouts import papers
from tests.layouts.unpacked import entries, refused, unpacked


def test_flowers_follow_their_ids(tmp_path: Path) -> None:
    assert [(e.file, e.class_name, e.split) for e in entries("flowers_102", tmp_path)] == [
        ("jpg/image_00001.jpg", "pink primrose", "train"),
        ("jpg/image_00005.jpg", "blackberry lily", "train"),
        ("jpg/image_00006.jpg", "blackberry lily", "train"),
        ("jpg/image_00002.jpg", "pink primrose", "val"),
        ("jpg/image_00003.jpg", "pink primrose", "test"),
        ("jpg/image_00004.jpg", "pink primrose", "test"),
        ("jpg/image_00007.jpg", "blackberry lily", "test"),
    ]


def test_the_names_of_flowers_are_102_and_none_is_another_in_disguise() -> None:
    assert len(set(NAMES)) == 102
    assert spellings(NAMES) == []
    assert {n: NAMES[n - 1] for n in (1, 12, 51, 77, 89, 102)} == {
        1: "pink primrose", 12: "colt's foot", 51: "petunia", 77: "passion flower", 89: "watercress",
        102: "blackberry lily",
    }  # fmt: skip


def test_a_flower_without_a_label_is_refused(tmp_path: Path) -> None:
    place = unpacked("flowers_102", tmp_path)
    papers.mat(place / "imagelabels.mat", {"labels": np.array([[1, 1, 1, 102]], np.uint8)})
    assert refused(place).code == "lists-differ"


@pytest.mark.parametrize("label", [0, 103])
def test_a_flower_has_one_of_102_labels(tmp_path: Path, label: int) -> None:
    place = unpacked("flowers_102", tmp_path)
    papers.mat(place / "imagelabels.mat", {"labels": np.array([[1, 1, 1, 1, 102, 102, label]], np.uint8)})
    assert refused(place).code == "label-range"
