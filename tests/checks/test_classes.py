from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fgvr_kit.checks import classes
from fgvr_kit.checks.base import Verdict
from fgvr_kit.edited import read_csv, write_csv
from fgvr_kit.types import Skipped
from tests.checks.conftest import Datasets, of_kind
from tests.photographs import class_folders


def split(folder: Path, **counts: tuple[int, int]) -> Path:
    """class -> (training, test) images."""
    wanted = {
        f"{side}/{name}": n[s] for name, n in counts.items() for s, side in enumerate(("train", "test"))
    }
    return class_folders(folder, {place: n for place, n in wanted.items() if n})


def messages(verdict: Verdict, kind: str) -> list[str]:
    return [finding.message for finding in of_kind(verdict, kind)]


def kinds(verdict: Verdict) -> set[str]:
    return {finding.kind for finding in verdict.findings}


def test_classes_of_like_size_have_no_findings(datasets: Datasets, tmp_path: Path) -> None:
    verdict = classes.run(datasets.subject(split(tmp_path / "pests", bee=(12, 3), wasp=(10, 4))))
    assert verdict.findings == []
    assert verdict.told == "2 classes of 14 to 15 images each, 10 to 12 to train on, 3 to 4 to test"
    assert verdict.figures["classes"] == {"bee": {"train": 12, "test": 3}, "wasp": {"train": 10, "test": 4}}
    json.dumps(verdict.figures)


def test_few_training_images_are_pointed_out(datasets: Datasets, tmp_path: Path) -> None:
    folder = split(tmp_path / "pests", bee=(12, 3), wasp=(9, 3), ant=(1, 1))
    found = of_kind(classes.run(datasets.subject(folder)), "small-class")
    assert [(f.message.split(";")[0], f.value) for f in found] == [
        ("'ant' has 1 training image", 1.0),
        ("'wasp' has 9 training images", 9.0),
    ]


def test_few_shots_that_were_asked_for_are_not(datasets: Datasets, tmp_path: Path) -> None:
    folder = split(tmp_path / "pests", bee=(12, 3), wasp=(9, 3), ant=(3, 1))
    found = messages(classes.run(datasets.subject(folder, "dataset.shots=4")), "small-class")
    assert found == ["'ant' has 3 training images; 4 are asked for"]


@pytest.mark.parametrize(("n_large", "told"), [(20, []), (21, ["21 and 2"])])
def test_imbalance_is_pointed_out_above_its_limit(
    datasets: Datasets, tmp_path: Path, n_large: int, told: list[str]
) -> None:
    folder = split(tmp_path / "pests", bee=(n_large, 1), wasp=(2, 1))
    verdict = classes.run(datasets.subject(folder))
    assert [m.split(": ")[1] for m in messages(verdict, "imbalance")] == told
    assert verdict.figures["imbalance"] == n_large / 2


def test_classes_without_a_side_are_named(datasets: Datasets, tmp_path: Path) -> None:
    folder = split(tmp_path / "pests", bee=(12, 3), wasp=(12, 0), ant=(0, 4))
    verdict = classes.run(datasets.subject(folder))
    assert messages(verdict, "class-no-test") == [
        "'wasp' has 12 images, which are all kept from the test: none to test on"
    ]
    assert messages(verdict, "class-no-train") == [
        "'ant' has 4 images, which are all held out: none to train on"
    ]
    assert kinds(verdict) == {"class-no-test", "class-no-train"}


def test_a_class_of_one_image_cannot_be_tested(datasets: Datasets, tmp_path: Path) -> None:
    verdict = classes.run(datasets.subject(class_folders(tmp_path / "pests", {"bee": 20, "wasp": 1})))
    assert kinds(verdict) == {"class-no-test", "small-class", "imbalance"}


def edit(datasets: Datasets, **cells: dict[str, str]) -> None:
    """class -> cells of its row in classes.csv."""
    path = datasets.root / "work" / "classes.csv"
    columns, rows = read_csv(path, ["class"])
    for row in rows:
        row |= cells.get(row["class"].replace(" ", "_"), {})
    write_csv(path, columns, [[row[c] for c in columns] for row in rows])


@pytest.fixture
def insects(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "pests", {"bee": 15, "wasp": 15, "ant": 15})


def test_labels_that_are_one_name_are_told_until_they_are_told_apart(
    datasets: Datasets, tmp_path: Path
) -> None:
    folder = class_folders(tmp_path / "pests", {"Honey bee": 15, "honey_bee": 14, "wasp": 15})
    verdict = classes.run(datasets.subject(folder))
    assert messages(verdict, "class-spellings") == [
        "'Honey bee' (15 images) and 'honey_bee' (14 images) look like one class in 2 spellings"
    ]
    assert kinds(verdict) == {"class-spellings"}

    edit(datasets, honey_bee={"display_name": "wild honey bee"})
    assert classes.run(datasets.subject(folder)).findings == []


@pytest.mark.parametrize(
    ("bee", "wasp", "severity"),
    [
        ({"display_name": "Flying insect"}, {"display_name": "flying-insect"}, "problem"),
        ({"synonyms": "Imme; wasps"}, {"synonyms": "yellow jacket;imme"}, "warning"),
        ({"synonyms": "Wasp"}, {}, "warning"),
        ({"display_name": "wasp"}, {"display_name": "bee"}, "warning"),
        ({"scientific": "Apis mellifera"}, {"scientific": "apis  mellifera"}, "note"),
    ],
)
def test_a_name_of_two_classes_is_pointed_out(
    datasets: Datasets, insects: Path, bee: dict[str, str], wasp: dict[str, str], severity: str
) -> None:
    datasets.subject(insects)
    edit(datasets, bee=bee, wasp=wasp)
    verdict = classes.run(datasets.subject(insects))
    assert kinds(verdict) == {"class-names"}
    assert {f.severity for f in verdict.findings} == {severity}
    assert all("'bee'" in f.message and "'wasp'" in f.message for f in verdict.findings)


def test_names_of_one_class_may_be_alike(datasets: Datasets, insects: Path) -> None:
    datasets.subject(insects)
    edit(datasets, bee={"display_name": "Bee", "synonyms": "BEE; bee; Imme", "scientific": "Apis"})
    assert classes.run(datasets.subject(insects)).findings == []


def test_a_parent_in_two_spellings_is_pointed_out(datasets: Datasets, insects: Path) -> None:
    datasets.subject(insects)
    edit(datasets, bee={"parent": "Apidae"}, wasp={"parent": "apidae"}, ant={"parent": "Formicidae"})
    verdict = classes.run(datasets.subject(insects))
    assert messages(verdict, "class-parent") == [
        "the parents 'Apidae' (1) and 'apidae' (1) look like one in 2 spellings"
    ]
    assert kinds(verdict) == {"class-parent"}


def test_a_class_that_quarantine_has_emptied_is_named_with_its_reasons(
    datasets: Datasets, tmp_path: Path
) -> None:
    subject = datasets.subject(class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4}))
    reasons = iter(["quarantined: conflict"] * 3 + ["quarantined: damaged"])
    away = [replace(i, set_aside=next(reasons)) for i in subject.images if i.class_name == "bee"]
    rest = [i for i in subject.images if i.class_name != "bee"]
    verdict = classes.run(replace(subject, images=rest, set_aside=away))
    [empty] = of_kind(verdict, "class-empty")
    assert empty.severity == "problem"
    assert "'bee'" in empty.message
    assert "quarantined: conflict 3, quarantined: damaged 1" in empty.message
    assert "--release" in (empty.hint or "")
    assert verdict.figures["empty"] == 1


def test_a_class_all_of_whose_files_are_broken_is_named(datasets: Datasets, tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4, "moth": 0, "notes": 0})
    for n in range(2):
        (folder / "moth" / f"{n}.jpg").touch()
    (folder / "bee" / "x.jpg").touch()  # one of a class that has others
    (folder / "notes" / "readme.txt").write_text("no class")
    [empty] = of_kind(classes.run(datasets.subject(folder)), "class-empty")
    assert empty.severity == "problem"
    assert (
        "'moth' has no image in use: it has 2 images that cannot be used (the file is empty)" in empty.message
    )


def test_a_class_that_is_broken_on_one_side_only_is_not_empty(datasets: Datasets, tmp_path: Path) -> None:
    folder = class_folders(
        tmp_path / "pests", {"train/bee": 4, "train/wasp": 4, "test/wasp": 4, "test/bee": 0}
    )
    (folder / "test" / "bee" / "1.jpg").touch()
    assert of_kind(classes.run(datasets.subject(folder)), "class-empty") == []


def test_a_broken_file_that_a_table_gives_a_class_counts_for_that_class(
    datasets: Datasets, tmp_path: Path
) -> None:
    subject = datasets.subject(class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4}))
    skipped = [Skipped("all/1.jpg", "the file is empty", "image-unreadable", "hornet")]
    [empty] = of_kind(classes.run(replace(subject, skipped=skipped)), "class-empty")
    assert "'hornet'" in empty.message


def test_a_class_without_the_licence_that_was_chosen_is_no_problem(
    datasets: Datasets, tmp_path: Path
) -> None:
    subject = datasets.subject(class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4}))
    away = [replace(subject.images[0], class_name="moth", set_aside="licence: cc-by-nc")]
    [empty] = of_kind(classes.run(replace(subject, set_aside=away)), "class-empty")
    assert empty.severity == "warning"
