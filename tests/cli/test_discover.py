from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Shell


def test_a_list_is_taken_over_and_another_one_is_added(shell: Shell, pests: Path) -> None:
    assert shell("init", pests).code == 0
    (shell.cwd / "mine.txt").write_text("wing colour: What colour? [red; blue]\n")
    (shell.cwd / "more.csv").write_text("attribute,question\ncolours of the wing,\nleg count,\n")
    assert shell("attributes", "discover", "--from", "mine.txt").code == 0
    result = shell("attributes", "discover", "--add", "more.csv", "--json")
    (step,) = result.json["data"]["steps"]
    assert (step["done"]["added"], step["done"]["attributes"]) == (1, 2)
    assert step["dropped"] == [["attributes", 1, "in the list already"]]
    rows = (shell.cwd / "attributes.csv").read_text().splitlines()
    assert rows[1:] == [
        "wing_colour,What colour?,red; blue,,,from mine.txt",
        "leg_count,What is the leg count of the object?,,,,from more.csv",
    ]


def test_adding_and_replacing_at_once_is_refused(shell: Shell, pests: Path) -> None:
    shell("init", pests)
    (shell.cwd / "mine.txt").write_text("rim\n")
    result = shell("attributes", "discover", "--add", "mine.txt", "--replace", "--json")
    assert (result.code, result.json["error"]["code"]) == (2, "add-or-replace")


def test_the_plan_of_all_steps_knows_that_a_file_is_read(shell: Shell, pests: Path) -> None:
    shell("init", str(pests))
    (shell.cwd / "mine.txt").write_text("wing colour\n")
    done = shell("attributes", "--plan", "--from", "mine.txt", "--json")
    assert done.code == 0, done.err
    assert done.json["data"]["plan"] == []
    assert done.json["next"] == ["fgvr-kit attributes discover --from mine.txt"]


def test_the_plan_asks_nobody_where_the_command_would_ask_nobody(shell: Shell, pests: Path) -> None:
    shell("init", pests)
    (shell.cwd / "mine.txt").write_text("rim\n")
    model = ("--set", 'discover.backend="openai:gpt-4o"')
    discover = ("attributes", "discover", "--plan", "--json")
    brought = shell(*discover, "--from", "mine.txt")  # without any backend
    assert (brought.code, brought.json["data"]["plan"]) == (0, [])
    assert len(shell(*discover, *model).json["data"]["plan"]) == 1
    (shell.cwd / "attributes.csv").write_text("attribute,question\nrim,Which?\n")
    assert shell(*discover, *model).json["data"]["plan"] == []
    assert "nothing would be asked" in shell("attributes", "discover", "--plan", *model).err
    assert len(shell(*discover, *model, "--replace").json["data"]["plan"]) == 1
    refused = shell(*discover, "--add", "mine.txt", "--replace")
    assert (refused.code, refused.json["error"]["code"]) == (2, "add-or-replace")
