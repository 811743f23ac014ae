"""init: where the images lie, where the workspace lies, and which folder paths start from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fgvr_kit.errors import DatasetError, SettingsError, WorkspaceError
from fgvr_kit.pipeline.init import init
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders, picture
from tests.systems import names_are_bytes


def labelled(folder: Path, images: str = "") -> Path:
    """folder/labels.csv and the pictures that it names, in folder/<images>/<class>/."""
    class_folders(folder / images, {"bee": 4, "wasp": 4})
    rows = [f"{c}/{n}.png,{c}" for c in ("bee", "wasp") for n in range(4)]
    table = folder / "labels.csv"
    table.write_text("\n".join(["path,label", *rows]))
    return table


def test_the_workspace_is_named_first(tmp_path: Path) -> None:
    table = labelled(tmp_path / "data")
    for verb in ("made", "brought up to date"):
        done = init(table, tmp_path / "work").done
        assert next(iter(done.items())) == ("workspace", f"{verb} in {tmp_path / 'work'}")


def test_a_table_makes_no_workspace_among_its_images(tmp_path: Path) -> None:
    table = labelled(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    for root in (table.parent, table.parent / "bee", table.parent / "new"):
        with pytest.raises(WorkspaceError) as caught:
            init(table, root)
        assert caught.value.code == "workspace-in-dataset"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_table_makes_a_workspace_beside_the_folder_of_its_images(tmp_path: Path) -> None:
    table = labelled(tmp_path, "photos")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "photos").rglob("*")}
    assert init(table, tmp_path, ['dataset.root="photos"']).done["images"] == 8
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "photos").rglob("*")} == before
    with pytest.raises(WorkspaceError):
        init(table, tmp_path / "photos")


def test_a_root_that_the_layout_has_no_use_for_is_refused(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4})
    with pytest.raises(SettingsError) as caught:
        init(folder, tmp_path / "work", [f'dataset.root="{tmp_path}"'])
    assert caught.value.code == "root-not-used"
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("first", ["", "photos", "{root}/photos/"])
def test_a_root_in_another_spelling_is_no_other_root(tmp_path: Path, first: str) -> None:
    table = labelled(tmp_path, "photos")
    if not first:
        table = table.rename(tmp_path / "photos" / "labels.csv")
    init(table, tmp_path, [f'dataset.root="{first.format(root=tmp_path)}"'] if first else [])
    before = (tmp_path / "fgvr.toml").read_text()
    assert str(tmp_path) not in before
    (tmp_path / "link").symlink_to("photos", target_is_directory=True)
    for other in ("photos", "photos/", "./photos", f"{tmp_path}/photos", f"{tmp_path}/photos/", "link"):
        assert init(table, tmp_path, [f'dataset.root="{other}"']).notices == ()
        assert (tmp_path / "fgvr.toml").read_text() == before
    (tmp_path / "elsewhere").mkdir()
    if first:
        (notice,) = init(table, tmp_path, ['dataset.root="elsewhere"']).notices
        assert notice.code == "settings-kept"


@names_are_bytes
@pytest.mark.parametrize("which", ["images", "root"])
def test_a_place_whose_name_is_no_text_is_refused(tmp_path: Path, which: str) -> None:
    strange = tmp_path / os.fsdecode(b"caf\xe9")
    class_folders(strange / "pests", {"bee": 4, "wasp": 4})
    class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4})
    with pytest.raises(DatasetError) as caught:
        init(
            (strange if which == "images" else tmp_path) / "pests", tmp_path if which == "images" else strange
        )
    assert caught.value.code == "path-encoding"
    assert str(caught.value.where).encode()
    assert not (tmp_path / "fgvr.toml").exists()


@names_are_bytes
def test_a_table_whose_name_is_no_text_is_told_of_all_the_same(tmp_path: Path) -> None:
    table = labelled(tmp_path / "pests" / "photos")
    table.rename(tmp_path / "pests" / os.fsdecode(b"caf\xe9.csv"))
    assert init(tmp_path / "pests", tmp_path).done["recognised by"] == "caf\ufffd.csv lies beside its images"


@names_are_bytes
def test_names_in_the_folder_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    strange = os.fsdecode(b"caf\xe9")
    folder = class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4})
    (folder / strange).mkdir()
    picture(1).save(folder / strange / "1.png")
    (folder / f"{strange}.csv").write_text("path,label\nbee/1.png,bee\n")
    init(folder, tmp_path)
    with Workspace(tmp_path) as workspace:
        assert {image.class_name for image in workspace.store.images()} == {"bee", "wasp"}
