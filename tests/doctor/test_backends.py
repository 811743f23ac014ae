"""doctor --models, over real HTTP, each call from a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.dataset.images import open_image
from fgvr_kit.doctor.backends import ask_each
from fgvr_kit.doctor.diagnosis import Diagnosis
from fgvr_kit.doctor.place import look
from tests.backends.servers import Call, FakeServer, Plan, Raw, Say

KEY = "sk-proj-abcdefghijklmnopqrstuvwx"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return tmp_path


def ask(*overrides: str) -> list[Diagnosis]:
    return ask_each(look(None, overrides), seconds=60)


def ask_openai(plan: Plan, *overrides: str) -> tuple[Diagnosis, list[Call]]:
    with FakeServer("openai", plan) as server:
        (found,) = ask(f"openai.base_url={server.url}", "extract.backend=openai:gpt-x", *overrides)
        return found, server.calls


def test_one_red_picture_is_sent_and_the_answer_is_told(tmp_path: Path) -> None:
    found, (call,) = ask_openai(lambda *_: Say("Red."))
    assert (found.state, found.fix) == ("ok", "")
    assert '"Red."' in found.seen
    (tmp_path / "sent.jpg").write_bytes(call.images[0])
    red, green, blue = open_image(tmp_path / "sent.jpg").getpixel((100, 100))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 20


def test_ollama_is_asked_too() -> None:
    with FakeServer("ollama", lambda *_: Say("red")) as server:
        (found,) = ask(f"ollama.host={server.url}", "extract.backend=ollama:llava")
        assert len(server.calls) == 1
    assert found.state == "ok"


def test_a_model_that_does_not_see_the_picture_is_a_warning() -> None:
    found, _ = ask_openai(lambda *_: Say("I cannot see any picture."))
    assert found.state == "warning"
    assert "does it see images?" in found.seen


def test_nothing_said_is_a_warning_that_names_the_limit() -> None:
    found, (call,) = ask_openai(lambda *_: Say("", finish="length"), "extract.max_tokens=77")
    assert found.state == "warning"
    assert "max_tokens" in found.fix
    assert call.body["max_tokens"] == 77


def test_a_refusal_is_a_warning() -> None:
    found, _ = ask_openai(lambda *_: Say("", fields={"refusal": "I will not."}))
    assert (found.state, "I will not." in found.seen) == ("warning", True)


def test_a_wrong_key_is_a_problem_and_is_not_shown() -> None:
    def refuse(_: int, __: Call) -> Raw:
        return Raw(401, f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}')

    found, _ = ask_openai(refuse)
    assert found.state == "problem"
    assert "OPENAI_API_KEY" in found.fix
    assert KEY not in repr(found)


def test_an_answer_that_quotes_the_key_does_not_show_it() -> None:
    found, _ = ask_openai(lambda *_: Say(f"red {KEY}"))
    assert KEY not in repr(found)


def test_a_backend_that_several_settings_name_is_asked_once() -> None:
    found, calls = ask_openai(lambda *_: Say("red"), "discover.backend=openai:gpt-x")
    assert (found.state, len(calls)) == ("ok", 1)


def test_each_backend_is_told_for_itself() -> None:
    with FakeServer("openai", lambda *_: Say("red")) as server:
        found = ask(
            f"openai.base_url={server.url}", "extract.backend=openai:a", "discover.backend=ollama:b",
            "ollama.host=http://127.0.0.1:9",
        )  # fmt: skip
    assert sorted(diagnosis.state for diagnosis in found) == ["ok", "problem"]


def test_a_recording_is_asked_nothing() -> None:
    (found,) = ask("extract.backend=replay:not-there.jsonl")
    assert found.state == "ok"


def test_nobody_named_is_a_warning() -> None:
    (found,) = ask()
    assert (found.state, "extract.backend" in found.fix) == ("warning", True)


def test_an_answer_that_never_comes_is_given_up() -> None:
    with FakeServer("openai", lambda *_: Say("red", seconds=20)) as server:
        place = look(None, [f"openai.base_url={server.url}", "extract.backend=openai:a"])
        (found,) = ask_each(place, seconds=3)
    assert found.state == "problem"
    assert "did not end within 3 s" in found.seen
