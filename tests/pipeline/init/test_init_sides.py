"""init: which side of the split an image stands on, what is set aside, what is merged, and what a kill costs."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from fgvr_kit.dataset import folder as folder_module
from fgvr_kit.errors import DatasetError, SettingsError
from fgvr_kit.pipeline import init as init_module
from fgvr_kit.pipeline.init import init
from fgvr_kit.store import Store
from fgvr_kit.types import Image as ImageRow
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders, photograph, picture


def images_of(root: Path) -> dict[str, ImageRow]:
    with Workspace(root) as workspace:
        return {image.path: image for image in workspace.store.images()}


def sides_of(root: Path) -> dict[str, str]:
    return {path: image.split for path, image in images_of(root).items()}


def test_a_kept_side_survives_that_the_picture_was_away_moved_or_renamed(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 20, "wasp": 20})
    init(folder, tmp_path)
    before = sides_of(tmp_path)
    shutil.move(folder / "bee", tmp_path / "away")
    class_folders(folder, {"ant": 20})
    init(folder, tmp_path)
    (folder / "bee" / "2019").mkdir(parents=True)
    for n in range(20):
        shutil.move(tmp_path / "away" / f"{n}.png", folder / "bee" / "2019" / f"again {n}.png")
    init(folder, tmp_path)
    after = sides_of(tmp_path)
    assert {n: after[f"bee/2019/again {n}.png"] for n in range(20)} == {
        n: before[f"bee/{n}.png"] for n in range(20)
    }
    assert {p: s for p, s in after.items() if p.startswith("wasp")} == {
        p: s for p, s in before.items() if p.startswith("wasp")
    }


def test_near_copies_stay_on_one_side_and_so_do_those_that_are_added(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 0, "wasp": 0})
    for n in range(12):
        photograph(n).save(folder / "bee" / f"{n}.png")
        photograph(n).resize((120, 90)).save(folder / "bee" / f"{n} small.png")
        photograph(100 + n).save(folder / "wasp" / f"{n}.png")
    summary = init(folder, tmp_path, ["dataset.test=0.5"])
    sides = sides_of(tmp_path)
    assert all(sides[f"bee/{n}.png"] == sides[f"bee/{n} small.png"] for n in range(12))
    assert summary.done["kept on one side of the split"] == "12 images with another of their group"
    for n in range(12):
        with Image.open(folder / "wasp" / f"{n}.png") as image:
            image.save(folder / "wasp" / f"{n}.jpg", quality=90)
    init(folder, tmp_path)
    sides = sides_of(tmp_path)
    assert all(sides[f"wasp/{n}.png"] == sides[f"wasp/{n}.jpg"] for n in range(12))


def test_a_pattern_or_a_column_groups(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 40, "wasp": 40})
    init(folder, tmp_path, ['dataset.group_by=["name:^([0-9])"]', "dataset.test=0.4"])
    sides = sides_of(tmp_path)
    for start in "123":
        of_group = {side for path, side in sides.items() if path.split("/")[1].startswith(start)}
        assert len(of_group) == 1
    assert Counter(sides.values())["test"] > 10


def test_a_column_that_is_not_there_leaves_no_workspace(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4})
    with pytest.raises(SettingsError) as caught:
        init(folder, tmp_path / "work", ['dataset.group_by=["observer"]'])
    assert caught.value.code == "group-by-column"
    assert not (tmp_path / "work").exists()


def test_val_and_shots(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 20, "wasp": 40})
    summary = init(folder, tmp_path, ["dataset.val=0.15", "dataset.shots=4"])
    assert Counter((i.class_name, i.split) for i in images_of(tmp_path).values()) == {
        ("bee", "test"): 4, ("bee", "val"): 3, ("bee", "train"): 4,
        ("wasp", "test"): 8, ("wasp", "val"): 6, ("wasp", "train"): 4,
    }  # fmt: skip
    assert summary.done["set aside"] == 9 + 22
    with Workspace(tmp_path) as workspace:
        assert len(workspace.store.scanned()) == 60
    file = tmp_path / "fgvr.toml"
    file.write_text(file.read_text().replace("shots = 4", "shots = 6"))
    few = {path for path, image in images_of(tmp_path).items() if image.split == "train"}
    init(folder, tmp_path)
    more = {path for path, image in images_of(tmp_path).items() if image.split == "train"}
    assert few < more
    assert len(more) == 12


def test_spellings_are_merged_on_request_only_and_stay_merged(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"Common wheat": 8, "common_wheat": 4, "Charlock": 6})
    summary = init(folder, tmp_path)
    assert [n.code for n in summary.notices] == ["class-spellings"]
    assert {i.class_name for i in images_of(tmp_path).values()} == {
        "Common wheat",
        "common_wheat",
        "Charlock",
    }

    summary = init(folder, tmp_path, merge_spellings=True)
    assert summary.notices == ()
    assert summary.done["labels merged into another class"] == 1
    assert Counter(i.class_name for i in images_of(tmp_path).values()) == {"Common wheat": 12, "Charlock": 6}
    with Workspace(tmp_path) as workspace:
        assert workspace.merges() == {"common_wheat": "Common wheat"}
        assert set(workspace.classes()) == {"Common wheat", "Charlock"}
        assert {i.label for i in workspace.store.scanned()} == {"Common wheat", "common_wheat", "Charlock"}
    text = (tmp_path / "classes.csv").read_text()
    init(folder, tmp_path)
    assert Counter(i.class_name for i in images_of(tmp_path).values())["Common wheat"] == 12
    assert (tmp_path / "classes.csv").read_text() == text


def test_classes_are_merged_by_hand_and_a_merge_into_nothing_is_refused(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "drone": 4, "wasp": 4})
    init(folder, tmp_path)
    table = tmp_path / "classes.csv"
    written = table.read_text()
    table.write_text(written.replace("drone,drone,,,,,,", "drone,drone,,,,,bee,"))
    with Workspace(tmp_path) as workspace:
        stands = workspace.store.walk()["init"]["fingerprint"]
        assert init_module.fingerprint_of(workspace) != stands
    init(folder, tmp_path)
    assert Counter(i.class_name for i in images_of(tmp_path).values()) == {"bee": 8, "wasp": 4}
    for target in ("drone", "bumblebee"):
        table.write_text(written.replace("drone,drone,,,,,,", f"drone,drone,,,,,{target},"))
        with pytest.raises(DatasetError) as caught:
            init(folder, tmp_path)
        assert caught.value.code == "classes-merge"


def test_what_a_long_scan_has_read_before_a_kill_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 300, "wasp": 300})
    monkeypatch.setattr(init_module, "KEEP_FROM", 100)
    opened: list[str] = []
    real = folder_module.read_image

    def dies(path: Path):  # type: ignore[no-untyped-def]
        opened.append(str(path))
        if len(opened) > 400:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(folder_module, "read_image", dies)
    with pytest.raises(KeyboardInterrupt):
        init(folder, tmp_path / "work")
    assert not (tmp_path / "work" / "fgvr.toml").exists()
    opened.clear()
    monkeypatch.setattr(folder_module, "read_image", lambda path: (opened.append(str(path)), real(path))[1])
    init(folder, tmp_path / "work")
    assert 200 <= len(opened) <= 600 - 256
    monkeypatch.setattr(folder_module, "read_image", real)
    init(folder, tmp_path / "undisturbed")
    assert images_of(tmp_path / "work") == images_of(tmp_path / "undisturbed")
    with Store(tmp_path / "work" / ".fgvr" / "fgvr.db") as store:
        assert store.count("scans") == 0


def test_running_again_changes_nothing(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 10, "wasp": 10})
    init(folder, tmp_path)

    def dump() -> dict[str, list[tuple[object, ...]]]:
        with Store(tmp_path / ".fgvr" / "fgvr.db") as store:
            return {
                name: list(store.db.execute(f"select * from [{name}]"))
                for name in store.db.table_names()
                if name != "walk"
            }

    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and ".fgvr" not in p.parts}
    before = dump()
    init(folder, tmp_path)
    assert dump() == before
    assert {p: p.read_bytes() for p in files} == files


def test_a_workspace_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 10, "wasp": 10})
    init(folder, tmp_path)
    before = images_of(tmp_path)
    with Store(tmp_path / ".fgvr" / "fgvr.db") as store:
        store.db.execute("update images set phash = null, thumb = null, format = null, label = null")
        store.db.conn.commit()
        store.forget_sides()
    init(folder, tmp_path)
    assert images_of(tmp_path) == before
    with Workspace(tmp_path) as workspace:
        assert all(image.pixel_facts for image in workspace.store.scanned())


def test_pixels_of_a_picture_that_changed_are_looked_at_again(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4})
    init(folder, tmp_path)
    before = images_of(tmp_path)["bee/1.png"].sha256
    picture("another").save(folder / "bee" / "1.png")
    assert init(folder, tmp_path).done["removed (gone, changed or moved)"] == 1
    assert images_of(tmp_path)["bee/1.png"].sha256 != before


def test_a_group_of_nearly_everything_is_pointed_out(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 20, "wasp": 20})
    summary = init(folder, tmp_path, ['dataset.group_by=["name:(.)png$"]'])
    assert [n.code for n in summary.notices] == ["split-one-group", "class-no-test"]
    assert init(folder, tmp_path, resplit=True).notices == summary.notices
    other = init(folder, tmp_path / "work", ['dataset.group_by=["name:^(.+)[.]png"]'])
    assert other.notices == ()


def test_merging_spellings_again_when_the_rarer_has_become_the_commoner_changes_nothing(
    tmp_path: Path,
) -> None:
    folder = class_folders(tmp_path / "pests", {"Common wheat": 6, "common_wheat": 4, "Charlock": 6})
    init(folder, tmp_path, merge_spellings=True)
    text = (tmp_path / "classes.csv").read_text()
    class_folders(folder, {"common_wheat": 14})
    init(folder, tmp_path, merge_spellings=True)
    assert (tmp_path / "classes.csv").read_text() == text
    assert Counter(i.class_name for i in images_of(tmp_path).values()) == {"Common wheat": 20, "Charlock": 6}


def test_shots_stay_when_images_are_added(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 10, "wasp": 10})
    init(folder, tmp_path, ["dataset.shots=3"])
    before = {path for path, image in images_of(tmp_path).items() if image.split == "train"}
    class_folders(folder, {"bee": 30, "wasp": 30})
    init(folder, tmp_path)
    assert {path for path, image in images_of(tmp_path).items() if image.split == "train"} == before


def test_copies_that_were_connected_by_one_that_is_gone_still_stay_together(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 0, "wasp": 0})
    for n in range(16):
        image, name = photograph(n), folder / ("bee" if n % 2 else "wasp")
        image.save(name / f"{n}.png")
        image.resize((140, 140)).save(name / f"{n} small.png")
        image.resize((120, 150)).save(name / f"{n} narrow.png")
    init(folder, tmp_path, ["dataset.test=0.5"])
    for n in range(16):
        (folder / ("bee" if n % 2 else "wasp") / f"{n}.png").unlink()
    init(folder, tmp_path)
    init(folder, tmp_path, resplit=True)
    sides = {path.split("/")[1]: side for path, side in sides_of(tmp_path).items()}
    assert all(sides[f"{n} small.png"] == sides[f"{n} narrow.png"] for n in range(16))


def test_a_dataset_of_train_and_val_gets_a_stratified_test_side(tmp_path: Path) -> None:
    folder = class_folders(
        tmp_path / "pests", {f"{side}/c{n}": k for n in range(12) for side, k in (("train", 5), ("val", 1))}
    )
    init(folder, tmp_path)
    counts = Counter((i.class_name, i.split) for i in images_of(tmp_path).values())
    assert {n for (_, split), n in counts.items() if split == "test"} == {1}
    assert {n for (_, split), n in counts.items() if split == "train"} == {4}


def test_a_flag_that_is_kept_leaves_init_standing(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 10, "wasp": 10})
    init(folder, tmp_path)
    init(folder, tmp_path, ["dataset.val=0.3"])
    with Workspace(tmp_path) as workspace:
        assert workspace.store.walk()["init"]["fingerprint"] == init_module.fingerprint_of(workspace)


def test_the_layout_of_the_hub_never_writes_into_a_folder(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4})
    before = sorted(folder.rglob("*"))
    with pytest.raises(DatasetError):
        init(folder, tmp_path / "work", ['dataset.layout="huggingface"'])
    assert sorted(folder.rglob("*")) == before


def test_shares_that_leave_nothing_to_train_on_are_refused(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4})
    with pytest.raises(SettingsError):
        init(folder, tmp_path / "work", ["dataset.test=0.6", "dataset.val=0.4"])


def test_an_observer_keeps_the_side_while_all_of_his_pictures_are_away(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "data" / "pests", {"bee": 30, "wasp": 30}).parent
    table = folder / "labels.csv"

    def write_rows(who: range, *more: str) -> None:
        rows = [
            f"pests/{c}/{n}.png,{c},{n % 10}" for c in ("bee", "wasp") for n in range(30) if n % 10 in who
        ]
        table.write_text("\n".join(["path,label,observer", *rows, *more]))

    write_rows(range(10))
    init(table, tmp_path / "work", ['dataset.group_by=["observer"]', "dataset.test=0.4"])
    before = sides_of(tmp_path / "work")
    for who in range(10):
        picture(f"new {who}").save(folder / "pests" / f"{who}.png")
        write_rows(range(5) if who >= 5 else range(5, 10), f"pests/{who}.png,bee,{who}")
        init(table, tmp_path / "work")
        assert sides_of(tmp_path / "work")[f"pests/{who}.png"] == before[f"pests/bee/{who}.png"]
