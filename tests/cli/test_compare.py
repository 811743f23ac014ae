from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgvr_kit.workspace import Workspace
from tests.cli.conftest import Shell
from tests.cli.test_schema import check
from tests.photographs import class_folders

NAME = "extract/general"


@pytest.fixture
def recorded(shell: Shell) -> tuple[str, str, str]:
    """(prompt, draft, backend): of two classes, the draft's replies tell which."""
    class_folders(shell.cwd / "pests", {f"train/{name}": 8 for name in ("bee", "wasp")})
    class_folders(shell.cwd / "pests", {f"test/{name}": 1 for name in ("bee", "wasp")})
    shell("init", shell.cwd / "pests")
    with Workspace(shell.cwd) as workspace:
        draft = shell.cwd / "draft.md"
        draft.write_text(f"{workspace.prompts.file(NAME).read_text()}\nBe exact.\n")
        images = workspace.store.images()
    recording = shell.cwd / "replies.jsonl"
    lines = [
        {"purpose": "extract", "image": image.sha256, "text": f"{image.class_name} stripes"}
        for image in images
    ]
    recording.write_text("\n".join(map(json.dumps, lines)))
    return NAME, str(draft), f"replay:{recording}"


def test_two_prompts_are_compared_and_the_decision_is_on_stdout(
    shell: Shell, recorded: tuple[str, str, str]
) -> None:
    name, draft, backend = recorded
    result = shell("prompts", "compare", name, draft, "--n", "8", "--backend", backend)
    assert result.code == 0, result.err
    assert "no difference that 8 images can show" in result.out
    assert "same replies" in result.out


def test_its_json_is_what_its_schema_says(shell: Shell, recorded: tuple[str, str, str]) -> None:
    name, draft, backend = recorded
    found = check(shell, ["prompts", "compare"], name, draft, "--n", "8", "--backend", backend)
    assert found["data"]["a"]["replies"] == 8
    assert not check(shell, ["prompts", "compare"], name, name)["ok"]


def test_it_ends_partly_done_where_replies_are_held_back(
    shell: Shell, recorded: tuple[str, str, str]
) -> None:
    name, draft, backend = recorded
    args = ("prompts", "compare", name, draft, "--n", "8", "--backend", backend)
    assert shell(*args, "--set", "ask.max_calls=6").code == 4
    assert shell(*args).code == 0


def test_its_help_has_an_example(shell: Shell) -> None:
    assert "Example: fgvr-kit prompts compare" in shell("prompts", "compare", "--help").out


def test_a_file_that_is_not_there_is_answered(shell: Shell, recorded: tuple[str, str, str]) -> None:
    found = shell("prompts", "compare", NAME, str(Path("nowhere.md")), "--json")
    assert found.json["error"]["code"] == "prompt-missing"
