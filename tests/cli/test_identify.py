from __future__ import annotations

import json
import tomllib
from pathlib import Path

from tests.cli.conftest import Shell


def test_a_recorded_vote_is_shown_and_written(shell: Shell, pests: Path) -> None:
    assert shell("init", pests).code == 0
    text = json.dumps({"superclass": "insect", "unit": "species"})
    (shell.cwd / "said.jsonl").write_text(json.dumps({"purpose": "guess", "text": text}) + "\n")
    result = shell("attributes", "identify", "--backend", "replay:said.jsonl", "--pictures", "6")
    assert result.code == 0, result.err
    assert "insect 2 of 2" in result.out
    written = tomllib.loads((shell.cwd / "fgvr.toml").read_text())
    assert (written["domain"]["superclass"], written["domain"]["unit"]) == ("insect", "species")
    again = shell("attributes", "identify", "--json").json
    assert again["data"]["steps"][0]["done"]["superclass"] == "insect"
