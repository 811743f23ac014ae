from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from fgvr_kit.errors import DatasetError, PluginError
from fgvr_kit.layouts.base import Listing, Source, find_layout
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Skipped
from tests.photographs import class_folders, picture


def listed(place: Path, layout: str = "auto") -> tuple[str, Listing]:
    source = Source(str(place), place, DatasetSettings(layout=layout))
    found = find_layout(source)
    assert found.sign
    return found.name, found.module.read(source)


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["bee", "wasp"], "classes"),
        (["train/bee", "train/wasp", "test/bee"], "splits"),
        (["Training/bee", "Validation/bee", "testing/bee"], "splits"),
        (["trn/bee", "dev/bee", "Test_Set/bee"], "splits"),
        (["train-set/bee", "valid/bee"], "splits"),
        (["train/bee", "train/wasp"], "splits"),
        (["test", "exam"], "classes"),  # a class may be called test
        (["train/bee", "wasp"], "classes"),
    ],
)
def test_layouts_are_told_apart(tmp_path: Path, names: list[str], layout: str) -> None:
    assert listed(class_folders(tmp_path, dict.fromkeys(names, 1)))[0] == layout


def test_split_folders_give_class_and_split(tmp_path: Path) -> None:
    class_folders(tmp_path, {"training/bee": 1, "valid/bee": 1, "test/Vespa crabro": 1})
    _, listing = listed(tmp_path)
    assert [(e.path, e.class_name, e.split) for e in listing.entries] == [
        ("test/Vespa crabro/0.png", "Vespa crabro", "test"),
        ("training/bee/0.png", "bee", "train"),
        ("valid/bee/0.png", "bee", "val"),
    ]
    assert listing.skipped == []


def test_the_user_may_name_the_layout(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/bee": 1, "test/bee": 1})
    assert {e.class_name for e in listed(tmp_path, "classes")[1].entries} == {"train", "test"}
    with pytest.raises(PluginError) as caught:
        listed(tmp_path, "splitz")
    assert caught.value.code == "unknown-layout"
    assert "splits" in caught.value.hint


def test_every_file_left_out_has_its_reason(tmp_path: Path) -> None:
    class_folders(tmp_path, {"bee": 1, "bee/2019/extra": 1, "bee/.ipynb_checkpoints": 1, "__MACOSX/bee": 1})
    for name in ("stray.png", "bee/._0.png", "bee/.DS_Store", "bee/notes.txt", "bee/x.jpg.part", "bee/a.mp4"):
        (tmp_path / name).write_bytes(b"x")
    _, listing = listed(tmp_path)
    assert [e.path for e in listing.entries] == ["bee/0.png", "bee/2019/extra/0.png"]
    assert sorted(listing.skipped, key=lambda s: s.path) == [
        Skipped("__MACOSX/bee/0.png", "in the hidden or system folder '__MACOSX'"),
        Skipped("bee/.DS_Store", "a hidden file"),
        Skipped("bee/._0.png", "a macOS resource fork, not an image"),
        Skipped("bee/.ipynb_checkpoints/0.png", "in the hidden or system folder '.ipynb_checkpoints'"),
        Skipped("bee/a.mp4", "a video, not an image"),
        Skipped("bee/notes.txt", "a text file, not an image"),
        Skipped("bee/x.jpg.part", "an unfinished download, not an image"),
        Skipped("stray.png", "outside any class folder"),
    ]


def test_a_class_name_is_the_same_in_both_unicode_spellings(tmp_path: Path) -> None:
    class_folders(tmp_path, {"ga\u030asefod": 1, "wasp": 1})
    entry = listed(tmp_path)[1].entries[0]
    assert entry.class_name == "g\u00e5sefod"
    assert (tmp_path / entry.path).is_file()


def test_a_line_break_in_a_folder_name_is_no_line_break_in_the_class(tmp_path: Path) -> None:
    class_folders(tmp_path, {"common\n wheat": 1, "wasp": 1})
    assert listed(tmp_path)[1].entries[0].class_name == "common wheat"


def test_a_directory_called_like_an_image_is_walked_into(tmp_path: Path) -> None:
    class_folders(tmp_path, {"bee/x.jpg": 1, "wasp": 1})
    assert [e.path for e in listed(tmp_path)[1].entries] == ["bee/x.jpg/0.png", "wasp/0.png"]


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    class_folders(tmp_path / "elsewhere", {"bee": 2})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bee").symlink_to(tmp_path / "elsewhere" / "bee")
    (tmp_path / "elsewhere" / "bee" / "again").symlink_to(tmp_path / "elsewhere" / "bee")
    _, listing = listed(tmp_path / "data")
    assert [e.path for e in listing.entries] == ["bee/0.png", "bee/1.png"]


def test_a_link_to_a_class_that_is_read_already_is_named(tmp_path: Path) -> None:
    class_folders(tmp_path, {"zebra": 1})
    (tmp_path / "alias").symlink_to(tmp_path / "zebra")
    _, listing = listed(tmp_path)
    assert [e.class_name for e in listing.entries] == ["zebra"]
    assert listing.skipped == [Skipped("alias", "a link to 'zebra', which is read already")]


def test_a_name_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    class_folders(tmp_path, {"bee": 1})
    picture(1).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "bee" / os.fsdecode(b"caf\xe9.png"))
    _, listing = listed(tmp_path)
    assert [e.path for e in listing.entries] == ["bee/0.png"]
    assert listing.skipped == [Skipped("bee/caf\ufffd.png", "a name that is not UTF-8")]


def test_splits_beside_other_folders_are_asked_about(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/bee": 1, "test/bee": 1, "extra": 1})
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path)
    assert caught.value.code == "dataset-layout"
    assert "'extra'" in caught.value.hint
    assert len(listed(tmp_path, "splits")[1].entries) == 2
    assert {e.class_name for e in listed(tmp_path, "classes")[1].entries} == {"train", "test", "extra"}


def test_a_folder_of_tables_beside_the_splits_is_no_class(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/bee": 1, "test/bee": 1})
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.csv").write_text("x")
    assert listed(tmp_path)[0] == "splits"


def test_splits_without_classes_are_no_classes(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train": 2, "test": 2})
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path)
    assert caught.value.code == "dataset-layout"


@pytest.mark.parametrize(("make", "code"), [(None, "dataset-not-found"), ("file", "dataset-is-file")])
def test_what_is_no_dataset_is_refused(tmp_path: Path, make: str | None, code: str) -> None:
    path = tmp_path / "pests"
    if make:
        path.write_text("x")
    with pytest.raises(DatasetError) as caught:
        listed(path)
    assert caught.value.code == code


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "CUB_200_2011.tgz").write_bytes(b"x")
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path / "CUB_200_2011.tgz")
    assert (caught.value.code, "unpack" in caught.value.hint) == ("dataset-is-archive", True)


@pytest.mark.parametrize("beside", ["", "readme.txt", "rain.csv", "labels.csv"])
@pytest.mark.parametrize("way", ["images", "data/All of them"])
def test_a_folder_around_the_folder_of_the_classes_points_to_that(
    tmp_path: Path, way: str, beside: str
) -> None:
    class_folders(tmp_path / way, {"bee": 2, "wasp": 2})
    if beside:
        (tmp_path / beside).write_text(
            "path,label\nx/1.png,bee\n" if beside == "labels.csv" else "month,mm\n1,20\n"
        )
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path)
    assert caught.value.code == ("table-paths" if beside == "labels.csv" else "dataset-one-class")
    assert f"fgvr-kit init {shlex.quote(str(tmp_path / way))}" in caught.value.hint


def test_a_folder_around_the_folder_of_the_splits_points_to_that(tmp_path: Path) -> None:
    class_folders(tmp_path / "data", {"train/bee": 2, "test/bee": 2})
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path)
    assert f"fgvr-kit init {tmp_path / 'data'}" in caught.value.hint


def test_one_class_in_a_folder_is_read_as_it_is(tmp_path: Path) -> None:
    """`init` refuses it; the layout sees only that there is nothing further down to point to."""
    class_folders(tmp_path, {"bee/2019": 2})
    assert {entry.class_name for entry in listed(tmp_path)[1].entries} == {"bee"}
