from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.pipeline.extract import extract
from tests.cli.conftest import Shell
from tests.cli.test_schema import check
from tests.pipeline.coins import make_workspace, opened


@pytest.fixture
def coins(shell: Shell) -> Shell:
    with opened(make_workspace(shell.cwd)) as workspace:
        extract(workspace)
        image = workspace.store.images()[0]
        workspace.store.put_correction(image.sha256, "rim_edge", "[bold]smooth[/bold]", "anna")
        (shell.cwd / "first.txt").write_text(image.path)
    return shell


def path(shell: Shell) -> str:
    return (shell.cwd / "first.txt").read_text()


def test_people_see_the_whole_chain(coins: Shell) -> None:
    told = coins("explain", path(coins))
    assert told.code == 0
    for words in (path(coins), "extract/question", "recorded", "ok", "human: anna", "the machine said",
                  "[bold]smooth[/bold]", "description", "not asked yet", "14"):  # fmt: skip
        assert words in told.out, words
    assert "Look at the euro coin" not in told.out
    assert "--attribute" in told.err


@pytest.mark.parametrize("flags", [("--attribute", "rim edge"), ("-v",)])
def test_what_was_sent_and_said_comes_when_it_is_wanted(coins: Shell, flags: tuple[str, ...]) -> None:
    told = coins("explain", path(coins), *flags)
    assert told.code == 0
    assert "Look at the euro coin" in told.out
    assert "max_tokens 64" in told.out


def test_the_end_of_a_path_is_enough_and_a_slip_is_answered(coins: Shell) -> None:
    end = Path(path(coins)).name
    assert coins("explain", end).code == 0
    told = coins("explain", end[:-1] + "x", "--json")
    assert (told.code, told.json["error"]["code"]) == (2, "unknown-image")
    assert end in told.json["error"]["hint"]


def test_json_is_what_its_schema_says(coins: Shell) -> None:
    printed = check(coins, ["explain"], path(coins))["data"]
    assert set(printed) == {"image", "description", "answers", "replies", "missing", "spent"}
    assert printed["image"]["path"] == path(coins)
    assert len(printed["answers"]) == len(printed["replies"]) == 14
    rim = next(one for one in printed["answers"] if one["attribute"] == "rim_edge")
    assert (rim["source"], rim["author"]) == ("human", "anna")
    assert printed["spent"]["calls"] == 14


def test_paths_are_offered_at_tab(coins: Shell) -> None:
    from tests.cli.test_complete import offered

    first = path(coins)
    assert first in offered("explain ", coins.cwd)
    assert offered(f"explain {first[:-1]}", coins.cwd) == [first]
    assert offered("explain nothing/such", coins.cwd) == []
    assert offered("explain 1 --attribute rim", coins.cwd) == ["rim_edge"]


def test_the_next_command_can_be_run(coins: Shell) -> None:
    import shlex

    place = ("-w", str(coins.cwd))
    (command,) = coins("explain", Path(path(coins)).name, *place, "--json").json["next"]
    assert command.endswith(shlex.join(place))
    told = coins(*shlex.split(command)[1:], "--json")
    assert told.code == 0, told.err
    assert len(told.json["data"]["replies"]) == 1
    assert "-w" not in coins("explain", path(coins), "--json").json["next"][0]
