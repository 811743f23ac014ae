from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgvr_kit.dataset.folder import scan
from fgvr_kit.errors import DatasetError, SettingsError
from fgvr_kit.layouts.base import Listing, Source, find_layout
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Entry, Skipped
from tests.photographs import class_folders, picture


def listed(place: Path, **chosen: str) -> Listing:
    source = Source(str(place), place, DatasetSettings(**chosen))  # type: ignore[arg-type]
    found = find_layout(source)
    assert found.name == "imagefolder"
    listing: Listing = found.module.read(source)
    return listing


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(path.name).save(path)


def json_lines(path: Path, *rows: dict[str, object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_metadata_names_the_class_of_each_image(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "in" / "b.png")
    json_lines(
        tmp_path / "metadata.jsonl",
        {"file_name": "a.png", "label": "bee", "observer": "Ida"},
        {"file_name": "in/b.png", "label": "wasp", "at": [1, 2]},
    )
    listing = listed(tmp_path)
    assert listing.entries == [
        Entry("a.png", "bee", details={"observer": "Ida"}), Entry("in/b.png", "wasp", details={"at": "[1, 2]"})
    ]  # fmt: skip
    images, skipped = scan(listing.root, listing.entries)
    assert ([i.details for i in images], skipped) == ([{"observer": "Ida"}, {"at": "[1, 2]"}], [])


def test_metadata_in_the_folders_of_the_splits_gives_the_split(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        photo(tmp_path / split / "a.png")
        (tmp_path / split / "metadata.csv").write_text("file_name,species\na.png,bee\nb.png,bee\n")
    listing = listed(tmp_path)
    assert sorted((e.file, e.class_name, e.split) for e in listing.entries) == [
        ("test/a.png", "bee", "test"), ("train/a.png", "bee", "train"), ("valid/a.png", "bee", "val")
    ]  # fmt: skip
    assert [(s.path, s.reason) for s in listing.skipped] == [
        ("b.png", "there is no such file (did you mean 'test/a.png')"),
        ("b.png (train/metadata.csv line 3)", "there is no such file (did you mean 'train/a.png')"),
        ("b.png (valid/metadata.csv line 3)", "there is no such file (did you mean 'valid/a.png')"),
    ]


def test_folders_are_the_classes_where_metadata_only_adds_columns(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/bee": 2, "train/wasp": 1, "test/bee": 1})
    photo(tmp_path / "train" / "loose.png")
    (tmp_path / "metadata.csv").write_text(
        "file_name,licence\ntrain/bee/0.png,cc0\ntest/bee/0.png,cc-by\ntrain/loose.png,cc0\n"
    )
    photo(tmp_path / "stray.png")
    listing = listed(tmp_path)
    assert listing.entries == [
        Entry("train/bee/0.png", "bee", "train", details={"licence": "cc0"}),
        Entry("test/bee/0.png", "bee", "test", details={"licence": "cc-by"}),
        Entry("train/bee/1.png", "bee", "train"),
        Entry("train/wasp/0.png", "wasp", "train"),
    ]
    assert listing.skipped == [
        Skipped("train/loose.png", "outside any class folder"), Skipped("stray.png", "outside any class folder")
    ]  # fmt: skip
    assert [(n.code, n.message[:9]) for n in listing.notices] == [("files-unnamed", "2 images ")]


def test_metadata_inside_class_folders_is_read(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/bee": 1, "train/wasp": 1})
    (tmp_path / "train" / "bee" / "metadata.csv").write_text("file_name,place\n0.png,Aarhus\n")
    assert {e.file: dict(e.details) for e in listed(tmp_path).entries} == {
        "train/bee/0.png": {"place": "Aarhus"}, "train/wasp/0.png": {}
    }  # fmt: skip


def test_a_missing_image_is_not_sought_in_another_split(tmp_path: Path) -> None:
    photo(tmp_path / "train" / "a.png")
    photo(tmp_path / "test" / "b.png")
    (tmp_path / "train" / "metadata.csv").write_text("file_name,label\na.png,bee\nb.png,bee\n")
    listing = listed(tmp_path)
    assert [e.file for e in listing.entries] == ["train/a.png"]
    assert [s.path for s in listing.skipped] == ["b.png"]
    assert [n.code for n in listing.notices] == ["files-unnamed"]


def test_without_label_and_without_folders_the_columns_are_told(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,art\na.png,Biene\n")
    with pytest.raises(DatasetError) as caught:
        listed(tmp_path)
    assert (caught.value.code, caught.value.why) == ("table-columns", "its columns: file_name, art")
    assert [e.class_name for e in listed(tmp_path, label_col="art").entries] == ["Biene"]
    with pytest.raises(SettingsError):
        listed(tmp_path, label_col="aart")


def test_metadata_of_another_kind_is_no_sign(tmp_path: Path) -> None:
    class_folders(tmp_path, {"bee": 1, "wasp": 1})
    (tmp_path / "metadata.csv").write_text("author,year\nIda,2026\n")
    (tmp_path / "bee" / "metadata.jsonl").write_text("broken")
    assert find_layout(Source(str(tmp_path), tmp_path)).name == "classes"
    with pytest.raises(DatasetError):
        find_layout(Source("", tmp_path, DatasetSettings(layout="imagefolder"))).module.read(
            Source("", tmp_path / "bee")
        )
