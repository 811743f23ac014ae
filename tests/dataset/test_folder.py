from __future__ import annotations

import os
from pathlib import Path

import pytest

from fgvr_kit.dataset import folder as folder_module
from fgvr_kit.dataset.folder import find_layout, scan
from fgvr_kit.errors import DatasetError
from fgvr_kit.types import Skipped
from tests.photographs import class_folders, picture


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["bee", "wasp"], "classes"),
        (["train/bee", "train/wasp", "test/bee"], "splits"),
        (["Training/bee", "Validation/bee", "testing/bee"], "splits"),
        (["train/bee", "train/wasp"], "splits"),
        (["test", "exam"], "classes"),  # a class may be called test
        (["train/bee", "wasp"], "classes"),
    ],
)
def test_layouts_are_told_apart(tmp_path: Path, names: list[str], layout: str) -> None:
    assert find_layout(class_folders(tmp_path, dict.fromkeys(names, 1))) == layout


def test_split_folders_give_class_and_split(tmp_path: Path) -> None:
    class_folders(tmp_path, {"training/bee": 1, "valid/bee": 1, "test/Vespa crabro": 1})
    images, skipped = scan(tmp_path, "splits")
    assert [(i.path, i.class_name, i.split) for i in images] == [
        ("test/Vespa crabro/0.png", "Vespa crabro", "test"),
        ("training/bee/0.png", "bee", "train"),
        ("valid/bee/0.png", "bee", "val"),
    ]
    assert skipped == []


def test_every_file_left_out_has_its_reason(tmp_path: Path) -> None:
    class_folders(tmp_path, {"bee": 1, "bee/2019/extra": 1, "bee/.ipynb_checkpoints": 1, "__MACOSX/bee": 1})
    for name in (
        "stray.png",
        "bee/._0.png",
        "bee/.DS_Store",
        "bee/notes.txt",
        "bee/x.jpg.part",
        "bee/broken.jpg",
    ):
        (tmp_path / name).write_bytes(b"x")
    images, skipped = scan(tmp_path, "classes")
    assert [i.path for i in images] == ["bee/0.png", "bee/2019/extra/0.png"]
    assert skipped == [
        Skipped("__MACOSX/bee/0.png", "in the hidden or system folder '__MACOSX'"),
        Skipped("bee/.DS_Store", "a hidden file"),
        Skipped("bee/._0.png", "a macOS resource fork, not an image"),
        Skipped("bee/.ipynb_checkpoints/0.png", "in the hidden or system folder '.ipynb_checkpoints'"),
        Skipped("bee/broken.jpg", "not an image"),
        Skipped("bee/notes.txt", "a text file, not an image"),
        Skipped("bee/x.jpg.part", "an unfinished download, not an image"),
        Skipped("stray.png", "outside any class folder"),
    ]


def test_images_are_known_by_content_not_by_ending(tmp_path: Path) -> None:
    (tmp_path / "bee").mkdir()
    picture(1).save(tmp_path / "bee" / "a.bmp")
    (tmp_path / "bee" / "a.bmp").rename(tmp_path / "bee" / "IMG_0042")
    picture(2).save(tmp_path / "bee" / "b.png")
    (tmp_path / "bee" / "b.png").rename(tmp_path / "bee" / "b.JPG")
    images, skipped = scan(tmp_path, "classes")
    assert [i.path for i in images] == ["bee/IMG_0042", "bee/b.JPG"]
    assert skipped == []


def test_a_class_name_is_the_same_in_both_unicode_spellings(tmp_path: Path) -> None:
    class_folders(tmp_path, {"ga\u030asefod": 1})
    images, _ = scan(tmp_path, "classes")
    assert images[0].class_name == "g\u00e5sefod"
    assert (tmp_path / images[0].path).is_file()


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    class_folders(tmp_path / "elsewhere", {"bee": 2})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bee").symlink_to(tmp_path / "elsewhere" / "bee")
    (tmp_path / "elsewhere" / "bee" / "again").symlink_to(tmp_path / "elsewhere" / "bee")
    images, _ = scan(tmp_path / "data", "classes")
    assert [i.path for i in images] == ["bee/0.png", "bee/1.png"]


def test_a_second_scan_reads_only_files_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path, {"bee": 3})
    first, _ = scan(tmp_path, "classes")
    picture("new").save(tmp_path / "bee" / "1.png")
    os.utime(tmp_path / "bee" / "1.png", ns=(1, 1))
    opened: list[str] = []
    real = folder_module.open_image
    monkeypatch.setattr(folder_module, "open_image", lambda path: (opened.append(path.name), real(path))[1])

    second, _ = scan(tmp_path, "classes", {i.path: i for i in first})

    assert opened == ["1.png"]
    assert [a.sha256 == b.sha256 for a, b in zip(first, second, strict=True)] == [True, False, True]


def test_a_read_only_folder_is_read(tmp_path: Path) -> None:
    class_folders(tmp_path, {"Schädlinge 2026 (neu)": 1})
    (tmp_path / "Schädlinge 2026 (neu)").chmod(0o555)
    images, _ = scan(tmp_path, "classes")
    assert len(images) == 1


@pytest.mark.parametrize(("make", "code"), [(None, "dataset-not-found"), ("file", "dataset-is-file")])
def test_what_is_no_folder_is_refused(tmp_path: Path, make: str | None, code: str) -> None:
    path = tmp_path / "pests"
    if make:
        path.write_text("x")
    with pytest.raises(DatasetError) as caught:
        scan(path, "classes")
    assert caught.value.code == code
    assert caught.value.exit_code == 2


def test_a_folder_that_is_neither_splits_nor_classes_is_asked_about(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/bee": 1, "test/bee": 1, "extra/bee": 1})
    with pytest.raises(DatasetError) as caught:
        find_layout(tmp_path)
    assert caught.value.code == "dataset-layout"
    assert "'extra'" in caught.value.hint


def test_a_folder_of_tables_beside_the_splits_is_no_class(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/bee": 1, "test/bee": 1})
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.csv").write_text("x")
    assert find_layout(tmp_path) == "splits"


def test_a_link_to_a_class_that_is_read_already_is_named(tmp_path: Path) -> None:
    class_folders(tmp_path, {"zebra": 1})
    (tmp_path / "alias").symlink_to(tmp_path / "zebra")
    images, skipped = scan(tmp_path, "classes")
    assert [i.class_name for i in images] == ["zebra"]
    assert skipped == [Skipped("alias", "a link to 'zebra', which is read already")]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path, {"bee": 1, "wasp": 1})
    real = Path.iterdir

    def guarded(path: Path):  # type: ignore[no-untyped-def]
        if path.name == "wasp":  # root may read everything: tests often run as root
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", guarded)
    images, skipped = scan(tmp_path, "classes")
    assert [i.class_name for i in images] == ["bee"]
    assert skipped == [Skipped("wasp", "a folder that cannot be read (Permission denied)")]
