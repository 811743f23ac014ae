from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Result, Shell
from tests.doctor.conftest import Packages, packages  # noqa: F401 (a fixture)


@pytest.fixture(autouse=True)
def whole(packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """A machine with nothing wrong and no GPU, and no Ollama of somebody else's."""
    packages.whole()
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def states(result: Result) -> dict[str, str]:
    return {line["name"]: line["state"] for line in result.json["data"]["diagnoses"]}


def test_outside_a_workspace_a_sound_machine_is_exit_0(shell: Shell) -> None:
    result = shell("doctor", "--json")
    assert result.code == 0
    assert result.json["ok"] is True
    assert result.json["data"]["problems"] == 0
    assert states(result)["workspace"] == "ok"
    assert result.json["next"] == ["fgvr-kit init IMAGES"]


def test_a_workspace_that_is_whole_is_exit_0(shell: Shell, pests: Path) -> None:
    shell("init", pests, "-w", "work")
    for result in (shell("doctor", "-w", "work", "--json"), shell("-w", "work", "doctor", "--json")):
        assert result.code == 0
        found = states(result)
        assert {found[name] for name in ("workspace", "database", "images", "classes")} == {"ok"}


def test_a_problem_is_exit_3_with_its_fix_and_the_envelope_whole(shell: Shell, pests: Path) -> None:
    shell("init", pests)
    pests.rename(shell.cwd / "moved")
    result = shell("doctor", "--json")
    assert result.code == 3
    assert (result.json["schema"], result.json["ok"]) == ("fgvr.doctor/1", True)
    assert states(result)["images"] == "problem"
    told = shell("doctor")
    assert told.code == 3
    assert "fix: bring it back" in told.out
    assert "1 problem" in told.err


@pytest.mark.parametrize("text", ["[dataset\n", "[domane]\nx = 1\n"])
def test_a_broken_fgvr_toml_does_not_end_doctor(shell: Shell, text: str) -> None:
    (shell.cwd / "fgvr.toml").write_text(text)
    result = shell("doctor", "--json")
    assert result.code == 3
    assert states(result)["settings"] == "problem"
    assert states(result)["torch"] == "ok"


def test_a_wrong_w_is_a_problem_of_the_workspace_alone(shell: Shell) -> None:
    result = shell("doctor", "-w", "nowhere", "--json")
    assert result.code == 3
    assert [name for name, state in states(result).items() if state == "problem"] == ["workspace"]


def test_for_people_the_table_goes_to_stdout_and_the_count_to_stderr(shell: Shell) -> None:
    result = shell("doctor")
    assert result.code == 0
    assert "torch 2.15.0 and torchvision 0.30.0 load together" in result.out
    assert "no problems, 2 warnings" in result.err  # no GPU; the tests keep the hub offline


def test_models_are_asked_from_the_command_line(shell: Shell) -> None:
    from tests.backends.servers import FakeServer, Say

    with FakeServer("openai", lambda *_: Say("blue")) as server:
        result = shell(
            "doctor", "--models", "--json", "--set", "extract.backend=openai:x",
            "--set", f"openai.base_url={server.url}",
        )  # fmt: skip
    assert (result.code, states(result)["answers"]) == (0, "warning")


def test_no_secret_is_printed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    key, token = "sk-proj-abcdefghijklmnopqrstuvwxyz", "hf_abcdefghijklmnopqrstuvwxyz"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("HF_TOKEN", token)
    result = shell("doctor", "-vv")
    assert result.code == 0
    assert key not in result.out + result.err
    assert token not in result.out + result.err
