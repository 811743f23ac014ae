from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.dataset.classes import CLASS_COLUMNS
from fgvr_kit.edited import read_csv, write_csv
from fgvr_kit.embedding import Clip
from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.mine import fingerprint_of, mine, write_foci
from fgvr_kit.types import Finding
from fgvr_kit.workspace import Workspace
from tests.ejected import ejected
from tests.photographs import class_folders, picture

TOY = ("mine.model=toy-clip", "mine.batch_size=4", "mine.near_copy=1", "train.device=cpu")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = class_folders(tmp_path / "pests", {"bee": 5, "wasp": 5, "ant": 5})
    init(folder, tmp_path / "work")
    return other(tmp_path / "work")


def other(root: Path | Workspace, *overrides: str) -> Workspace:
    return Workspace(root.root if isinstance(root, Workspace) else root, [*TOY, *overrides])


def set_class(workspace: Workspace, name: str, **cells: str) -> None:
    path = workspace.root / "classes.csv"
    rows = read_csv(path, CLASS_COLUMNS)[1]
    table = [row | (cells if row["class"] == name else {}) for row in rows]
    write_csv(path, CLASS_COLUMNS, [[row[c] for c in CLASS_COLUMNS] for row in table])


def tables(workspace: Workspace) -> tuple[Any, Any]:
    return workspace.store.negatives(), workspace.store.options()


def test_mining_fills_both_tables_and_says_what_it_rests_on(workspace: Workspace, cache_folder: Path) -> None:
    mined = mine(workspace)
    store = workspace.store
    assert {len(negatives) for negatives in store.negatives().values()} == {2}
    assert set(store.negatives()) == {image.id for image in store.images("train")}
    assert {len(options) for options in store.options().values()} == {3}
    assert set(store.options()) == {image.id for image in store.images("test")}
    assert [n for some in store.negatives().values() for n in some] == mined.negatives
    assert mined.summary.notes == ("toy-clip: untrained toy model",)
    assert store.walk()["mine"]["summary"]["notes"] == ["toy-clip: untrained toy model"]
    assert {notice.code for notice in mined.summary.notices} == {"few-negatives", "few-options"}
    assert json.dumps(mined.summary.as_dict())


def test_a_second_run_changes_nothing_and_loads_no_model(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    first, before = mine(workspace), tables(workspace)

    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded although every vector is stored")

    monkeypatch.setattr(Clip, "_load", refuse)
    assert mine(other(workspace)) == first
    assert tables(workspace) == before
    assert workspace.store.walk()["mine"]["fingerprint"] == fingerprint_of(workspace)


def test_a_killed_run_ends_alike(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    workspace.close()
    shutil.copytree(workspace.root, tmp_path / "whole")
    encode, n_calls = Clip._encode_images, 0

    def dying(self: Clip, pixels: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 3:
            raise KeyboardInterrupt
        return encode(self, pixels)

    monkeypatch.setattr(Clip, "_encode_images", dying)
    killed, whole = other(workspace), other(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        mine(killed)
    assert tables(killed) == ({}, {})
    n_calls = 10
    mine(killed)
    n_resumed = n_calls - 10
    n_calls = 10
    mine(whole)
    assert n_resumed == n_calls - 10 - 2
    assert tables(killed) == tables(whole)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("", "no-mine-model"),
        ("ViT-L-14", "mine-model-spec"),
        ("ViT-L-41:openai", "clip-unknown"),
        ("ViT-B-32:no-such-tag", "clip-unknown-weights"),
        ("ViT-B-32:/nowhere/weights.pt", "clip-unreachable"),
    ],
)
def test_a_wrong_clip_model_is_named(workspace: Workspace, model: str, code: str) -> None:
    wrong = other(workspace, f"mine.model='{model}'")
    with pytest.raises(FgvrError) as caught:
        mine(wrong)
    assert caught.value.code == code
    assert caught.value.hint
    assert wrong.store.negatives() == {}


def test_a_prompt_edited_while_images_are_embedded_makes_the_step_stale(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    prompt, embed = ejected(workspace.root, "mine/class"), Clip.rows

    def edit_and_embed(self: Clip, *args: object, **options: object) -> object:
        prompt.write_text(prompt.read_text() + "\nBlurred.")
        return embed(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Clip, "rows", edit_and_embed)
    mine(workspace)
    assert workspace.store.walk()["mine"]["fingerprint"] != fingerprint_of(workspace)


def test_what_decides_the_tables_makes_the_step_stale(workspace: Workspace, cache_folder: Path) -> None:
    path = workspace.store.images("train")[0].path
    changes: list[Any] = [
        lambda: set_class(workspace, "bee", synonyms="honey bee"),
        lambda: set_class(workspace, "bee", parent="insect"),
        lambda: workspace.store.put_duplicates([("a", "b", 0.9)]),
        lambda: workspace.store.put_findings([Finding("wrong-label", "warning", "", path=path)]),
    ]
    seen = [fingerprint_of(workspace)]
    for change in changes:
        change()
        seen.append(fingerprint_of(workspace))
    seen += [
        fingerprint_of(other(workspace, f"mine.{to}"))
        for to in ("seed=1", "near_copy=0.5", "prompt=mine/ensemble")
    ]
    assert len(set(seen)) == len(seen)
    assert fingerprint_of(other(workspace, "mine.workers=1", "mine.batch_size=2")) == fingerprint_of(
        workspace
    )


def test_guards_are_told_in_the_table(workspace: Workspace, cache_folder: Path) -> None:
    set_class(workspace, "bee", synonyms="Wasp")
    mined = mine(workspace)
    related = [i.id for i in workspace.store.images("train") if i.class_name in ("bee", "wasp")]
    assert {n.class_name for n in mined.negatives if n.image_id in related} == {"ant"}
    assert ("candidates: synonym", len(related), mined.drops[0].why) in mined.summary.dropped
    assert {len(some) for some in workspace.store.options().values()} == {2, 3}


def test_suspects_of_the_last_check_are_no_negatives(workspace: Workspace, cache_folder: Path) -> None:
    assert not mine(workspace).labels_checked
    suspects = [image for image in workspace.store.images("train") if image.class_name == "bee"]
    workspace.store.put_findings(
        [Finding("wrong-label", "warning", "", path=image.path) for image in suspects]
    )
    mined = mine(workspace)
    assert mined.labels_checked
    assert {n.class_name for n in mined.negatives} == {"ant", "wasp"}


def test_all_images_alike_is_an_error_and_nothing_is_stored(tmp_path: Path, cache_folder: Path) -> None:
    for name in ("bee", "wasp"):
        for split in ("train", "test"):
            (tmp_path / "pests" / split / name).mkdir(parents=True)
            for i in range(2):
                picture(f"test {name} {i}" if split == "test" else "same").save(
                    tmp_path / "pests" / split / name / f"{i}.png"
                )
    init(tmp_path / "pests", tmp_path / "work")
    with other(tmp_path / "work") as workspace:
        with pytest.raises(FgvrError) as caught:
            mine(workspace)
        assert caught.value.code == "no-negatives-left"
        assert "near_copy" not in (caught.value.hint or "")  # it lets no equal pixels through
        assert tables(workspace) == ({}, {})
        assert "mine" not in workspace.store.walk()


def test_one_class_to_train_on_is_an_error(tmp_path: Path, cache_folder: Path) -> None:
    counts = {"train/bee": 3, "test/bee": 2, "test/wasp": 2}
    init(class_folders(tmp_path / "pests", counts), tmp_path / "work")
    with other(tmp_path / "work") as workspace, pytest.raises(FgvrError) as caught:
        mine(workspace)
    assert caught.value.code == "no-negatives-left"
    assert "only one class" in (caught.value.why or "")


def test_classes_without_training_or_test_images_are_options_only(tmp_path: Path, cache_folder: Path) -> None:
    counts = {"train/bee": 3, "train/wasp": 3, "train/ant": 3, "test/bee": 2, "test/fly": 2}
    init(class_folders(tmp_path / "pests", counts), tmp_path / "work")
    with other(tmp_path / "work") as workspace:
        mined = mine(workspace)
    assert {n.class_name for n in mined.negatives} == {"bee", "wasp", "ant"}
    assert Counter(o.class_name for o in mined.options) == dict.fromkeys(("bee", "wasp", "ant", "fly"), 4)


def test_options_of_a_file_are_taken_as_they_are(workspace: Workspace, cache_folder: Path) -> None:
    set_class(workspace, "bee", synonyms="wasp")  # right answers too; what a file says stands
    image = next(i for i in workspace.store.images("test") if i.class_name == "bee")
    told = {"bee": [{"image": image.path, "options": ["bee", "ant", "wasp"], "groundtruth": "bee"}]}
    (workspace.root / "foci.json").write_text(json.dumps(told))
    reading = other(workspace, "mine.options_file=foci.json")
    mined = mine(reading)
    assert [(o.image_id, o.class_name) for o in mined.options] == [
        (image.id, c) for c in ("bee", "wasp", "ant")
    ]
    assert sorted(o.position for o in mined.options) == [0, 1, 2]
    assert {what for what, _, _ in mined.summary.dropped} >= {"test images"}
    write_foci(reading, workspace.root / "again.json")
    assert json.loads((workspace.root / "again.json").read_text())["bee"] == told["bee"]
    before = fingerprint_of(reading)
    (workspace.root / "foci.json").write_text(json.dumps({**told, "ant": []}))
    assert fingerprint_of(reading) != before


def test_options_that_are_written_are_read_as_the_same_table(
    workspace: Workspace, cache_folder: Path
) -> None:
    mine(workspace)
    before = tables(workspace)
    assert write_foci(workspace, workspace.root / "foci.json") == len(before[1])
    mine(other(workspace, "mine.options_file=foci.json"))
    assert tables(workspace) == before


def test_an_ensemble_of_texts_changes_the_vectors_and_not_the_form(
    workspace: Workspace, cache_folder: Path
) -> None:
    plain = mine(workspace).own_class
    ensemble = mine(other(workspace, "mine.prompt=mine/ensemble")).own_class
    assert plain is not None
    assert ensemble is not None
    assert plain.mean != ensemble.mean


def test_without_its_database_a_workspace_is_to_be_initialised_again(workspace: Workspace) -> None:
    shutil.rmtree(workspace.state)
    with Workspace(workspace.root, ["mine.model=toy-clip"]) as again, pytest.raises(FgvrError) as caught:
        mine(again)
    assert caught.value.code == "no-images"
