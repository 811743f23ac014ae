from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.doctor import services
from fgvr_kit.doctor.diagnosis import Diagnosis


def running(monkeypatch: pytest.MonkeyPatch, models: list[str] | None) -> None:
    monkeypatch.setattr(services, "ollama_models", lambda host: models)


def states(found: list[Diagnosis]) -> list[tuple[str, str]]:
    return [(diagnosis.name, diagnosis.state) for diagnosis in found]


@pytest.mark.parametrize(
    ("models", "wanted", "expected"),
    [
        (None, {}, [("ollama", "ok")]),
        (None, {"extract.backend": "llava"}, [("ollama", "problem")]),
        ([], {}, [("ollama", "ok")]),
        (["llava:latest"], {"extract.backend": "llava"}, [("ollama", "ok")]),
        (["llava:13b"], {"extract.backend": "llava"}, [("ollama", "ok"), ("ollama-model", "problem")]),
    ],
)
def test_ollama_is_a_problem_only_when_it_is_named(
    models: list[str] | None,
    wanted: dict[str, str],
    expected: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running(monkeypatch, models)
    found = services.ollama("", wanted)
    assert states(found) == expected
    assert all(diagnosis.fix for diagnosis in found if diagnosis.state == "problem")


@pytest.mark.parametrize(
    ("host", "shown"), [("http://me:secret@box:1234", "box:1234"), ("me:secret@box:port", "box:port")]
)
def test_a_password_in_the_host_is_not_shown(host: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    running(monkeypatch, None)
    (found,) = services.ollama(host, {})
    assert shown in found.seen
    assert "secret" not in found.seen


@pytest.mark.parametrize(
    ("environ", "base_url", "wanted", "state"),
    [
        ({}, "", {}, "ok"),
        ({}, "", {"extract.backend": "gpt"}, "problem"),
        ({}, "http://localhost:8000/v1", {"extract.backend": "gpt"}, "ok"),
        ({"OPENAI_BASE_URL": "http://localhost:8000/v1"}, "", {"extract.backend": "gpt"}, "ok"),
        ({"OPENAI_BASE_URL": "https://api.openai.com/v1"}, "", {"extract.backend": "gpt"}, "problem"),
        ({"OPENAI_API_KEY": "sk-x"}, "", {"extract.backend": "gpt"}, "ok"),
    ],
)
def test_a_key_is_a_problem_only_when_it_is_needed(
    environ: dict[str, str], base_url: str, wanted: dict[str, str], state: str
) -> None:
    assert services.openai_key("OPENAI_API_KEY", base_url, wanted, environ).state == state


@pytest.mark.parametrize("key", ["sk-abcdefghijklmnopqrstuvwxyz1234", "short-secret"])
def test_a_key_is_never_shown(key: str) -> None:
    found = services.openai_key("OPENAI_API_KEY", "", {}, {"OPENAI_API_KEY": key})
    assert key not in repr(found)
    assert len(key) > 20 or key[-4:] not in found.seen


def test_a_token_is_told_and_never_shown(tmp_path: Path) -> None:
    in_variable = services.hugging_face({"HF_TOKEN": "hf_verysecrettoken", "HF_HOME": str(tmp_path)})
    (tmp_path / "token").write_text("hf_verysecrettoken")
    in_file = services.hugging_face({"HF_HOME": str(tmp_path)})
    for found, where in ((in_variable, "$HF_TOKEN"), (in_file, str(tmp_path / "token"))):
        assert found.state == "ok"
        assert where in found.seen
        assert "secret" not in repr(found)


def test_no_token_is_no_problem(tmp_path: Path) -> None:
    found = services.hugging_face({"HF_HOME": str(tmp_path)})
    assert (found.state, found.seen[:4]) == ("ok", "none")


@pytest.mark.parametrize(
    ("environ", "n"),
    [
        ({}, 0),
        ({"HF_HUB_OFFLINE": "0"}, 0),
        ({"HF_HUB_OFFLINE": "1"}, 1),
        ({"TRANSFORMERS_OFFLINE": "True"}, 1),
    ],
)
def test_downloads_that_are_switched_off_are_told(environ: dict[str, str], n: int) -> None:
    assert states(services.offline(environ)) == [("hf-offline", "warning")] * n
