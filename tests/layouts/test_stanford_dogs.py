from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fgvr_kit.types import Entry
from tests.layouts import papers
from tests.layouts.unpacked import listed, refused, unpacked


def test_dogs_have_their_wordnet_id(tmp_path: Path) -> None:
    _, listing = listed(unpacked("stanford_dogs", tmp_path))
    assert listing.entries[0] == Entry(
        "Images/n02085620-Chihuahua/n02085620_7.jpg",
        "Chihuahua",
        "train",
        details={"wordnet_id": "n02085620"},
    )
    assert listing.classes == {
        "Chihuahua": {"note": "WordNet n02085620"},
        "flat-coated_retriever": {"note": "WordNet n02099267"},
    }


def test_the_lists_of_dogs_may_have_a_folder(tmp_path: Path) -> None:
    place = unpacked("stanford_dogs", tmp_path)
    (place / "lists").mkdir()
    for path in place.glob("*.mat"):
        path.rename(place / "lists" / path.name)
    assert len(listed(place)[1].entries) == 6


def test_without_its_lists_the_dogs_are_still_recognised(tmp_path: Path) -> None:
    place = unpacked("stanford_dogs", tmp_path)
    for path in place.glob("*.mat"):
        path.unlink()
    assert refused(place).code == "list-missing"


def test_lists_of_dogs_of_unequal_length_are_refused(tmp_path: Path) -> None:
    place = unpacked("stanford_dogs", tmp_path)
    name = "n02085620-Chihuahua/n02085620_7.jpg"
    papers.mat(place / "file_list.mat", {"file_list": papers.cells([name])})
    assert refused(place).code == "lists-differ"
    labels = np.array([[1], [1]], np.uint8)
    papers.mat(place / "train_list.mat", {"file_list": papers.cells([name]), "labels": labels})
    assert refused(place).code == "lists-differ"


@pytest.mark.parametrize(
    ("file", "label", "code"),
    [
        ("n02085620-Chihuahua/n02085620_9.jpg", 2, "label-conflict"),
        ("n02085936-Maltese_dog/n02085936_9.jpg", 1, "label-conflict"),
        ("n02085936-Maltese_dog/n02085936_9.jpg", 121, "label-range"),
        ("stray.jpg", 1, "list-line"),
        (" ", 1, "list-line"),
    ],
)
def test_a_row_of_the_dogs_that_cannot_be_is_refused(
    tmp_path: Path, file: str, label: int, code: str
) -> None:
    place = unpacked("stanford_dogs", tmp_path)
    rows = {"file_list": papers.cells([file]), "labels": np.array([[label]], np.uint8)}
    papers.mat(place / "test_list.mat", rows)
    assert refused(place).code == code
