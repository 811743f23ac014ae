from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fgvr_kit import __version__
from fgvr_kit.errors import FgvrError
from tests.cli.conftest import Shell, python
from tests.photographs import class_folders

HEAVY = (
    "torch",
    "transformers",
    "open_clip",
    "openai",
    "peft",
    "ollama",
    "numpy",
    "jinja2",
    "sqlite_utils",
)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["attributes", "extract", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom fgvr_kit.cli.app import app\n"
        f"try: app({arguments!r})\nexcept SystemExit: pass\n"
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_status_loads_no_torch(shell: Shell, pests: Path) -> None:
    shell("init", pests)
    code = (
        "import sys\nfrom fgvr_kit.cli.app import app\n"
        "try: app(['status'])\nexcept SystemExit: pass\n"
        "sys.exit(str([m for m in ('torch', 'transformers', 'open_clip', 'openai') if m in sys.modules] or 0))"
    )
    assert python(code, cwd=shell.cwd).stderr.strip().endswith("0")


def test_every_command_has_help_and_an_example(shell: Shell) -> None:
    commands = (
        ["init"], ["attributes"], ["attributes", "discover"], ["attributes", "extract"], ["attributes", "describe"],
        ["mine"], ["train"], ["eval"], ["demo"], ["replies", "export"],
    )  # fmt: skip
    for words in commands:
        result = shell(*words, "--help")
        assert result.code == 0
        assert re.search(r"Examples?:\s+fgvr-kit ", result.out), words


def test_the_root_lists_every_command(shell: Shell) -> None:
    text = shell("--help").out
    for command in (
        "init", "check", "attributes", "mine", "train", "eval", "status", "settings", "replies", "doctor",
        "schema", "demo",
    ):  # fmt: skip
        assert f" {command} " in text


def test_the_version_is_told(shell: Shell) -> None:
    assert shell("--version").out == f"fgvr-kit {__version__}\n"


def test_the_module_runs_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fgvr_kit", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"fgvr-kit {__version__}\n"


def test_a_newcomer_without_a_workspace_is_shown_the_first_step(shell: Shell) -> None:
    result = shell()
    assert result.code == 0
    assert "fgvr-kit init IMAGES" in result.err


def test_shell_completion_offers_commands() -> None:
    environment = {
        **os.environ, "_FGVR_KIT_COMPLETE": "complete_bash", "COMP_WORDS": "fgvr-kit tr", "COMP_CWORD": "1",
    }  # fmt: skip
    code = "from fgvr_kit.cli.app import app; app(prog_name='fgvr-kit')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert "train" in done.stdout.split()


def test_a_bug_keeps_its_traceback_and_shows_no_locals(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from fgvr_kit.cli import init\nimport fgvr_kit.pipeline.init as p\n"
        "def broken(*a, **k):\n    api_key = 'sk-secret'\n    raise RuntimeError('a bug')\n"
        "p.init = broken\nfrom fgvr_kit.cli.app import app\napp(['init', '/'])"
    )
    done = python(code)
    assert done.returncode == 1
    assert "a bug" in done.stderr
    assert "broken" in done.stderr
    assert "api_key = " not in done.stderr.replace("    api_key = 'sk-secret'", "")


def test_an_interrupt_says_that_the_same_command_goes_on(
    shell: Shell, pests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fgvr_kit.pipeline.init.scan", interrupted)
    result = shell("init", pests)
    assert result.code == 130
    assert "the same command goes on" in result.err


def test_options_work_before_and_after_the_command(shell: Shell, pests: Path) -> None:
    shell("init", pests, "-w", shell.cwd / "work")
    before = shell("-w", shell.cwd / "work", "--json", "status").json
    after = shell("status", "-w", shell.cwd / "work", "--json").json
    assert before == after
    assert before["data"]["workspace"] == str(shell.cwd / "work")


def test_every_error_class_has_an_exit_code_of_the_house() -> None:
    def tree(kind: type[FgvrError]) -> list[type[FgvrError]]:
        return [kind, *(t for sub in kind.__subclasses__() for t in tree(sub))]

    assert {kind.exit_code for kind in tree(FgvrError)} <= {1, 2, 3, 4}


@pytest.mark.parametrize(
    "line", [["--offline", "attributes", "extract"], ["attributes", "extract", "--offline"]]
)
def test_offline_stands_anywhere_and_is_told_as_the_reason(line: list[str], tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pests", {"bee": 5, "wasp": 5})
    command = [sys.executable, "-m", "fgvr_kit"]
    subprocess.run([*command, "init", str(folder), "-w", str(tmp_path)], check=True, capture_output=True)
    (tmp_path / "attributes.csv").write_text("attribute,question\ncolour,Which colour?\n")
    done = subprocess.run(
        [*command, *line, "-w", str(tmp_path), "--json", "--backend", "openai:gpt-4o-mini"],
        capture_output=True, text=True, env={**os.environ, "OPENAI_API_KEY": "sk-none"},
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "offline"
