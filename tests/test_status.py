from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.dataset.attributes import write_attributes
from fgvr_kit.pipeline.describe import describe
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.mine import mine
from fgvr_kit.status import next_command, steps
from fgvr_kit.types import Answer, Attribute, Summary
from fgvr_kit.workspace import Workspace
from tests.ejected import ejected
from tests.photographs import class_folders, picture


def states(root: Path) -> dict[str, str]:
    with Workspace(root) as workspace:
        return {step.name: step.state for step in steps(workspace)}


@pytest.fixture
def root(tmp_path: Path, toy_clip_model: str) -> Path:
    """A workspace in which everything up to mine is done, with template descriptions."""
    folder = class_folders(tmp_path / "pests", {"bee": 5, "wasp": 5})
    init(folder, tmp_path, ["mine.model='toy-clip'", "describe.by='template'", "train.model='toy-vlm'"])
    write_attributes(tmp_path / "attributes.csv", [Attribute("colour", "Which colour?")])
    from fgvr_kit.pipeline import check, discover, extract

    with Workspace(tmp_path) as workspace:
        images = workspace.store.images()
        workspace.store.put_answers([Answer(i.id, "colour", "red", None) for i in images])
        workspace.store.finish("check", check.fingerprint_of(workspace), Summary("check", {}))
        workspace.store.finish("discover", discover.fingerprint_of(workspace), Summary("discover", {}))
        workspace.store.finish("extract", extract.fingerprint_of(workspace), Summary("extract", {}))
        describe(workspace)
        mine(workspace)
    return tmp_path


DONE = dict.fromkeys(("init", "check", "discover", "extract", "describe", "mine"), "done")
TO_DO = dict.fromkeys(("align", "instruct", "eval"), "to do")


def test_what_stands_is_done_and_what_follows_is_next(root: Path) -> None:
    assert states(root) == DONE | TO_DO
    with Workspace(root) as workspace:
        assert next_command(steps(workspace)) == "fgvr-kit train"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("fgvr.toml", "n_negatives = 3", "n_negatives = 1", {"mine"}),
        ("fgvr.toml", "batch_size = 64", "batch_size = 32", set()),
        ("fgvr.toml", 'notes = ""', 'notes = "macro"', {"discover", "extract", "describe"}),
        ("prompts/mine/class.md", "an image of", "a photograph of", {"mine"}),
        ("prompts/describe/template.md", "+++\n", "+++\n", set()),
        ("prompts/extract/question.md", 'about = "', 'about = "Edited. ', set()),
        ("classes.csv", "bee,bee", "bee,Honey bee", {"check", "mine"}),
        ("fgvr.toml", "small_class = 10", "small_class = 5", {"check"}),
        ("fgvr.toml", "shots = 0", "shots = 3", {"init", "check", "extract", "describe", "mine"}),
        ("attributes.csv", "Which colour?", "What colour?", {"extract", "describe"}),
    ],
)
def test_a_change_makes_stale_what_depends_on_it_and_nothing_else(
    root: Path, file: str, old: str, new: str, stale: set[str]
) -> None:
    if file.startswith("prompts/"):
        ejected(root, file.removeprefix("prompts/").removesuffix(".md"))
    edit(root / file, old, new)
    assert {name for name, state in states(root).items() if state == "stale"} == stale


def test_a_new_image_makes_stale_what_looks_at_images(root: Path) -> None:
    picture("new").save(root / "pests" / "bee" / "new.png")
    init(root / "pests", root)
    found = states(root)
    assert {name for name, state in found.items() if state == "stale"} == {
        "check",
        "extract",
        "describe",
        "mine",
    }
    assert found["init"] == "done"


def test_what_is_broken_is_told_where_it_stands(root: Path) -> None:
    (root / "classes.csv").write_text("class,display_name\nbee,x\nwasp,X\n")
    with Workspace(root) as workspace:
        mined = next(step for step in steps(workspace) if step.name == "mine")
    assert mined.state == "stale"
    assert "are both shown as 'X'" in mined.told


def test_images_that_change_sides_leave_the_other_side(root: Path) -> None:
    file = root / "fgvr.toml"
    file.write_text(file.read_text().replace("seed = 0", "seed = 5", 1))
    with Workspace(root) as workspace:
        before = {i.path: i.split for i in workspace.store.images()}
    init(root / "pests", root, resplit=True)
    with Workspace(root) as workspace:
        images = {i.id: i for i in workspace.store.images()}
        assert {i.path: i.split for i in images.values()} != before
        for image_id, negatives in workspace.store.negatives().items():
            assert images[image_id].split == "train"
            assert all(images[n.negative_id].split == "train" for n in negatives)
        assert all(images[image_id].split == "test" for image_id in workspace.store.options())


def test_a_class_that_is_renamed_takes_the_options_that_name_it_with_it(root: Path) -> None:
    (root / "pests" / "wasp").rename(root / "pests" / "hornet")
    init(root / "pests", root)
    assert states(root)["mine"] == "stale"
    with Workspace(root) as workspace:
        assert workspace.store.options() == {}


def test_two_commands_at_once_are_one_too_many(root: Path) -> None:
    from fgvr_kit.errors import WorkspaceError

    with Workspace(root) as one, Workspace(root) as two, one.busy():
        with pytest.raises(WorkspaceError) as caught, two.busy():
            pass
        assert caught.value.code == "workspace-busy"
    with Workspace(root) as two, two.busy():
        pass
