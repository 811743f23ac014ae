"""check: what it decides and writes down. What each check finds is tested in tests/checks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fgvr_kit import status
from fgvr_kit.errors import DatasetError, SettingsError
from fgvr_kit.pipeline.check import check
from fgvr_kit.pipeline.init import init
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders, photograph


def tree(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))}


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """train/ and test/ of two classes; two test images are training images, one of them a little smaller."""
    folder = class_folders(
        tmp_path / "pests", {f"{s}/{c}": 0 for s in ("train", "test") for c in ("bee", "wasp")}
    )
    for n, name in enumerate(["bee"] * 8 + ["wasp"] * 8):
        photograph(n).save(folder / "train" / name / f"{n}.png")
    for n, name in enumerate(["bee"] * 3 + ["wasp"] * 3, start=50):
        photograph(n).save(folder / "test" / name / f"{n}.png")
    shutil.copy(folder / "train" / "bee" / "1.png", folder / "test" / "bee" / "copy.png")
    photograph(9).resize((140, 140)).save(folder / "test" / "wasp" / "smaller.jpg", quality=80)
    init(folder, tmp_path)
    return tmp_path


def test_a_leak_fails_and_regroup_mends_it(leaky: Path) -> None:
    before = tree(leaky / "pests")
    with Workspace(leaky) as workspace:
        checked = check(workspace)
        assert checked.failed == {"leak": 2}
        assert {f.path for f in workspace.store.findings("leak")} == {
            "test/bee/copy.png",
            "test/wasp/smaller.jpg",
        }
        mended = check(workspace, regroup=True)
        assert mended.failed == {}
        assert mended.summary.done["moved to the side of their group"] == 2
        sides = {i.path: i.split for i in workspace.store.images()}
        assert (sides["test/bee/copy.png"], sides["test/wasp/smaller.jpg"]) == ("train", "train")
        assert {step.name: step.state for step in status.steps(workspace)}["init"] == "done"
    init(leaky / "pests", leaky)  # the folder still says test
    with Workspace(leaky) as workspace:
        assert {i.path: i.split for i in workspace.store.images()} == sides
        assert {step.name: step.state for step in status.steps(workspace)}["check"] == "done"
    assert tree(leaky / "pests") == before


def test_quarantine_sets_aside_and_release_brings_back(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 0, "wasp": 0})
    for n in range(20):
        photograph(n).save(folder / ("bee" if n % 2 else "wasp") / f"{n}.png")
    shutil.copy(folder / "bee" / "1.png", folder / "wasp" / "torn.png")
    init(folder, tmp_path)
    before = tree(folder)
    with Workspace(tmp_path) as workspace:
        first = check(workspace)
        assert first.failed == {"conflict": 1}
        assert check(workspace).findings == first.findings
        clean = check(workspace, quarantine=True)
        assert clean.failed == {}
        assert clean.summary.done["set aside now"] == 2
        assert {i.path: i.set_aside for i in workspace.store.scanned() if i.set_aside} == {
            "bee/1.png": "quarantined: conflict",
            "wasp/torn.png": "quarantined: conflict",
        }
        assert workspace.store.n_images() == 19
        assert {step.name: step.state for step in status.steps(workspace)}["check"] == "done"
    summary = init(folder, tmp_path)
    assert summary.done["set aside"] == 2
    with Workspace(tmp_path) as workspace:
        back = check(workspace, release=True)
        assert back.summary.done["brought back"] == 2
        assert back.failed == {"conflict": 1}
    assert tree(folder) == before


def test_an_unknown_kind_is_answered_with_the_closest(leaky: Path) -> None:
    for key in ("fail_on", "quarantine"):
        with Workspace(leaky, [f'check.{key}=["leek"]']) as workspace, pytest.raises(SettingsError) as caught:
            check(workspace)
        assert (caught.value.code, "leak" in caught.value.hint) == ("check-kind", True)


def test_what_is_checked_decides_when_it_is_stale(leaky: Path) -> None:
    def state() -> str:
        with Workspace(leaky) as workspace:
            return {step.name: step.state for step in status.steps(workspace)}["check"]

    assert state() == "to do"
    with Workspace(leaky) as workspace:
        check(workspace)
    assert state() == "done"
    table = leaky / "classes.csv"
    written = table.read_text()
    table.write_text(written.replace("bee,bee", "bee,honey bee"))
    assert state() == "stale"
    table.write_text(written)
    assert state() == "done"
    photograph(77).save(leaky / "pests" / "train" / "bee" / "new.png")
    init(leaky / "pests", leaky)
    assert state() == "stale"


def test_a_workspace_without_images_is_told(tmp_path: Path) -> None:
    init(class_folders(tmp_path / "pests", {"bee": 3, "wasp": 3}), tmp_path)
    shutil.rmtree(tmp_path / ".fgvr")
    with Workspace(tmp_path) as workspace, pytest.raises(DatasetError) as caught:
        check(workspace)
    assert caught.value.code == "no-images"


def test_what_fail_on_leaves_out_still_speaks(leaky: Path) -> None:
    with Workspace(leaky, ['check.fail_on=["corrupt"]']) as workspace:
        checked = check(workspace)
        assert checked.failed == {}
        assert checked.summary.done["may its numbers be believed"].startswith("no: leak (2)")
        small = check(workspace, regroup=True).summary.done["may its numbers be believed"]
        assert small.startswith("nothing forbids it, but look first at: ")
        assert "small-test (1)" in small


def test_of_a_leak_only_the_test_image_is_set_aside(leaky: Path) -> None:
    with Workspace(leaky, ['check.quarantine=["leak"]']) as workspace:
        check(workspace, quarantine=True)
        aside = {i.path for i in workspace.store.scanned() if i.set_aside}
        assert "train/wasp/9.png" not in aside
        assert "test/wasp/smaller.jpg" in aside


def test_without_the_image_folder_there_is_no_verdict(leaky: Path) -> None:
    shutil.move(leaky / "pests", leaky / "away")
    with Workspace(leaky) as workspace, pytest.raises(DatasetError) as caught:
        check(workspace)
    assert caught.value.code == "dataset-not-found"
