from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.extract import extract, fingerprint_of
from fgvr_kit.pipeline.quality.kept import Change, Edit, corrections_left, drop, keep, lost_options, merge
from fgvr_kit.workspace import Workspace
from tests.pipeline.coins import make_workspace, opened

TABLE = (
    "\ufeffattribute;question;mine;status;note\r\n"
    'hue;"Which; exactly?";=1+1;;\r\n'
    "wing colour;Which?;x;;my own\r\n"
    "legs;How many?;y;;\r\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_workspace(tmp_path)
    (tmp_path / "attributes.csv").write_text(TABLE, newline="")
    return tmp_path


def names(root: Path) -> list[str]:
    with Workspace(root) as workspace:
        return [attribute.name for attribute in workspace.attributes()]


def text(root: Path) -> str:
    return (root / "attributes.csv").read_bytes().decode()


def test_dropping_touches_one_cell(root: Path) -> None:
    with Workspace(root) as workspace:
        assert drop(workspace, ["legs"]) == [Change("legs", "", "dropped")]
    assert names(root) == ["hue", "wing colour"]
    assert text(root) == TABLE.replace("legs;How many?;y;;", "legs;How many?;y;dropped;")


def test_keeping_brings_it_back(root: Path) -> None:
    with Workspace(root) as workspace:
        drop(workspace, ["legs", "hue"])
        assert keep(workspace, ["legs", "hue"]) == [
            Change("legs", "dropped", ""),
            Change("hue", "dropped", ""),
        ]
    assert text(root) == TABLE


def test_a_list_without_a_status_column_is_given_one(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    (tmp_path / "attributes.csv").write_text("attribute,question\nhue,Which?\nlegs,How many?\n")
    with Workspace(tmp_path) as workspace:
        drop(workspace, ["hue"])
    assert text(tmp_path) == "attribute,question,status\nhue,Which?,dropped\nlegs,How many?\n"
    assert names(tmp_path) == ["legs"]


def test_a_reason_is_noted_where_nothing_stands_and_goes_when_it_is_kept(root: Path) -> None:
    with Workspace(root) as workspace:
        drop(workspace, ["legs", "wing colour"], why={"legs": "constant", "wing colour": "constant"})
        assert "legs;How many?;y;dropped;report: constant" in text(root)
        assert "wing colour;Which?;x;dropped;my own" in text(root)
        keep(workspace, ["legs", "wing colour"])
    assert text(root) == TABLE


@pytest.mark.parametrize("wanted", ["Wing_Colour", "wing-colour", " wing colour "])
def test_names_are_found_however_they_are_written(root: Path, wanted: str) -> None:
    with Workspace(root) as workspace:
        assert drop(workspace, [wanted])[0].attribute == "wing colour"


def test_a_typo_is_answered_and_nothing_is_written(root: Path) -> None:
    with Workspace(root) as workspace, pytest.raises(FgvrError) as caught:
        drop(workspace, ["legs", "wing color"])
    assert caught.value.code == "unknown-attribute"
    assert "wing colour" in caught.value.hint
    assert text(root) == TABLE


def test_the_last_attribute_is_not_dropped(root: Path) -> None:
    with Workspace(root) as workspace, pytest.raises(FgvrError) as caught:
        drop(workspace, ["hue", "wing colour", "legs"])
    assert caught.value.code == "attributes-none-left"
    assert text(root) == TABLE


def test_a_dry_run_writes_nothing(root: Path) -> None:
    with Workspace(root) as workspace:
        assert drop(workspace, ["legs"], dry_run=True) == [Change("legs", "", "dropped")]
    assert text(root) == TABLE


def test_what_stands_so_already_is_no_change(root: Path) -> None:
    with Workspace(root) as workspace:
        assert keep(workspace, ["legs"]) == []


def test_merging_asks_for_the_first_only(root: Path) -> None:
    with Workspace(root) as workspace:
        drop(workspace, ["hue"])
        merge(workspace, ["hue", "wing colour"], question="Which hue?")
        assert [(a.name, a.question) for a in workspace.attributes()] == [
            ("hue", "Which hue?"), ("legs", "How many?"),
        ]  # fmt: skip
    assert "wing colour;Which?;x;merged into hue;my own" in text(root)
    assert "hue;Which hue?;=1+1;;question was: Which; exactly?" in text(root).replace('"', "")
    with Workspace(root) as workspace:
        keep(workspace, ["wing colour"])
    assert names(root) == ["hue", "wing colour", "legs"]


def test_merging_under_a_new_name_adds_a_row_and_keeps_the_others(root: Path) -> None:
    with Workspace(root) as workspace:
        changes = merge(workspace, ["hue", "wing colour"], new_name="colours")
        assert [(c.attribute, c.after, c.new) for c in changes] == [
            ("colours", "", True), ("hue", "merged into colours", False),
            ("wing colour", "merged into colours", False),
        ]  # fmt: skip
        assert [(a.name, a.question) for a in workspace.attributes()] == [
            ("legs", "How many?"), ("colours", "Which; exactly?"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("merged", "new_name", "code"),
    [
        (["hue"], None, "merge-one"),
        (["hue", "Hue"], None, "merge-one"),
        (["hue", "legs"], "wing colour", "merge-name"),
        (["hue", "legs"], "general", "merge-name"),
        (["hue", "legs"], " ", "merge-name"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    root: Path, merged: list[str], new_name: str | None, code: str
) -> None:
    with Workspace(root) as workspace, pytest.raises(FgvrError) as caught:
        merge(workspace, merged, new_name=new_name)
    assert caught.value.code == code
    assert text(root) == TABLE


def test_values_that_a_merge_would_lose_are_named(root: Path) -> None:
    (root / "attributes.csv").write_text(
        "attribute,question,options\nhue,Which?,red; blue\ntint,Which?,blue; green\nfree,Which?,\n"
    )
    with Workspace(root) as workspace:
        assert lost_options(workspace, "hue", ["tint", "free"]) == ["green"]
        assert lost_options(workspace, "free", ["tint"]) == []


def test_dropping_makes_extract_stale_and_running_it_again_asks_nothing(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    with opened(tmp_path) as workspace:
        extract(workspace)
        before = fingerprint_of(workspace)
        drop(workspace, ["stars"])
        assert fingerprint_of(workspace) != before
        assert extract(workspace).done["asked now"] == 0
        keep(workspace, ["stars"])
        assert extract(workspace).done["asked now"] == 0
        assert fingerprint_of(workspace) == before


OF_SUPERCLASSES = (
    "attribute,question,superclass,note\ncat_coat,Which?,Cat,soft\nfur,Which fur?,cat,\ndog_coat,Which?,dog,\n"
    "eyes,Which?,,\n"
)


@pytest.mark.parametrize(
    ("merged", "superclass"),
    [
        (["cat_coat", "dog_coat"], ""),
        (["cat_coat", "eyes"], ""),
        (["eyes", "dog_coat"], ""),
        (["cat_coat", "fur"], "Cat"),
    ],
)
@pytest.mark.parametrize("new_name", [None, "coat"])
def test_what_was_asked_of_several_superclasses_is_asked_of_all(
    root: Path, merged: list[str], superclass: str, new_name: str | None
) -> None:
    (root / "attributes.csv").write_text(OF_SUPERCLASSES)
    with Workspace(root) as workspace:
        changes = merge(workspace, merged, new_name=new_name)
        found = {a.name: a.superclass for a in workspace.attributes()}
    assert found[new_name or merged[0]] == superclass
    told = [edit for change in changes for edit in change.edits if edit.column == "superclass"]
    assert told == ([Edit("superclass", "Cat", "")] if merged[0] == "cat_coat" and not superclass else [])


def test_what_a_merge_overwrites_is_noted_behind_what_stands_there(root: Path) -> None:
    (root / "attributes.csv").write_text(OF_SUPERCLASSES)
    with Workspace(root) as workspace:
        merge(workspace, ["cat_coat", "dog_coat"], question="Which coat?")
    assert "cat_coat,Which coat?,,soft; question was: Which?; superclass was: Cat" in text(root)


def test_a_row_of_its_own_overwrites_nothing(root: Path) -> None:
    with Workspace(root) as workspace:
        merge(workspace, ["hue", "legs"], new_name="both", question="Which two?")
        assert {a.name: a.question for a in workspace.attributes()}["both"] == "Which two?"
    assert " was: " not in text(root)
    assert "Which; exactly?" in text(root)


@pytest.mark.parametrize("change", [keep, drop])
def test_a_note_is_a_change(root: Path, change: Callable[..., list[Change]]) -> None:
    with Workspace(root) as workspace:
        (told,) = change(workspace, ["wing colour"], note="seen from above")
        assert told.edits == (Edit("note", "my own", "seen from above"),)
        assert change(workspace, ["wing colour"], note="seen from above") == []


def test_corrections_of_merged_attributes_are_counted(root: Path) -> None:
    with Workspace(root) as workspace:
        for image, name in zip(workspace.store.images(), ("hue", "legs", "legs"), strict=False):
            workspace.store.put_correction(image.sha256, name, "red", "anna")
        assert corrections_left(workspace, merge(workspace, ["hue", "legs"], dry_run=True)) == 2
        assert corrections_left(workspace, merge(workspace, ["hue", "legs"], new_name="both")) == 3
        assert len(workspace.store.corrections()) == 3
