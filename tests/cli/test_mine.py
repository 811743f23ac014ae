from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from fgvr_kit.cli.mine import PAGE
from tests.cli.conftest import Shell

TOY = ("--model", "toy-clip", "--set", "mine.near_copy=1", "--set", "train.device=cpu")


@pytest.fixture
def mining(shell: Shell, pests: Path) -> Shell:
    assert shell("init", pests).code == 0
    return shell


def test_flags_are_kept_and_a_second_run_needs_none(mining: Shell) -> None:
    flags = ("--by", "image", "--pick", "random", "--negatives", "2", "--options", "mixed", "--seed", "5")
    first = mining("mine", *TOY, *flags, "--prompt", "mine/ensemble", "--precision", "bf16")
    assert first.code == 0, first.err
    kept = tomllib.loads((mining.cwd / "fgvr.toml").read_text())["mine"]
    assert {key: kept[key] for key in ("by", "pick", "n_negatives", "options", "seed", "prompt", "precision")} == {
        "by": "image", "pick": "random", "n_negatives": 2, "options": "mixed", "seed": 5, "prompt": "mine/ensemble",
        "precision": "bf16",
    }  # fmt: skip
    assert (mining.cwd / PAGE).is_file()
    again = mining("mine", "--set", "mine.near_copy=1", "--set", "train.device=cpu", "--json", "--no-page")
    assert again.code == 0
    (step,) = again.json["data"]["steps"]
    assert step["done"]["seed"] == 5
    assert "page" not in again.json["data"]


def test_random_negatives_leave_the_options_hard(mining: Shell) -> None:
    hard = mining("mine", *TOY, "--write-foci", "hard.json", "--no-page", "--json")
    drawn = mining("mine", *TOY, "--kind", "random", "--write-foci", "drawn.json", "--no-page", "--json")
    assert hard.json["data"]["foci"] == {"file": "hard.json", "questions": 3}
    assert (mining.cwd / "hard.json").read_text() == (mining.cwd / "drawn.json").read_text()
    told = [run.json["data"]["steps"][0]["done"]["negatives"] for run in (hard, drawn)]
    assert told[0] != told[1]
    assert "drawn at random" in told[1]


def test_a_file_of_foci_is_read_also_from_another_folder(mining: Shell) -> None:
    assert mining("mine", *TOY, "--write-foci", "options.json", "--no-page").code == 0
    label, entries = next(
        (k, v) for k, v in json.loads((mining.cwd / "options.json").read_text()).items() if v
    )
    (mining.cwd / "one.json").write_text(json.dumps({label: entries[:1]}))
    result = mining("mine", *TOY, "--read-foci", "one.json", "--json")
    assert result.code == 0
    assert result.json["data"]["steps"][0]["done"]["test images"] == 3
    assert ["test images", 2] in [row[:2] for row in result.json["data"]["steps"][0]["dropped"]]
    (mining.cwd / "below").mkdir()
    shell = mining
    shell.cwd = mining.cwd / "below"  # type: ignore[misc]
    assert shell("mine", "--set", "mine.near_copy=1", "--json").code == 0


def test_options_that_are_asked_for_are_not_those_of_a_file(mining: Shell) -> None:
    assert mining("mine", *TOY, "--write-foci", "options.json", "--no-page").code == 0
    read = mining("mine", *TOY, "--read-foci", "options.json", "--json", "--no-page")
    drawn = mining("mine", *TOY, "--options", "random", "--json", "--no-page")
    for run, says in ((read, "as in options.json"), (drawn, "drawn at random")):
        done = run.json["data"]["steps"][0]["done"]
        assert says in next(told for label, told in done.items() if label.startswith("questions of"))


def test_a_file_inside_the_workspace_is_kept_as_seen_from_there(mining: Shell) -> None:
    assert mining("mine", *TOY, "--write-foci", "below/options.json", "--no-page").code == 0
    assert mining("mine", *TOY, "--read-foci", "below/options.json").code == 0
    kept = tomllib.loads((mining.cwd / "fgvr.toml").read_text())["mine"]
    assert kept["options_file"] == "below/options.json"
    assert "as in options.json" in (mining.cwd / PAGE).read_text()


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--read-foci", "gone.json"), "foci-not-found"),
        (("--read-foci", "gone.json", "--options", "hard"), "options-twice"),
        (("--kind", "soft"), "settings-value"),
        (("--negatives", "0"), "settings-value"),
        (("--prompt", "mine/clas"), "prompt-missing"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_stored(
    mining: Shell, flags: tuple[str, ...], code: str
) -> None:
    result = mining("mine", *TOY, *flags, "--json")
    assert result.code == 2
    assert result.json["error"]["code"] == code
    assert not (mining.cwd / PAGE).exists()
    assert (
        "[mine]" not in (mining.cwd / "fgvr.toml").read_text()
        or "toy-clip" not in (mining.cwd / "fgvr.toml").read_text()
    )
