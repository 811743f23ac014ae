from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.types import Entry
from tests.layouts.unpacked import listed, refused, unpacked


def test_pets_have_their_species_as_parent(tmp_path: Path) -> None:
    _, listing = listed(unpacked("oxford_iiit_pet", tmp_path))
    assert listing.entries[0] == Entry(
        "images/Egyptian_Mau_1.jpg", "Egyptian_Mau", "train", details={"species": "cat"}
    )
    assert listing.classes == {"Egyptian_Mau": {"parent": "cat"}, "american_bulldog": {"parent": "dog"}}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("american_bulldog_3 2 2", "american_bulldog_3 1 2", "label-conflict"),
        ("american_bulldog_3 2 2", "american_bulldog_3 3 2", "label-conflict"),
        ("american_bulldog_3 2 2", "american_bulldog_3 2 3", "label-range"),
        ("american_bulldog_3 2 2", "beagle_3 38 2", "label-range"),
        ("american_bulldog_3 2 2", "american_bulldog_3 two 2", "list-line"),
        ("american_bulldog_3 2 2 2", "american_bulldog_3 2 2", "list-line"),
        ("american_bulldog_3 2 2", "bulldog 2 2", "list-line"),
    ],
)
def test_a_line_of_the_pets_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, code: str) -> None:
    place = unpacked("oxford_iiit_pet", tmp_path)
    path = place / "annotations" / "test.txt"
    path.write_text(path.read_text().replace(old, new))
    assert refused(place).code == code
