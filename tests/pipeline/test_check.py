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


def test_a_leak_fails_and_regroup_leaves_the_test_set_of_the_dataset_whole(leaky: Path) -> None:
    before = tree(leaky / "pests")
    with Workspace(leaky) as workspace:
        checked = check(workspace)
        assert checked.failed == {"leak": 2}
        assert {f.path for f in workspace.store.findings("leak")} == {
            "test/bee/copy.png",
            "test/wasp/smaller.jpg",
        }
        tested = {i.path for i in workspace.store.images() if i.split == "test"}
        mended = check(workspace, regroup=True)
        assert mended.failed == {}
        assert "moved to the side of their group" not in mended.summary.done
        assert mended.summary.done["set aside for a held-out image of their group"] == 2
        assert {i.path: i.set_aside for i in workspace.store.scanned() if i.set_aside} == {
            "train/bee/1.png": "quarantined: copy of a test image",
            "train/wasp/9.png": "quarantined: copy of a test image",
        }
        assert {i.path for i in workspace.store.images() if i.split == "test"} == tested
        assert {step.name: step.state for step in status.steps(workspace)}["init"] == "done"
        again = check(workspace, regroup=True)
        assert "set aside for a held-out image of their group" not in again.summary.done
        assert check(workspace, release=True).failed == {"leak": 2}
    assert tree(leaky / "pests") == before


def test_a_copy_that_made_way_stays_away_after_init(leaky: Path) -> None:
    with Workspace(leaky) as workspace:
        check(workspace, regroup=True)
        sides = {i.path: i.split for i in workspace.store.images()}
        assert not {"train/bee/1.png", "train/wasp/9.png"} & set(sides)
        assert (sides["test/bee/copy.png"], sides["test/wasp/smaller.jpg"]) == ("test", "test")
    init(leaky / "pests", leaky)
    with Workspace(leaky) as workspace:
        assert {i.path: i.split for i in workspace.store.images()} == sides
        assert {step.name: step.state for step in status.steps(workspace)}["check"] == "done"


def test_of_a_split_that_was_drawn_the_side_of_most_of_a_group_is_that_of_all(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 0, "wasp": 0})
    for n in range(30):
        plant = n // 3
        photograph(n).save(folder / ("bee" if plant % 2 else "wasp") / f"plant{plant}_{n}.png")
    init(folder, tmp_path)
    settings = tmp_path / "fgvr.toml"
    text = settings.read_text()
    settings.write_text(
        text.replace('group_by = ["duplicate", "burst"]', "group_by = ['name:(plant[0-9]+)_']")
    )
    assert settings.read_text() != text
    init(folder, tmp_path)
    with Workspace(tmp_path) as workspace:
        torn = check(workspace)
        assert torn.failed["leak"] > 0
        mended = check(workspace, regroup=True)
        assert mended.failed == {}
        assert mended.summary.done["moved to the side of their group"] > 0
        assert not any(i.set_aside for i in workspace.store.scanned())
        sides = {i.path: i.split for i in workspace.store.images()}
    init(folder, tmp_path)
    with Workspace(tmp_path) as workspace:
        assert {i.path: i.split for i in workspace.store.images()} == sides


def test_another_image_of_a_test_images_group_makes_way_and_is_not_called_a_copy(tmp_path: Path) -> None:
    folder = class_folders(
        tmp_path / "pests", {f"{s}/{c}": 0 for s in ("train", "test") for c in ("bee", "wasp")}
    )
    for n, side in enumerate(["train"] * 6 + ["test"] * 2):
        for name, first in (("bee", 0), ("wasp", 50)):
            photograph(first + n).save(folder / side / name / f"plant{n}_{name}.png")
    photograph(90).save(folder / "train" / "bee" / "plant7_bee_again.png")
    init(folder, tmp_path, ["dataset.group_by=['name:(plant[0-9]+_[a-z]+)']"])
    with Workspace(tmp_path) as workspace:
        assert check(workspace).failed == {"leak": 1}
        assert check(workspace, regroup=True).failed == {}
        assert [(i.path, i.set_aside) for i in workspace.store.scanned() if i.set_aside] == [
            ("train/bee/plant7_bee_again.png", "quarantined: of one group with a test image")
        ]


@pytest.mark.parametrize("kind", ["duplicate", "near-duplicate"])
def test_copies_are_not_for_the_quarantine_which_would_leave_none(leaky: Path, kind: str) -> None:
    with Workspace(leaky, [f'check.quarantine=["damaged","{kind}"]']) as workspace:
        check(workspace)
        with pytest.raises(SettingsError) as caught:
            check(workspace, quarantine=True)
        assert caught.value.code == "check-quarantine-kind"
        assert kind in caught.value.message
        assert not any(i.set_aside for i in workspace.store.scanned())


def test_a_class_that_the_quarantine_empties_speaks_against_the_dataset(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 0, "wasp": 0, "copies": 0})
    for n in range(20):
        photograph(n).save(folder / ("bee" if n % 2 else "wasp") / f"{n}.png")
    for n in range(2):
        shutil.copy(folder / "bee" / f"{2 * n + 1}.png", folder / "copies" / f"{n}.png")
    init(folder, tmp_path)
    with Workspace(tmp_path) as workspace:
        checked = check(workspace, quarantine=True)
    [empty] = [f for f in checked.findings if f.kind == "class-empty"]
    assert "'copies'" in empty.message
    assert "class-empty (1)" in checked.summary.done["may its numbers be believed"]


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
        assert aside == {"test/wasp/smaller.jpg", "test/bee/copy.png"}


def test_without_the_image_folder_there_is_no_verdict(leaky: Path) -> None:
    shutil.move(leaky / "pests", leaky / "away")
    with Workspace(leaky) as workspace, pytest.raises(DatasetError) as caught:
        check(workspace)
    assert caught.value.code == "dataset-not-found"
