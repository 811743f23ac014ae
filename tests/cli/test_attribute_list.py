from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.types import Answer
from fgvr_kit.workspace import Workspace
from tests.cli.conftest import Shell
from tests.cli.test_schema import check
from tests.photographs import class_folders

CLASSES = ("ant", "bee", "wasp")


@pytest.fixture
def answered(shell: Shell) -> Path:
    """A workspace whose answers on hue tell the class, and on legs nothing."""
    class_folders(shell.cwd / "pests", {f"train/{name}": 20 for name in CLASSES})
    class_folders(shell.cwd / "pests", {f"test/{name}": 2 for name in CLASSES})
    shell("init", shell.cwd / "pests")
    file = shell.cwd / "attributes.csv"
    file.write_text("attribute,question,status,note\nhue,Which?,,\nlegs,How many?,,\n")
    with Workspace(shell.cwd) as workspace:
        images = workspace.store.images()
        workspace.store.put_answers(
            [Answer(i.id, "hue", f"{i.class_name} brown", None) for i in images]
            + [Answer(i.id, "legs", "six", None) for i in images]
        )
    return file


def test_the_report_says_what_to_keep_and_why(shell: Shell, answered: Path) -> None:
    result = shell("attributes", "report")
    assert result.code == 0, result.err
    legs = next(line for line in result.out.splitlines() if line.startswith("legs"))
    assert "drop" in legs
    assert "constant" in legs
    assert "drop --suggested" in result.err
    assert (shell.cwd / "reports" / "attributes.html").is_file()


def test_the_report_as_json_is_what_its_schema_says(shell: Shell, answered: Path) -> None:
    printed = check(shell, ["attributes", "report"], "--no-page")
    assert [one["suggestion"] for one in printed["data"]["attributes"]] == ["keep", "drop"]
    assert not (shell.cwd / "reports").exists()


def test_commands_that_edit_print_what_their_schema_says(shell: Shell, answered: Path) -> None:
    assert check(shell, ["attributes", "drop"], "legs")["data"]["changes"][0]["after"] == "dropped"
    assert check(shell, ["attributes", "keep"], "legs")["ok"]
    assert check(shell, ["attributes", "merge"], "hue", "legs")["ok"]
    assert not check(shell, ["attributes", "drop"], "lags")["ok"]
    assert not check(shell, ["attributes", "drop"])["ok"]


def test_suggestions_are_dropped_only_when_somebody_agrees(shell: Shell, answered: Path) -> None:
    before = answered.read_text()
    refused = shell("attributes", "drop", "--suggested")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert shell("attributes", "drop", "--suggested", "--dry-run").code == 0
    assert answered.read_text() == before
    assert shell("attributes", "drop", "--suggested", "--yes").code == 0
    assert "legs,How many?,dropped,report: constant" in answered.read_text()


def test_asked_on_a_terminal_no_changes_nothing(
    shell: Shell, answered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answered.read_text()
    monkeypatch.setattr("fgvr_kit.cli.walkthrough.may_ask", lambda **_: True)
    for said in (False, True):
        monkeypatch.setattr("typer.confirm", lambda *_, said=said, **__: said)
        assert shell("attributes", "drop", "--suggested").code == 0
        assert (answered.read_text() != before) is said


def test_names_and_suggestions_at_once_are_refused(shell: Shell, answered: Path) -> None:
    assert shell("attributes", "drop", "legs", "--suggested", "--json").json["error"]["code"] == (
        "attributes-drop-what"
    )


def test_what_becomes_stale_is_said(shell: Shell, answered: Path) -> None:
    from fgvr_kit.pipeline.extract import fingerprint_of
    from fgvr_kit.types import Summary

    with Workspace(shell.cwd) as workspace:
        workspace.store.finish("extract", fingerprint_of(workspace), Summary("extract", {}))
    assert shell("attributes", "drop", "legs", "--dry-run", "--json").json["data"]["stale"] == ["extract"]
    assert "stale: extract" in shell("attributes", "drop", "legs").err
    assert shell("attributes", "drop", "legs", "--json").json["data"]["stale"] == []


def test_names_are_completed(shell: Shell, answered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from fgvr_kit.cli.app import app

    shell("attributes", "drop", "legs")
    for verb, offered, not_offered in (
        ("drop", "hue", "legs"),
        ("keep", "legs", "hue"),
        ("merge", "hue", "legs"),
    ):
        done = CliRunner().invoke(
            app,
            env={
                "_FGVR_KIT_COMPLETE": "complete_bash",
                "COMP_WORDS": f"fgvr-kit attributes {verb} ",
                "COMP_CWORD": "3",
            },
            prog_name="fgvr-kit",
        )
        assert offered in done.stdout.split(), verb
        assert not_offered not in done.stdout.split(), verb


@pytest.mark.parametrize("verb", ["report", "keep", "drop", "merge"])
def test_every_command_has_an_example(shell: Shell, verb: str) -> None:
    assert f"Example: fgvr-kit attributes {verb}" in shell("attributes", verb, "--help").out


def test_a_note_is_told_and_makes_nothing_stale(shell: Shell, answered: Path) -> None:
    from fgvr_kit.pipeline.extract import fingerprint_of
    from fgvr_kit.types import Summary

    with Workspace(shell.cwd) as workspace:
        workspace.store.finish("extract", fingerprint_of(workspace), Summary("extract", {}))
    data = check(shell, ["attributes", "keep"], "hue", "--note", "from above")["data"]
    assert data["changes"][0]["edits"] == [{"column": "note", "before": "", "after": "from above"}]
    assert data["stale"] == []
    told = shell("attributes", "keep", "hue", "--note", "from below")
    assert "'from below', was 'from above'" in told.err
    assert "nothing to change" not in told.err


def test_a_merge_tells_what_it_overwrites_and_whose_corrections_stay(shell: Shell, answered: Path) -> None:
    answered.write_text("attribute,question,superclass\nhue,Which?,cat\nlegs,How many?,dog\n")
    with Workspace(shell.cwd) as workspace:
        workspace.store.put_correction(workspace.store.images()[0].sha256, "legs", "six", "anna")
    told = shell("attributes", "merge", "hue", "legs", "--question", "What of it?", "--dry-run").err
    assert "superclass is '', was 'cat'" in told
    assert "question is 'What of it?', was 'Which?' (kept in column note)" in told
    assert "1 correction by people" in told
