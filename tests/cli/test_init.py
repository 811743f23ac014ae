"""fgvr-kit init: what its flags become, and what its help says."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fgvr_kit import plugins
from tests.cli.conftest import Shell
from tests.photographs import class_folders
from tests.systems import names_are_bytes


@pytest.mark.parametrize(
    "said",
    ["pest\x7finsect", 'a "b" \\ c', "tab\there", "\x01\x1b[0m", "käfer 🌼", "\u2028\x85", "[1, 2]", "' #"],
)
def test_what_a_flag_says_is_kept_letter_by_letter(shell: Shell, pests: Path, said: str) -> None:
    for _ in range(2):
        result = shell("init", pests, "--superclass", said, "--json")
        assert (result.code, result.json["warnings"]) == (0, [])
        assert tomllib.loads((shell.cwd / "fgvr.toml").read_text())["domain"]["superclass"] == said


def test_the_help_names_every_layout(shell: Shell) -> None:
    told = shell("init", "--help").out.replace("\n", " ")
    assert all(name in told for name in plugins.names("layouts"))


def test_the_workspace_is_the_first_thing_told(shell: Shell, pests: Path) -> None:
    lines = [line for line in shell("init", "pests").out.splitlines() if line.strip()]
    assert lines[1].split(None, 1) == ["workspace", f"made in {shell.cwd}"]


@names_are_bytes
@pytest.mark.parametrize("line", ["init {}", "init pests --superclass {}", "-w {} status", "init pests --root {}",
                                  "mine --set train.model={}", "attributes discover --from {}"])  # fmt: skip
def test_bytes_that_are_no_text_are_refused(shell: Shell, pests: Path, line: str) -> None:
    strange = os.fsdecode(b"caf\xe9")
    class_folders(shell.cwd / "other", {"bee": 2, "wasp": 2}).rename(shell.cwd / strange)
    for more in ([], ["--json"]):
        result = shell(*(word.replace("{}", strange) for word in line.split()), *more)
        assert result.code == 2
    assert result.json["error"]["code"] == "argument-encoding"
    assert "caf\ufffd" in result.json["error"]["message"]


@names_are_bytes
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_name_that_cannot_be_shown_is_shown_as_it_can_be(tmp_path: Path, encoding: str) -> None:
    here = tmp_path / os.fsdecode(b"caf\xe9")
    class_folders(here / "pests", {"bee": 2, "wäsp": 1})
    for argv in (
        ["init", "pests"],
        ["init", "pests", "--json"],
        ["status"],
        ["init", "pests", "-w", tmp_path],
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "fgvr_kit", *argv], cwd=here, capture_output=True, check=False,
            env={**os.environ, "PYTHONIOENCODING": encoding, "CI": "1"},
        )  # fmt: skip
        assert ended.returncode in (0, 2), ended.stderr.decode()
        assert b"Traceback" not in ended.stderr
