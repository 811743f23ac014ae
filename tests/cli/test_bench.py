"""fgvr-kit bench toy"""

from __future__ import annotations

import pytest

from tests.cli.conftest import Shell

FEW = ("--train-images", "2", "--test-images", "1", "--seeds", "1", "--set", "finedefics.epochs=1")


@pytest.mark.usefixtures("toy_vlm_path", "toy_clip_model")
def test_drawn_classes_go_all_the_way_to_a_table(shell: Shell) -> None:
    made = shell("bench", "toy", "work", "--prepare", *FEW[:4], "--json")
    assert made.code == 0
    told = shell("bench", "toy", "work", "instruct-only", *FEW, "--json")
    assert told.code == 0
    rows = {row["name"]: row for row in told.json["data"]["results"]}
    assert list(rows) == ["zero-shot", "paper", "instruct-only"]
    assert all(row["n"] == 20 for row in rows.values())
    assert "toy" in rows["paper"]["note"]
    runs = sorted((shell.cwd / "work" / ".fgvr" / "runs").iterdir())
    again = shell("bench", "toy", "work", "instruct-only", *FEW, "--json")
    assert again.json["data"]["results"] == told.json["data"]["results"]
    assert sorted((shell.cwd / "work" / ".fgvr" / "runs").iterdir()) == runs


def test_an_ablation_that_nobody_knows_is_an_error(shell: Shell) -> None:
    assert shell("bench", "toy", "work", "no-such", *FEW).code != 0
