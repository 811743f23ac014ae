from __future__ import annotations

from dataclasses import replace

import pytest

from fgvr_kit.dataset.oddities import name_flaws, oddities
from fgvr_kit.types import FileFacts, ScannedImage


def scanned(path: str, name: str = "bee", **changes: object) -> ScannedImage:
    image = ScannedImage(path, name, "train", path, 150, 150, 1, 1, file_facts=FileFacts("JPEG", "RGB"))
    return replace(image, **changes)


def words(*images: ScannedImage) -> list[tuple[str, str]]:
    return [(odd.image.path, odd.word) for odd in oddities(images)]


@pytest.mark.parametrize(
    ("file", "facts", "expected"),
    [
        ("1.jpg", FileFacts("JPEG", "RGB"), []),
        ("1.JPEG", FileFacts("JPEG", "RGB"), []),
        ("1.png", FileFacts("PNG", "RGB"), []),
        ("1.webp", FileFacts("WEBP", "RGB"), []),
        ("1.jpg", FileFacts("MPO", "RGB"), []),
        ("1.v2.jpg", FileFacts("JPEG", "RGB"), []),
        ("1.jpg", FileFacts("PNG", "RGB"), ["wrong-extension"]),
        ("1.dng", FileFacts("TIFF", "RGB"), ["wrong-extension", "rare-format"]),
        ("IMG_0042", FileFacts("JPEG", "RGB"), ["no-extension"]),
        ("scan 2019.05.12", FileFacts("JPEG", "RGB"), ["no-extension"]),
        ("1.jpg.jpg", FileFacts("JPEG", "RGB"), ["double-extension"]),
        ("1.tif", FileFacts("TIFF", "RGB"), ["rare-format"]),
        ("1.jfif", FileFacts("JPEG", "RGB"), ["rare-format"]),
        ("1.heic", FileFacts("HEIF", "RGB"), ["rare-format"]),
        ("1.png", FileFacts("PNG", "I;16"), ["mode-I;16"]),
        ("1.png", FileFacts("PNG", "LAB"), ["mode-LAB"]),
        ("1.jpg", FileFacts("JPEG", "RGB", orientation=6), ["exif-rotated"]),
        ("1.jpg", FileFacts("JPEG", "RGB", orientation=77), []),
        ("1.gif", FileFacts("GIF", "P", frames=9), ["rare-format", "mode-P", "multi-frame"]),
    ],
)
def test_a_file_is_named_for_what_it_is(file: str, facts: FileFacts, expected: list[str]) -> None:
    assert [word for _, word in words(scanned(f"bee/{file}", file_facts=facts))] == expected


@pytest.mark.parametrize(
    ("name", "n_flaws"),
    [
        ("IMG_0001.JPG", 0),
        ("leaf - Copy.jpg", 0),
        ("leaf (1).jpg", 0),
        ("Blüte über Straße.jpg", 0),
        ("花.jpg", 0),
        ("a+b@2x=1~.jpg", 0),
        ('seed, "small".jpg', 1),
        ("100%.jpg", 1),
        ("blume 🌼.jpg", 1),
        ("tab\there.jpg", 1),
        ("no\u00a0break.jpg", 1),
        ("left\u200eto-right.jpg", 1),
        (" leading.jpg", 1),
        ("trailing .jpg", 1),
        ("-rf.jpg", 1),
        ("- what?.jpg", 2),
        ("x" * 97 + ".jpg", 1),
        ("x" * 96 + ".jpg", 0),
        ("a\u030a.jpg", 1),
        ("con.jpg", 1),
        ("icon.jpg", 0),
        ("x.", 1),
        (" ", 2),
        ("...", 1),
    ],
)
def test_names_that_other_tools_stumble_over(name: str, n_flaws: int) -> None:
    assert len(name_flaws(name)) == n_flaws, name_flaws(name)


@pytest.mark.parametrize(
    ("path", "nested"),
    [
        ("bee/1.jpg", False),
        ("bee/more/1.jpg", True),
        ("bee/bee/1.jpg", True),
        ("train/bee/1.jpg", False),
        ("train/bee/2019/1.jpg", True),
        ("images/batch 3/1.jpg", False),  # a table names its class
    ],
)
def test_files_below_the_folder_of_their_class(path: str, nested: bool) -> None:
    assert (words(scanned(path)) == [(path, "nested")]) is nested


def test_a_merged_class_lies_in_the_folder_of_its_label() -> None:
    assert words(scanned("honey_bee/1.jpg", "bee", label="honey_bee")) == []


def test_one_file_name_in_several_classes() -> None:
    images = [scanned("bee/1.jpg"), scanned("wasp/1.jpg", "wasp"), scanned("wasp/2.jpg", "wasp")]
    found = list(oddities(images))
    assert [(o.word, o.image.path, o.other) for o in found] == [
        ("same-name", "bee/1.jpg", "wasp/1.jpg"),
        ("same-name", "wasp/1.jpg", "bee/1.jpg"),
    ]


def test_one_file_name_in_two_folders_of_a_class_loses_nothing_between_classes() -> None:
    assert words(scanned("train/bee/1.jpg"), scanned("test/bee/1.jpg")) == []


@pytest.mark.parametrize(("side", "large"), [(1900, False), (2100, True)])
def test_a_picture_far_larger_than_usual(side: int, large: bool) -> None:
    usual = [scanned(f"bee/{n}.jpg") for n in range(3)]
    found = words(*usual, scanned("bee/large.jpg", width=side, height=side))
    assert found == ([("bee/large.jpg", "size-large")] if large else [])


def test_where_all_are_large_none_is() -> None:
    assert words(*(scanned(f"bee/{n}.jpg", width=4000, height=3000) for n in range(3))) == []


def test_a_file_with_several_boxes_is_told_once() -> None:
    boxes = [
        scanned(f"street.tif#{n}", box=(0, 0, 9, 9), file_facts=FileFacts("TIFF", "RGB")) for n in range(3)
    ]
    assert words(*boxes) == [("street.tif#0", "rare-format")]
