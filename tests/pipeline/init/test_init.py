from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.dataset.names import display_name
from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.init import init
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders, picture


def tree(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))}


def test_a_workspace_is_made_and_the_image_folder_is_left_alone(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"ground_beetle": 10, "wasp": 5})
    before = tree(folder)

    summary = init(folder, tmp_path, ["domain.superclass='pest insect'"])

    assert tree(folder) == before
    assert {p.name for p in tmp_path.iterdir()} == {"pests", "fgvr.toml", "classes.csv", ".fgvr"}
    assert summary.done == {
        "workspace": f"made in {tmp_path}",
        "layout": "<class>/*",
        "recognised by": "2 folders hold images",
        "classes": 2,
        "images": 15,
        "train": 12,
        "test": 3,
        "split": "stratified, seeded, stored",
    }
    with Workspace(tmp_path) as workspace:
        assert workspace.settings.domain.superclass == "pest insect"
        assert workspace.settings.dataset.path == "pests"
        assert {n: c.display_name for n, c in workspace.classes().items()} == {
            "ground_beetle": "ground beetle",
            "wasp": "wasp",
        }


def test_every_setting_stands_in_the_file_with_its_meaning(tmp_path: Path) -> None:
    init(class_folders(tmp_path / "pests", {"bee": 2, "wasp": 2}), tmp_path)
    text = (tmp_path / "fgvr.toml").read_text()
    from fgvr_kit.settings import Settings, sections

    for name, section in sections(Settings()):
        assert f"[{name}]" in text
        for key, field in type(section).model_fields.items():
            assert f"\n{key} = " in text, f"{name}.{key}"
            assert field.description, f"{name}.{key} has no meaning"
            assert f"# {field.description.splitlines()[0]}" in text


def test_running_again_keeps_what_people_edited_and_adds_what_is_new(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 10, "wasp": 10})
    init(folder, tmp_path)
    (tmp_path / "classes.csv").write_text(
        "class,display_name,synonyms,note\nbee,Honey bee,Apis;bees,mine\nwasp,wasp,,\n"
    )
    (tmp_path / "prompts" / "ask").mkdir(parents=True)
    (tmp_path / "prompts" / "ask" / "open.md").write_text("mine")
    (tmp_path / "fgvr.toml").write_text((tmp_path / "fgvr.toml").read_text().replace('"object"', '"insect"'))
    with Workspace(tmp_path) as workspace:
        before = {i.path: (i.id, i.split) for i in workspace.store.images()}
    class_folders(folder, {"ant": 4})
    picture("more").save(folder / "bee" / "more.png")

    summary = init(folder, tmp_path)

    assert summary.done["workspace"] == f"brought up to date in {tmp_path}"
    assert (tmp_path / "prompts" / "ask" / "open.md").read_text() == "mine"
    with Workspace(tmp_path) as workspace:
        assert workspace.settings.domain.superclass == "insect"
        after = {i.path: (i.id, i.split) for i in workspace.store.images()}
        assert {path: after[path] for path in before} == before
        assert len(after) == 25
        classes = workspace.classes()
        assert (classes["bee"].display_name, classes["bee"].synonyms) == ("Honey bee", ("Apis", "bees"))
        assert classes["ant"].display_name == "ant"


def test_splits_of_the_folder_are_used(tmp_path: Path) -> None:
    folder = class_folders(
        tmp_path / "pests", {"train/bee": 3, "train/wasp": 3, "test/bee": 1, "test/wasp": 2}
    )
    summary = init(folder, tmp_path)
    assert (summary.done["layout"], summary.done["train"], summary.done["test"]) == (
        "train|val|test/<class>/*",
        6,
        3,
    )
    assert summary.done["split"] == "from the dataset"
    assert summary.notices == ()


def codes(folder: Path, root: Path) -> list[str]:
    return [notice.code for notice in init(folder, root).notices]


def test_a_folder_without_test_split_gets_one_and_is_told(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"train/bee": 10, "train/wasp": 10})
    assert codes(folder, tmp_path) == ["split-no-test"]
    with Workspace(tmp_path) as workspace:
        assert len(workspace.store.images("test")) == 4


def test_a_class_with_one_image_is_pointed_out_and_trained_on(tmp_path: Path) -> None:
    assert codes(class_folders(tmp_path / "pests", {"bee": 5, "wasp": 1}), tmp_path) == ["class-one-image"]


def test_two_spellings_of_a_class_are_pointed_out(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"Common wheat": 2, "common_wheat": 2, "maize": 2})
    assert codes(folder, tmp_path) == ["class-spellings"]


def test_one_picture_under_two_classes_is_pointed_out(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4})
    picture("same").save(folder / "bee" / "same.png")
    picture("same").save(folder / "wasp" / "same.png")
    assert codes(folder, tmp_path) == ["image-two-classes"]


def test_a_test_image_that_was_trained_on_is_pointed_out(tmp_path: Path) -> None:
    folder = class_folders(
        tmp_path / "pests", {"train/bee": 3, "train/wasp": 3, "test/bee": 1, "test/wasp": 1}
    )
    picture("same").save(folder / "train" / "bee" / "same.png")
    picture("same").save(folder / "test" / "bee" / "same.png")
    assert codes(folder, tmp_path) == ["split-leak"]


@pytest.mark.parametrize(
    ("make", "code", "exit_code"),
    [
        (lambda d: d / "nowhere", "dataset-not-found", 2),
        (lambda d: (d / "a.jpg", (d / "a.jpg").write_text("x"))[0], "dataset-is-file", 2),
        (lambda d: ((d / "empty").mkdir(), d / "empty")[1], "dataset-no-images", 2),
        (lambda d: class_folders(d / "flat", {".": 3}), "dataset-layout", 2),
        (lambda d: class_folders(d / "one", {"bee": 3}), "dataset-one-class", 2),
    ],
)
def test_an_unusable_folder_is_refused_and_nothing_is_written(
    tmp_path: Path, make, code: str, exit_code: int
) -> None:
    root = tmp_path / "work"
    with pytest.raises(FgvrError) as caught:
        init(make(tmp_path), root)
    assert (caught.value.code, caught.value.exit_code) == (code, exit_code)
    assert caught.value.hint
    assert not root.exists()


def test_the_workspace_may_not_lie_in_the_image_folder(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 2, "wasp": 2})
    before = tree(folder)
    for root in (folder, folder / "bee", folder / "new"):
        with pytest.raises(FgvrError) as caught:
            init(folder, root)
        assert caught.value.code == "workspace-in-dataset"
    assert tree(folder) == before


def test_a_workspace_of_another_folder_is_left_alone(tmp_path: Path) -> None:
    init(class_folders(tmp_path / "pests", {"bee": 2, "wasp": 2}), tmp_path)
    other = class_folders(tmp_path / "coins", {"cent": 2, "euro": 2})
    with pytest.raises(FgvrError) as caught:
        init(other, tmp_path)
    assert caught.value.code == "workspace-exists"
    with Workspace(tmp_path) as workspace:
        assert set(workspace.classes()) == {"bee", "wasp"}
    with pytest.raises(FgvrError) as caught:
        init(tmp_path / "pestz", tmp_path)  # a slip of the finger
    assert caught.value.code == "dataset-not-found"


def test_a_killed_init_can_be_run_again(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 2, "wasp": 2})
    init(folder, tmp_path)
    (tmp_path / "classes.csv").unlink()
    (tmp_path / ".fgvr" / "fgvr.db").unlink()
    assert init(folder, tmp_path).done["images"] == 4


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("10_cent", "10 cent"),
        ("Ager-rævehale (Black-grass)", "Ager-rævehale (Black-grass)"),
        ("a__b ", "a b"),
    ],
)
def test_labels_are_written_as_words(label: str, shown: str) -> None:
    assert display_name(label) == shown


def test_settings_given_to_a_workspace_that_exists_are_written_where_only_the_default_stands(
    tmp_path: Path,
) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 4, "wasp": 4})
    init(folder, tmp_path)
    summary = init(folder, tmp_path, ["domain.superclass='insect'", "domain.unit='species'"])
    assert summary.notices == ()
    (notice,) = init(folder, tmp_path, ["domain.superclass='bug'", "domain.unit='species'"]).notices
    assert notice.code == "settings-kept"
    assert "domain.superclass='bug'" in notice.message
    assert "unit" not in notice.message
    with Workspace(tmp_path) as workspace:
        assert workspace.settings.domain.superclass == "insect"


def test_a_flag_that_moves_no_image_of_a_split_that_stands_says_so(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 10, "wasp": 10})
    flags = ["dataset.test=0.5", "dataset.seed=7"]
    init(folder, tmp_path, ["dataset.val=0.1"])
    summary = init(folder, tmp_path, [*flags, "dataset.val=0.1"])
    (notice,) = summary.notices
    assert notice.code == "split-kept"
    assert "--test 0.5 and --set dataset.seed=7" in notice.message
    assert "train 14, val 2, test 4" in notice.message
    assert "--resplit" in notice.hint
    with Workspace(tmp_path) as workspace:
        assert workspace.settings.dataset.test == 0.5
    assert init(folder, tmp_path, flags).notices == ()  # as fgvr.toml has it now
    assert init(folder, tmp_path, ["dataset.shots=3"]).notices == ()
    again = init(folder, tmp_path, resplit=True)
    assert (again.done["test"], again.notices) == (10, ())


def test_shares_given_with_resplit_are_drawn_at_once(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 10, "wasp": 10})
    assert init(folder, tmp_path, ["dataset.test=0.3"]).notices == ()
    file = tmp_path / "fgvr.toml"
    file.write_text(file.read_text().replace("test = 0.3", "test = 0.2"))
    summary = init(folder, tmp_path, ["dataset.test=0.5"], resplit=True)
    assert (summary.done["test"], summary.notices) == (10, ())


def test_shares_of_a_dataset_with_a_split_of_its_own_are_told_to_be_of_no_use(tmp_path: Path) -> None:
    folder = class_folders(
        tmp_path / "pests", {"train/bee": 3, "train/wasp": 3, "test/bee": 1, "test/wasp": 2}
    )
    assert [n.code for n in init(folder, tmp_path, ["dataset.test=0.5"]).notices] == ["split-brought"]
    assert init(folder, tmp_path).notices == ()


def test_the_split_is_drawn_anew_only_on_request(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 10, "wasp": 10})
    init(folder, tmp_path)
    file = tmp_path / "fgvr.toml"
    file.write_text(file.read_text().replace("test = 0.2", "test = 0.5"))
    assert init(folder, tmp_path).done["test"] == 4
    assert init(folder, tmp_path, resplit=True).done["test"] == 10
