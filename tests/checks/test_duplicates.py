from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from fgvr_kit.checks import base, duplicates
from fgvr_kit.checks.base import Subject
from fgvr_kit.dataset.forms import in_form
from fgvr_kit.pipeline.check import check
from fgvr_kit.pipeline.init import init
from fgvr_kit.types import ScannedImage, Split
from fgvr_kit.workspace import Workspace
from tests.checks.conftest import Datasets, of_kind, pairs, photographs
from tests.photographs import photograph

SPLIT = ["train/bee/1.png", "train/bee/2.png", "train/wasp/1.png", "train/wasp/2.png"]
SPLIT += ["test/bee/3.png", "test/wasp/3.png"]


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A dataset that brings its own sides, on which nothing is alike."""
    return photographs(tmp_path / "pests", SPLIT)


def nearly(source: Path, target: Path) -> None:
    """A smaller, paler, re-encoded copy."""
    image = Image.open(source).convert("RGB")
    target.parent.mkdir(parents=True, exist_ok=True)
    image.resize((130, 130)).point(lambda value: value * 0.9 + 15).save(target)


def test_a_dataset_without_copies_has_no_findings(datasets: Datasets, split: Path) -> None:
    verdict = duplicates.run(datasets.subject(split))
    assert verdict.findings == []
    assert verdict.told.startswith(
        "no leak, no label conflict, no copy and no near copy inside a class (strongly cut"
    )


def test_a_test_picture_that_is_trained_on_is_a_leak(datasets: Datasets, split: Path) -> None:
    shutil.copy(split / "train/bee/1.png", split / "test/bee/copy.png")
    nearly(split / "train/wasp/1.png", split / "test/wasp/near.jpg")

    verdict = duplicates.run(datasets.subject(split))

    leaks = of_kind(verdict, "leak")
    assert [(f.path, f.other) for f in leaks] == [
        ("test/bee/copy.png", "train/bee/1.png"),
        ("test/wasp/near.jpg", "train/wasp/1.png"),
    ]
    assert leaks[0].value == 1.0
    assert 0.8 < (leaks[1].value or 0) < 1
    assert {f.severity for f in leaks} == {"problem"}
    assert leaks[0].message == "test image test/bee/copy.png and training image train/bee/1.png" + (
        " are the very same picture"
    )
    assert not {"duplicate", "near-duplicate"} & {f.kind for f in verdict.findings}
    assert verdict.figures["leaks"] == {"test/train": 2}
    assert verdict.figures["test images that leak"] == 2
    assert verdict.told.startswith("2 leaks (2 of 4 test images)")
    json.dumps(verdict.figures)


@pytest.mark.parametrize(("form", "called"), [(1, "mirrored"), (3, "turned 180°"), (5, "turned 90°")])
def test_a_mirrored_or_turned_copy_on_another_side_is_a_leak_and_told_as_such(
    datasets: Datasets, split: Path, form: int, called: str
) -> None:
    in_form(Image.open(split / "train/wasp/1.png"), form).save(split / "test/wasp/near.jpg")
    [leak] = duplicates.run(datasets.subject(split)).findings
    assert (leak.kind, leak.path, leak.other) == ("leak", "test/wasp/near.jpg", "train/wasp/1.png")
    assert f"nearly the same picture, {called} (match" in leak.message


def test_a_mirrored_copy_under_another_class_is_a_conflict_unless_left_and_right_matter(
    datasets: Datasets, tmp_path: Path
) -> None:
    folder = photographs(tmp_path / "hands", [f"{side}/{n}.png" for side in ("left", "right") for n in "123"])
    in_form(Image.open(folder / "left/1.png"), 1).save(folder / "right/4.png")
    nearly(folder / "left/2.png", folder / "right/5.jpg")
    upright, mirrored = sorted(
        duplicates.run(datasets.subject(folder)).findings, key=lambda f: "mirrored" in f.message
    )
    assert (mirrored.kind, mirrored.path, mirrored.other) == ("conflict", "left/1.png", "right/4.png")
    assert "left and right" in (mirrored.why or "")
    assert "left and right" not in (upright.why or "")


def test_mirrored_copies_are_drawn_onto_one_side_and_one_that_comes_later_moves_nothing(
    datasets: Datasets, tmp_path: Path
) -> None:
    names = [f"{name}/{n}.png" for name in ("bee", "wasp") for n in range(10)]
    folder = photographs(tmp_path / "pests", names)
    for n in range(5):
        in_form(Image.open(folder / f"bee/{n}.png"), 1 + n).save(folder / f"bee/turned {n}.png")
    first = {i.path: i.split for i in datasets.subject(folder).images}
    assert all(first[f"bee/turned {n}.png"] == first[f"bee/{n}.png"] for n in range(5))
    for n in range(10):
        in_form(Image.open(folder / f"wasp/{n}.png"), 6).save(folder / f"wasp/turned {n}.png")
    subject = datasets.subject(folder)
    then = {i.path: i.split for i in subject.images}
    assert {path: then[path] for path in first} == first
    assert all(then[f"wasp/turned {n}.png"] == first[f"wasp/{n}.png"] for n in range(10))
    assert of_kind(duplicates.run(subject), "leak") == []


def test_every_two_sides_are_told_apart(datasets: Datasets, split: Path) -> None:
    for copy in ("val/bee/a.png", "test/bee/a.png"):
        (split / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(split / "train/bee/1.png", split / copy)
    verdict = duplicates.run(datasets.subject(split))
    assert verdict.figures["leaks"] == {"test/train": 1, "test/val": 1, "val/train": 1}
    assert pairs(verdict, "leak") == {
        ("test/bee/a.png", "train/bee/1.png"),
        ("test/bee/a.png", "val/bee/a.png"),
        ("val/bee/a.png", "train/bee/1.png"),
    }


def test_the_nearest_picture_of_the_other_side_is_shown(datasets: Datasets, split: Path) -> None:
    nearly(split / "train/bee/1.png", split / "test/bee/near.jpg")
    shutil.copy(split / "test/bee/near.jpg", split / "train/bee/same.jpg")
    verdict = duplicates.run(datasets.subject(split))
    assert pairs(verdict, "leak") == {("test/bee/near.jpg", "train/bee/same.jpg")}


def test_regroup_mends_what_is_called_a_leak(
    datasets: Datasets, split: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "names", lambda: ["files", "duplicates", "power"])
    shutil.copy(split / "train/bee/1.png", split / "test/bee/copy.png")
    nearly(split / "train/wasp/1.png", split / "test/wasp/near.jpg")
    subject = datasets.subject(split)
    verdict = check(subject.workspace, regroup=True).verdicts["duplicates"]
    assert verdict.findings == []


def test_a_near_copy_that_is_in_no_group_is_a_leak_too(datasets: Datasets, split: Path) -> None:
    nearly(split / "train/wasp/1.png", split / "test/wasp/near.jpg")
    verdict = duplicates.run(datasets.subject(split, "dataset.group_by=['burst']"))
    [leak] = of_kind(verdict, "leak")
    assert (leak.path, leak.other) == ("test/wasp/near.jpg", "train/wasp/1.png")
    assert "group_by" in (leak.hint or "")


def shot(path: Path, seed: int, second: int) -> None:
    image = photograph(seed)
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "EOS"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"2026:05:01 14:03:{second:02}"
    image.save(path, exif=exif)


def test_a_burst_on_both_sides_is_a_leak(datasets: Datasets, split: Path) -> None:
    shot(split / "train/bee/a.jpg", 70, 10)
    shot(split / "test/bee/b.jpg", 71, 11)
    shot(split / "test/bee/c.jpg", 72, 40)
    [leak] = of_kind(duplicates.run(datasets.subject(split)), "leak")
    assert (leak.path, leak.other) == ("test/bee/b.jpg", "train/bee/a.jpg")
    assert "burst" in leak.message


def test_a_name_on_both_sides_is_a_leak(datasets: Datasets, split: Path) -> None:
    photographs(split, ["train/bee/plant7_a.png", "test/bee/plant7_b.png"], seed=80)
    [leak] = of_kind(
        duplicates.run(datasets.subject(split, "dataset.group_by=['name:^(plant[0-9]+)_']")), "leak"
    )
    assert (leak.path, leak.other) == ("test/bee/plant7_b.png", "train/bee/plant7_a.png")
    assert "name:^(plant[0-9]+)_" in leak.message


def scanned(path: str, split: Split, sha256: str, group: str, **details: str) -> ScannedImage:
    return ScannedImage(path, "bee", split, sha256, 9, 9, 1, 1, group=group, details=details)


def subject_of(datasets: Datasets, folder: Path, images: list[ScannedImage], *overrides: str) -> Subject:
    """Images as a table would bring them, in the workspace of a folder."""
    subject = datasets.subject(folder)
    workspace = Workspace(subject.workspace.root, overrides)
    return replace(subject, workspace=workspace, images=images, alike=())


def test_an_observer_on_both_sides_is_a_leak(datasets: Datasets, split: Path) -> None:
    images = [
        scanned("a.jpg", "train", "a" * 64, "a" * 64, observer="ann {x}"),
        scanned("b.jpg", "train", "b" * 64, "a" * 64, observer="ben"),
        scanned("c.jpg", "test", "c" * 64, "a" * 64, observer="ann {x}"),
    ]
    subject = subject_of(datasets, split, images, "dataset.group_by=['observer']")
    [leak] = of_kind(duplicates.run(subject), "leak")
    assert (leak.path, leak.other) == ("c.jpg", "a.jpg")
    assert leak.message.endswith("have one observer: 'ann {x}'")


def test_a_group_of_the_dataset_on_both_sides_is_a_leak(datasets: Datasets, split: Path) -> None:
    images = [
        scanned("a.jpg", "train", "a" * 64, "plant 17"),
        scanned("b.jpg", "test", "b" * 64, "plant 17"),
        scanned("c.jpg", "test", "c" * 64, "plant 18"),
    ]
    [leak] = of_kind(duplicates.run(subject_of(datasets, split, images)), "leak")
    assert (leak.path, leak.other) == ("b.jpg", "a.jpg")
    assert leak.message.endswith("are of the group 'plant 17'")


def test_copies_of_copies_are_followed_to_the_other_side(datasets: Datasets, split: Path) -> None:
    images = [
        scanned("a.jpg", "train", "a" * 64, "g"),
        scanned("b.jpg", "test", "b" * 64, "g"),
        scanned("c.jpg", "test", "c" * 64, "g"),
    ]
    subject = subject_of(datasets, split, images)
    alike = [("a" * 64, "b" * 64, 0.9), ("b" * 64, "c" * 64, 0.85)]
    verdict = duplicates.run(replace(subject, alike=alike))
    assert pairs(verdict, "leak") == {("b.jpg", "a.jpg"), ("c.jpg", "a.jpg")}
    assert [f.value for f in of_kind(verdict, "leak")] == [0.9, None]
    assert pairs(verdict, "near-duplicate") == {("c.jpg", "b.jpg")}


def test_one_picture_under_two_classes_is_a_conflict(datasets: Datasets, tmp_path: Path) -> None:
    folder = photographs(
        tmp_path / "pests", [f"{name}/{n}.png" for name in ("bee", "wasp") for n in range(3)]
    )
    shutil.copy(folder / "bee/0.png", folder / "wasp/same.png")
    nearly(folder / "bee/1.png", folder / "wasp/near.jpg")

    verdict = duplicates.run(datasets.subject(folder))

    assert pairs(verdict, "conflict") == {("bee/0.png", "wasp/same.png"), ("bee/1.png", "wasp/near.jpg")}
    assert {f.severity for f in verdict.findings} == {"problem"}
    assert all("'bee'" in f.message and "'wasp'" in f.message for f in verdict.findings)
    assert {f.kind for f in verdict.findings} == {"conflict"}


def test_classes_that_were_merged_are_no_conflict(datasets: Datasets, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "pests", ["Honey bee/1.png", "Honey bee/2.png", "ant/1.png", "ant/2.png"])
    (folder / "honey_bee").mkdir()
    shutil.copy(folder / "Honey bee/1.png", folder / "honey_bee/other.png")
    init(folder, tmp_path / "work", merge_spellings=True)
    verdict = duplicates.run(datasets.subject(folder))
    assert pairs(verdict, "conflict") == set()
    assert pairs(verdict, "duplicate") == {("honey_bee/other.png", "Honey bee/1.png")}


def test_copies_inside_a_class_point_to_the_likely_original(datasets: Datasets, tmp_path: Path) -> None:
    folder = photographs(
        tmp_path / "pests", [f"{name}/{n}.png" for name in ("bee", "wasp") for n in range(3)]
    )
    shutil.copy(folder / "bee/0.png", folder / "bee/0 - Copy.png")
    shutil.copy(folder / "bee/0.png", folder / "bee/0 (1).png")
    nearly(folder / "wasp/1.png", folder / "wasp/1 small.jpg")

    verdict = duplicates.run(datasets.subject(folder))

    assert pairs(verdict, "duplicate") == {
        ("bee/0 - Copy.png", "bee/0.png"),
        ("bee/0 (1).png", "bee/0.png"),
    }
    assert pairs(verdict, "near-duplicate") == {("wasp/1 small.jpg", "wasp/1.png")}
    assert {f.severity for f in verdict.findings} == {"warning"}
    assert verdict.told.startswith("no leak, no label conflict, 2 copies and 1 near copy inside a class")


def test_a_large_group_on_both_sides_costs_one_lookup_an_image(datasets: Datasets, split: Path) -> None:
    """40,000 images of one observer: all pairs would be 400 million."""
    images = [
        scanned(f"{n}.jpg", "test" if n % 2 else "train", f"{n:064x}", "ann", observer="ann")
        for n in range(40_000)
    ]
    subject = subject_of(datasets, split, images, "dataset.group_by=['observer']")
    verdict = duplicates.run(subject)
    assert len(of_kind(verdict, "leak")) == 20_000
    assert verdict.figures["share of the test images"] == 1.0
