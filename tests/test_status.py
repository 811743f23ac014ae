from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.edited import write_csv
from fgvr_kit.pipeline.describe import describe
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.mine import mine
from fgvr_kit.status import next_command, steps
from fgvr_kit.types import Answer, Summary
from fgvr_kit.workspace import ATTRIBUTE_COLUMNS, Workspace
from tests.photographs import class_folders, picture


def states(root: Path) -> dict[str, str]:
    with Workspace(root) as workspace:
        return {step.name: step.state for step in steps(workspace)}


@pytest.fixture
def root(tmp_path: Path, toy_clip_model: str) -> Path:
    """A workspace in which everything up to mine is done, with template descriptions."""
    folder = class_folders(tmp_path / "pests", {"bee": 5, "wasp": 5})
    init(folder, tmp_path, ["mine.model='toy-clip'", "describe.by='template'", "train.model='toy-vlm'"])
    write_csv(tmp_path / "attributes.csv", ATTRIBUTE_COLUMNS, [["colour", "Which colour?", ""]])
    from fgvr_kit.pipeline import discover, extract

    with Workspace(tmp_path) as workspace:
        images = workspace.store.images()
        workspace.store.put_answers([Answer(i.id, "colour", "red", None) for i in images])
        workspace.store.finish("discover", discover.fingerprint_of(workspace), Summary("discover", {}))
        workspace.store.finish("extract", extract.fingerprint_of(workspace), Summary("extract", {}))
        describe(workspace)
        mine(workspace)
    return tmp_path


DONE = dict.fromkeys(("init", "discover", "extract", "describe", "mine"), "done")
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
        ("fgvr.toml", 'notes = ""', 'notes = "macro"', {"discover", "extract"}),
        ("prompts/mine/class.md", "an image of", "a photograph of", {"mine"}),
        ("prompts/describe/template.md", "+++\n", "+++\n", set()),
        ("prompts/extract/question.md", 'about = "', 'about = "Edited. ', set()),
        ("classes.csv", "bee,bee", "bee,Honey bee", {"mine"}),
        ("attributes.csv", "Which colour?", "What colour?", {"extract"}),
    ],
)
def test_a_change_makes_stale_what_depends_on_it_and_nothing_else(
    root: Path, file: str, old: str, new: str, stale: set[str]
) -> None:
    edit(root / file, old, new)
    assert {name for name, state in states(root).items() if state == "stale"} == stale


def test_a_new_image_makes_stale_what_looks_at_images(root: Path) -> None:
    picture("new").save(root / "pests" / "bee" / "new.png")
    init(root / "pests", root)
    found = states(root)
    assert {name for name, state in found.items() if state == "stale"} == {"extract", "mine"}
    assert found["init"] == "done"
