from __future__ import annotations

import socket
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Backend
from fgvr_kit.backends.engine import ask
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected
from fgvr_kit.store import Store
from tests.backends.contract import opened, prompt, question, say
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
        "options": {"num_ctx": 8192, "num_predict": 9, "temperature": 0.5},
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}],
    }  # fmt: skip
    assert (reply.model, reply.input_tokens, reply.output_tokens) == ("qwen2.5vl:7b", 12, 3)


@pytest.mark.parametrize(
    ("raw", "kind", "code", "hint"),
    [
        (Raw(404, '{"error": "model \\"qwen2.5vl:7b\\" not found"}'), BackendRefused, "backend-model",
         "ollama pull qwen2.5vl:7b"),
        (Raw(404, "page not found"), BackendRefused, "backend-not-an-api", "without /v1"),
        (Raw(200, "<html>Welcome</html>", content_type="text/html"), BackendRefused, "backend-not-an-api", "host"),
        (Raw(200, '{"hello": 1}'), BackendRefused, "backend-not-an-api", "host"),
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


def test_a_server_that_is_too_slow_is_given_up(store: Store, tmp_path: Path) -> None:
    with FakeServer("ollama", lambda _, __: Say(seconds=0.5)) as server:
        assert fails(at(server, tmp_path, timeout=0.1), store).code == "backend-timeout"


def test_the_context_length_is_part_of_what_was_asked(store: Store, tmp_path: Path) -> None:
    with FakeServer("ollama") as server:
        for num_ctx in (4096, 8192, 8192):
            backend = opened("ollama:m", tmp_path, ollama={"host": server.url, "num_ctx": num_ctx})
            ask(backend, [question(1)], store)
    assert [call.body["options"]["num_ctx"] for call in server.calls] == [4096, 8192]
