from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fgvr_kit.dataset import folder as folder_module
from fgvr_kit.dataset.files import walk
from fgvr_kit.dataset.folder import scan
from fgvr_kit.types import Entry, ScannedImage, Skipped
from tests.photographs import class_folders, picture


def entries_of(root: Path) -> list[Entry]:
    return [Entry(path, path.split("/")[0]) for path in walk(root)]


def known(images: list[ScannedImage]) -> dict[str, ScannedImage]:
    return {image.path: image for image in images}


def test_images_are_known_by_content_not_by_ending(tmp_path: Path) -> None:
    (tmp_path / "bee").mkdir()
    picture(1).save(tmp_path / "bee" / "a.bmp")
    (tmp_path / "bee" / "a.bmp").rename(tmp_path / "bee" / "IMG_0042")
    picture(2).save(tmp_path / "bee" / "b.png")
    (tmp_path / "bee" / "b.png").rename(tmp_path / "bee" / "b.JPG")
    images, skipped = scan(tmp_path, entries_of(tmp_path))
    assert [(i.path, i.file_facts.format) for i in images if i.file_facts] == [
        ("bee/IMG_0042", "BMP"),
        ("bee/b.JPG", "PNG"),
    ]
    assert skipped == []


def test_a_broken_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    class_folders(tmp_path, {"bee": 2})
    (tmp_path / "bee" / "broken.jpg").write_bytes(b"x")
    (tmp_path / "bee" / "empty.jpg").write_bytes(b"")
    (tmp_path / "bee" / "nowhere.jpg").symlink_to(tmp_path / "gone")
    images, skipped = scan(tmp_path, entries_of(tmp_path))
    assert len(images) == 2
    assert skipped == [
        Skipped("bee/broken.jpg", "not an image"),
        Skipped("bee/empty.jpg", "the file is empty"),
        Skipped("bee/nowhere.jpg", "the file is gone, or a link that leads nowhere"),
    ]


def test_a_file_that_vanishes_between_listing_and_reading_is_named(tmp_path: Path) -> None:
    entries = entries_of(class_folders(tmp_path, {"bee": 3}))
    (tmp_path / "bee" / "1.png").unlink()
    images, skipped = scan(tmp_path, entries)
    assert [i.path for i in images] == ["bee/0.png", "bee/2.png"]
    assert skipped == [Skipped("bee/1.png", "the file is gone, or a link that leads nowhere")]


def test_a_second_scan_reads_only_files_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = entries_of(class_folders(tmp_path, {"bee": 3}))
    first, _ = scan(tmp_path, entries)
    picture("new").save(tmp_path / "bee" / "1.png")
    os.utime(tmp_path / "bee" / "1.png", ns=(1, 1))
    opened: list[str] = []
    real = folder_module.read_image
    monkeypatch.setattr(folder_module, "read_image", lambda path: (opened.append(path.name), real(path))[1])

    second, _ = scan(tmp_path, entries, known(first))

    assert opened == ["1.png"]
    assert [a.sha256 == b.sha256 for a, b in zip(first, second, strict=True)] == [True, False, True]
    assert second[0] == first[0]


def test_what_the_dataset_says_wins_over_what_is_known(tmp_path: Path) -> None:
    entries = entries_of(class_folders(tmp_path, {"bee": 1}))
    first, _ = scan(tmp_path, entries)
    aside = {i.path: replace(i, set_aside="quarantined", class_name="wasp", split="test") for i in first}
    again = scan(tmp_path, [replace(entries[0], split="val", details={"observer": "anna"})], aside)[0][0]
    assert (again.set_aside, again.class_name, again.split, again.details) == (
        None,
        "bee",
        "val",
        {"observer": "anna"},
    )


def test_what_was_read_is_handed_over_while_the_scan_runs(tmp_path: Path) -> None:
    entries = entries_of(class_folders(tmp_path, {"bee": 5}))
    kept: list[ScannedImage] = []
    images, _ = scan(tmp_path, entries[:3], keep=kept.extend)
    assert kept == images
    kept.clear()
    scan(tmp_path, entries, known(images), keep=kept.extend)
    assert [i.path for i in kept] == ["bee/3.png", "bee/4.png"]


def test_boxes_of_one_file_are_images_of_their_own_and_the_file_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(1, (40, 30)).save(tmp_path / "a.png")
    boxes = {"1": (0, 0, 10, 10), "2": (5, 5, 40, 30), "3": (0, 0, 41, 30), "4": (0, 0, 1, 9)}
    entries = [Entry("a.png", "bee", box=box, name=name, size=(40, 30)) for name, box in boxes.items()]
    opened: list[Path] = []
    real = folder_module.read_image
    monkeypatch.setattr(folder_module, "read_image", lambda path: (opened.append(path), real(path))[1])
    images, skipped = scan(tmp_path, entries)
    assert len(opened) == 1
    assert [(i.path, i.width, i.height, i.box) for i in images] == [
        ("a.png#1", 10, 10, (0, 0, 10, 10)),
        ("a.png#2", 35, 25, (5, 5, 40, 30)),
    ]
    assert [s.path for s in skipped] == ["a.png#3", "a.png#4"]
    assert images[0].sha256 != images[1].sha256


def test_a_box_of_another_picture_is_left_out(tmp_path: Path) -> None:
    picture(1, (40, 30)).save(tmp_path / "a.png")
    _, skipped = scan(tmp_path, [Entry("a.png", "bee", box=(0, 0, 9, 9), name="1", size=(400, 300))])
    assert skipped == [
        Skipped("a.png#1", "its box was drawn on a picture of 400x300 pixels, this one has 40x30")
    ]


def test_a_box_that_moved_is_read_again(tmp_path: Path) -> None:
    picture(1, (40, 30)).save(tmp_path / "a.png")
    entry = Entry("a.png", "bee", box=(0, 0, 9, 9), name="1")
    first, _ = scan(tmp_path, [entry])
    second, _ = scan(tmp_path, [replace(entry, box=(0, 0, 9, 10))], known(first))
    assert (second[0].height, second[0].sha256 != first[0].sha256) == (10, True)


def test_a_read_only_folder_is_read(tmp_path: Path) -> None:
    class_folders(tmp_path, {"Schädlinge 2026 (neu)": 1})
    (tmp_path / "Schädlinge 2026 (neu)").chmod(0o555)
    assert len(scan(tmp_path, entries_of(tmp_path))[0]) == 1


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path, {"bee": 1, "wasp": 1})
    real = os.scandir

    def guarded(path):  # type: ignore[no-untyped-def]
        if Path(path).name == "wasp":  # root may read everything: tests often run as root
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", guarded)
    skipped: list[Skipped] = []
    assert list(walk(tmp_path, skipped)) == ["bee/0.png"]
    assert skipped == [Skipped("wasp", "a folder that cannot be read (Permission denied)")]
