from __future__ import annotations

from pathlib import Path

from fgvr_kit.types import Entry
from tests.layouts.unpacked import drop_last_line, listed, refused, unpacked


def test_aircraft_have_their_family_as_parent(tmp_path: Path) -> None:
    _, listing = listed(unpacked("fgvc_aircraft", tmp_path) / "fgvc-aircraft-2013b")
    assert listing.entries[0] == Entry(
        "data/images/0034309.jpg", "737-200", "train",
        details={"family": "Boeing 737", "manufacturer": "Boeing", "bbox_xmin": "3", "bbox_ymin": "2",
                 "bbox_xmax": "30", "bbox_ymax": "20"},
    )  # fmt: skip
    assert listing.classes == {"737-200": {"parent": "Boeing 737"}, "F/A-18": {"parent": "Boeing F/A"}}


def test_aircraft_need_only_the_variants(tmp_path: Path) -> None:
    data = unpacked("fgvc_aircraft", tmp_path) / "fgvc-aircraft-2013b" / "data"
    for path in [*data.glob("images_family_*"), *data.glob("images_manufacturer_*"), data / "images_box.txt"]:
        path.unlink()
    name, listing = listed(data)
    assert (name, listing.classes) == ("fgvc_aircraft", {})
    assert listing.entries[0] == Entry("images/0034309.jpg", "737-200", "train")


def test_lists_of_aircraft_of_unequal_length_are_refused(tmp_path: Path) -> None:
    place = unpacked("fgvc_aircraft", tmp_path)
    drop_last_line(place / "fgvc-aircraft-2013b" / "data" / "images_family_test.txt")
    assert refused(place).code == "lists-differ"


def test_an_aircraft_has_a_known_variant(tmp_path: Path) -> None:
    place = unpacked("fgvc_aircraft", tmp_path)
    (place / "fgvc-aircraft-2013b" / "data" / "variants.txt").write_text("737-200\n")
    error = refused(place)
    assert (error.code, "'F/A-18'" in error.message) == ("label-range", True)
