from __future__ import annotations

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.errors import RequestRejected
from fgvr_kit.pipeline.extract import extract
from tests.cli.conftest import Shell
from tests.cli.test_schema import check
from tests.pipeline.coins import REPLAY, Said, Scripted, make_workspace, opened, set_attributes, use

SORRY = "I'm sorry, I can't help with that [/red]."


def say(request: Request) -> Said:
    if request.attribute == "motif":
        return RequestRejected("too large", code="request-rejected", hint="a smaller max_pixels", why="413")
    return SORRY if request.attribute == "colour" else "seen"


@pytest.fixture
def coins(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    make_workspace(shell.cwd)
    set_attributes(shell.cwd, "colour", "motif", "rim")
    backend = Scripted(say)
    backend.spec = REPLAY
    use(backend, monkeypatch)
    with opened(shell.cwd) as workspace:
        extract(workspace)
        workspace.keep({"extract.backend": REPLAY})
    return shell


def test_people_see_the_reasons_with_counts_and_the_next_command(coins: Shell) -> None:
    told = coins("errors")
    assert told.code == 0
    assert "refused" in told.out
    assert "a smaller max_pixels" in told.out
    assert SORRY not in told.out
    assert "fgvr-kit attributes extract --retry-failed" in told.err
    assert "(colour)" in told.out
    assert SORRY in coins("errors", "-v").out


def test_json_lists_every_one(coins: Shell) -> None:
    data = check(coins, ["errors"])["data"]
    assert len(data["errors"]) == 12
    assert {row["text"] for row in data["errors"]} == {SORRY, None}
    assert sorted(group["n"] for group in data["groups"]) == [6, 6]
    assert len(check(coins, ["errors"], "--attribute", "colour")["data"]["errors"]) == 6
    assert check(coins, ["errors"], "--purpose", "describe")["data"]["errors"] == []


def test_errors_of_another_backend_are_counted_and_shown_on_request(coins: Shell) -> None:
    data = check(coins, ["errors"], "--set", 'extract.backend="openai:other"')["data"]
    assert (data["errors"], data["outdated"]) == ([], 12)
    assert (
        len(check(coins, ["errors"], "--set", 'extract.backend="openai:other"', "--all")["data"]["errors"])
        == 12
    )


def test_a_step_that_asks_nobody_is_answered(coins: Shell) -> None:
    told = coins("errors", "--purpose", "mine", "--json")
    assert (told.code, told.json["error"]["code"]) == (2, "unknown-purpose")


def test_nothing_failed_is_said(shell: Shell) -> None:
    with opened(make_workspace(shell.cwd)) as workspace:
        extract(workspace)
    told = shell("errors")
    assert told.code == 0
    assert "every reply holds an answer" in told.err
    assert told.out == ""


def test_every_step_of_the_table_can_be_asked_for(coins: Shell) -> None:
    assert coins("errors", "--purpose", "guess", "--json").json["error"]["code"] == "unknown-purpose"
    failure = {"key": "1", "purpose": "guess", "subject": None, "attribute": None, "backend": REPLAY,
               "code": "rate", "message": "too many", "why": None, "hint": "wait"}  # fmt: skip
    with opened(coins.cwd) as workspace:
        workspace.store.put_failures([failure])
    data = check(coins, ["errors"], "--purpose", "guess")["data"]
    assert [row["purpose"] for row in data["errors"]] == ["guess"]
