"""What a shell is offered at Tab, asked as zsh asks: in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CODE = (
    "import atexit, sys\n"
    "atexit.register(lambda: 'torch' in sys.modules and print('torch was loaded', file=sys.stderr))\n"
    "from fgvr_kit.cli.app import app\napp(prog_name='fgvr-kit')"
)


def offered(line: str, cwd: Path) -> list[str]:
    """The words offered at the end of a line."""
    environment = {
        **os.environ,
        "_FGVR_KIT_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": f"fgvr-kit {line}",
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, cwd=cwd, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return [word.replace("\\\\:", ":") for word in re.findall(r'^(?:.*\(\()?"([^"]*)"', done.stdout, re.M)]


def workspace(folder: Path, text: str = '[extract]\nbackend = "ollama:llava:13b"\n') -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "fgvr.toml").write_text(text)
    return folder


def test_backends_are_those_of_the_room(tmp_path: Path) -> None:
    assert offered("attributes extract --backend ", tmp_path) == [
        "clip:",
        "ollama:",
        "openai:",
        "replay:",
        "transformers:",
    ]
    assert offered("attributes -b op", tmp_path) == ["openai:"]


def test_a_backend_of_the_workspace_comes_first(tmp_path: Path) -> None:
    inside = workspace(tmp_path / "work")
    assert offered("attributes extract --backend ", inside)[0] == "ollama:llava:13b"
    assert offered("attributes extract -w work --backend ", tmp_path)[0] == "ollama:llava:13b"
    assert offered("-w work attributes extract --backend ", tmp_path)[0] == "ollama:llava:13b"


@pytest.mark.parametrize("text", ["[dataset\n", "[domane]\nx = 1\n", "[ollama]\nhost = 3\n"])
def test_a_broken_workspace_is_passed_over_in_silence(tmp_path: Path, text: str) -> None:
    inside = workspace(tmp_path / "work", text)
    assert "openai:" in offered("attributes extract --backend ", inside)
    assert offered("mine --set extract.a", inside) == ["extract.ask="]


def test_the_models_of_a_running_ollama_are_offered(tmp_path: Path) -> None:
    from tests.test_surroundings import saying, serving

    with serving(saying('{"models": [{"model": "qwen3-vl:8b"}]}')) as host:
        inside = workspace(tmp_path / "work", f'[ollama]\nhost = "{host}"\n')
        assert "ollama:qwen3-vl:8b" in offered("attributes extract --backend ollama:", inside)


def test_settings_are_offered_by_section_and_key(tmp_path: Path) -> None:
    keys = offered("mine --set ", tmp_path)
    assert {"mine.n_negatives=", "domain.superclass=", "finedefics.", "ollama."} <= set(keys)
    assert set(offered("mine --set domain.", tmp_path)) == {
        "domain.superclass=", "domain.unit=", "domain.notes=", "domain.language=", "domain.template=",
    }  # fmt: skip
    assert "finedefics.epochs=" in offered("mine --set fine", tmp_path)
    assert "openai.base_url=" in offered("mine --set openai.", tmp_path)


def test_values_are_offered_where_there_are_few(tmp_path: Path) -> None:
    assert offered("mine --set extract.ask=", tmp_path) == ["extract.ask=single", "extract.ask=joint"]
    assert offered("mine --set extract.backend=tr", tmp_path) == ["extract.backend=transformers:"]
    assert offered("mine --set finedefics.gradient_checkpointing=t", tmp_path) == [
        "finedefics.gradient_checkpointing=true"
    ]


def test_recipes_and_ways_to_describe_are_offered(tmp_path: Path) -> None:
    assert offered("train --recipe f", tmp_path) == ["finedefics"]
    assert offered("attributes describe --with ", tmp_path) == ["model", "short", "template"]


def test_layouts_and_kinds_of_findings_are_offered(tmp_path: Path) -> None:
    assert {"auto", "coco"} <= set(offered("init pests --layout ", tmp_path))
    assert "leak" in offered("check --fail-on ", tmp_path)
    assert offered("check --fail-on conflict,lea", tmp_path) == ["conflict,leak"]


def test_the_words_of_a_command_are_offered_to_schema(tmp_path: Path) -> None:
    assert {"init", "attributes", "doctor"} <= set(offered("schema ", tmp_path))
    assert offered("schema attributes e", tmp_path) == ["extract"]
    assert offered("schema init ", tmp_path) == []


def test_a_callback_that_fails_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from fgvr_kit.cli import complete

    def broken(*_: object) -> list[str]:
        raise RuntimeError("a bug")

    monkeypatch.setattr("fgvr_kit.plugins.names", broken)
    assert complete.recipes("") == []


def test_what_is_offered_is_only_one_short_line_each() -> None:
    from fgvr_kit.cli import complete

    for begun in ("", "finedefics", "openai"):
        for word, meaning in complete._keys(begun):
            assert "\n" not in meaning
            assert "[" not in meaning, word  # which Typer would take for a colour
            assert len(meaning) <= 72
