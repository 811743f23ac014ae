from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Backend, Turn
from fgvr_kit.backends.ollama import Ollama
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected, SettingsError
from fgvr_kit.store import Store
from tests.backends.contract import SCHEMA, opened, prompt, question, say
from tests.backends.servers import FakeServer, Raw, Say
from tests.backends.test_openai import fails


def at(server: FakeServer, folder: Path, timeout: float = 5.0) -> Backend:
    return opened("ollama:qwen2.5vl:7b", folder, ollama={"host": server.url, "timeout": timeout})


def test_what_is_sent(tmp_path: Path) -> None:
    request = question(1, prompt=prompt("Which?", "Be brief."), max_tokens=9, temperature=0.5)
    with FakeServer("ollama") as server:
        reply = say(at(server, tmp_path), request)[0]
    body = server.calls[0].body
    assert body.pop("tools") == []
    assert body == {
        "model": "qwen2.5vl:7b", "stream": False,
        "options": {"num_ctx": 8192, "num_predict": 9, "temperature": 0.5, "seed": 0},
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}],
    }  # fmt: skip
    assert (reply.model, reply.input_tokens, reply.output_tokens) == ("qwen2.5vl:7b", 12, 3)


def test_what_settings_and_turns_add(tmp_path: Path) -> None:
    request = question(1, schema=SCHEMA, sample=4, turns=(Turn("Blue.", "As JSON."),))
    more = {"think": False, "keep_alive": "-1"}
    with FakeServer("ollama") as server:
        say(opened("ollama:m", tmp_path, ollama={"host": server.url, **more}), request)
    body = server.calls[0].body
    assert (body["think"], body["keep_alive"], body["format"]) == (False, -1.0, SCHEMA)
    assert body["options"]["seed"] == 4
    assert body["messages"][1:] == [
        {"role": "assistant", "content": "Blue."}, {"role": "user", "content": "As JSON."},
    ]  # fmt: skip


def test_thoughts_are_no_part_of_the_answer(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": "brown", "thinking": "It looks dark, but ..."}
    with FakeServer("ollama", lambda _, __: Say(fields={"message": message})) as server:
        assert say(at(server, tmp_path), question(1))[0].text == "brown"


def test_options_are_held_to_and_read(tmp_path: Path) -> None:
    request = question(1, options=("brown", "dark brown"))
    with FakeServer("ollama", lambda _, __: Say('{"answer": "Dark brown"}')) as server:
        reply = say(at(server, tmp_path), request)[0]
    assert server.calls[0].body["format"]["properties"]["answer"]["enum"] == ["brown", "dark brown"]
    assert (reply.text, reply.scores) == ("dark brown", None)


def test_letters_are_weighed_when_that_is_wanted(tmp_path: Path) -> None:
    top = [
        {"token": "B", "logprob": -0.2},
        {"token": " A", "logprob": -2.0},
        {"token": "The", "logprob": -3.0},
    ]
    told = [{"token": "B", "logprob": -0.2, "top_logprobs": top}]
    with FakeServer("ollama", lambda _, __: Say("B", fields={"logprobs": told})) as server:
        backend = opened("ollama:m", tmp_path, ollama={"host": server.url, "logprobs": True})
        reply = say(backend, question(1, options=("A", "B", "C")))[0]
    body = server.calls[0].body
    assert (body["logprobs"], body["top_logprobs"], "format" in body) == (True, 20, False)
    assert reply.text == "B"
    assert reply.scores == pytest.approx((0.1419, 0.8581, 0.0), abs=1e-4)


class TestTheContext:
    WORDS = " ".join(["word"] * 400)

    @pytest.mark.parametrize(
        ("fields", "is_kept"),
        [
            ({"prompt_eval_count": 512}, False),  # cut down to fit
            ({"prompt_eval_count": 150}, False),  # fewer tokens than words
            (
                {"prompt_eval_count": 480, "eval_count": 32, "done_reason": "length"},
                False,
            ),  # no room to answer
            ({"prompt_eval_count": 480, "eval_count": 32}, True),  # it just fitted
            (
                {"prompt_eval_count": 440, "eval_count": 60, "done_reason": "length"},
                True,
            ),  # that is max_tokens
            ({"prompt_eval_count": None}, True),  # nobody counted
        ],
    )
    def test_a_reply_to_half_a_prompt_is_no_answer(
        self, fields: dict[str, Any], is_kept: bool, store: Store, tmp_path: Path
    ) -> None:
        request = question(1, prompt=prompt(self.WORDS), max_tokens=60)
        with FakeServer("ollama", lambda _, __: Say(fields=fields)) as server:
            backend = opened("ollama:m", tmp_path, ollama={"host": server.url, "num_ctx": 512})
            asked = ask(backend, [request], store)
        assert (asked.n_new == 1) == is_kept
        if not is_kept:
            assert asked.failures == {"context overflow": 1}
            assert "num_ctx = 1024" in asked.errors["context overflow"].hint

    def test_what_cannot_fit_is_not_sent(self, store: Store, tmp_path: Path) -> None:
        request = question(1, prompt=prompt("word " * 512))
        with FakeServer("ollama") as server:
            backend = opened("ollama:m", tmp_path, ollama={"host": server.url, "num_ctx": 512})
            assert ask(backend, [request, question(2)], store).failures == {"context overflow": 1}
        assert [call.prompt for call in server.calls] == ["Question 2?"]


def test_a_key_in_the_workspace_is_sent(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OLLAMA_API_KEY=from-the-file\n")
    with FakeServer("ollama") as server:
        say(at(server, tmp_path), question(1))
    assert server.calls[0].headers["authorization"] == "Bearer from-the-file"


@pytest.mark.parametrize(
    ("raw", "kind", "code", "hint"),
    [
        (Raw(404, '{"error": "model \\"qwen2.5vl:7b\\" not found"}'), BackendRefused, "backend-model",
         "ollama pull qwen2.5vl:7b"),
        (Raw(404, "page not found"), BackendRefused, "backend-not-an-api", "without /v1"),
        (Raw(200, "<html>Welcome</html>", content_type="text/html"), BackendRefused, "backend-not-an-api", "host"),
        (Raw(200, '{"hello": 1}'), BackendRefused, "backend-not-an-api", "host"),
        (Raw(400, '{"error": "the input exceeds the context length"}'), RequestRejected, "context-overflow", "num_ctx"),
        (Raw(400, '{"error": "m does not support thinking"}'), BackendRefused, "backend-cannot-think", "think"),
        (Raw(400, '{"error": "no images"}'), RequestRejected, "request-rejected", "ollama show qwen2.5vl:7b"),
        (Raw(401, '{"error": "unauthorized"}'), BackendRefused, "backend-key", "$OLLAMA_API_KEY"),
        (Raw(429, '{"error": "slow down"}'), BackendError, "rate-limited", "concurrency"),
        (Raw(500, '{"error": "crashed"}'), BackendError, "backend-failed", "log"),
        (Raw(503, '{"error": "server busy"}'), BackendError, "backend-failed", "queue"),
        (Raw(0), BackendError, "backend-failed", "log"),
    ],
)  # fmt: skip
def test_what_a_server_does_wrong_has_a_name(
    raw: Raw, kind: type[BackendError], code: str, hint: str, store: Store, tmp_path: Path
) -> None:
    with FakeServer("ollama", lambda _, __: raw) as server:
        error = fails(at(server, tmp_path), store)
    assert (type(error), error.code) == (kind, code)
    assert server.host in error.message
    assert hint in error.hint


def test_nobody_listening_names_the_command_that_starts_it(store: Store, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    error = fails(opened("ollama:m", tmp_path, ollama={"host": host}), store)
    assert error.code == "backend-unreachable"
    assert f"http://{host} cannot be reached" in error.message
    assert "ollama serve" in error.hint


@pytest.mark.parametrize("host", ["127.0.0.1:port", "ftp://host", "http://", "[::1"])
def test_an_address_that_is_none_is_told_before_anything_is_asked(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        opened("ollama:m", tmp_path, ollama={"host": host})
    assert caught.value.code == "backend-address"


@pytest.mark.parametrize(
    ("host", "shown"), [(":8", "http://127.0.0.1:8"), ("h:8", "http://h:8"), ("https://u:p@h/x", "https://h")]
)
def test_addresses_as_ollama_takes_them(host: str, shown: str, tmp_path: Path) -> None:
    backend = opened("ollama:m", tmp_path, ollama={"host": host})
    assert isinstance(backend, Ollama)
    assert backend.host == shown


def test_a_server_that_is_too_slow_is_given_up(store: Store, tmp_path: Path) -> None:
    with FakeServer("ollama", lambda _, __: Say(seconds=0.5)) as server:
        assert fails(at(server, tmp_path, timeout=0.1), store).code == "backend-timeout"


def test_the_context_length_is_part_of_what_was_asked(store: Store, tmp_path: Path) -> None:
    with FakeServer("ollama") as server:
        for num_ctx in (4096, 8192, 8192):
            backend = opened("ollama:m", tmp_path, ollama={"host": server.url, "num_ctx": num_ctx})
            ask(backend, [question(1)], store)
    assert [call.body["options"]["num_ctx"] for call in server.calls] == [4096, 8192]
