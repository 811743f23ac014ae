"""Local servers that speak OpenAI's and Ollama's wire format over real HTTP, and count what they are asked.

What they say is decided by `plan`: a function of the number of the call (from 0) and what was asked.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Wire = Literal["openai", "ollama"]


@dataclass(frozen=True)
class Say:
    """A reply. fields: put over the message of OpenAI's format ("refusal")."""

    text: str = "brown"
    finish: str = "stop"
    seconds: float = 0.0
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Anything else: an error, a web page, a cut connection (status 0)."""

    status: int
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True)
class Call:
    """One request as it arrived. prompt: the user's text.  images: as bytes."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    prompt: str
    images: list[bytes]


Plan = Callable[[int, Call], Say | Raw]


class FakeServer:
    """Use as a context manager. calls: everything that arrived, in order.  n_busy: most at once."""

    def __init__(self, wire: Wire, plan: Plan | None = None) -> None:
        self.wire = wire
        self.plan: Plan = plan or (lambda _, __: Say())
        self.calls: list[Call] = []
        self.n_busy = 0
        self.running = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """What stands in the settings: [openai] base_url or [ollama] host."""
        return f"{self.host}/v1" if self.wire == "openai" else self.host

    def __enter__(self) -> FakeServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Say | Raw:
        call = (
            _openai_call(path, headers, body) if self.wire == "openai" else _ollama_call(path, headers, body)
        )
        with self._lock:
            number = len(self.calls)
            self.calls.append(call)
            self.running += 1
            self.n_busy = max(self.n_busy, self.running)
        try:
            said = self.plan(number, call)
            if isinstance(said, Say) and said.seconds:
                time.sleep(said.seconds)
            return said
        finally:
            with self._lock:
                self.running -= 1

    def reply(self, said: Say, call: dict[str, Any]) -> dict[str, Any]:
        if self.wire == "openai":
            message = {"role": "assistant", "content": said.text, **said.fields}
            choice = {"index": 0, "message": message, "finish_reason": said.finish}
            usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
            return {"id": "x", "object": "chat.completion", "created": 0, "model": call["model"],
                    "choices": [choice], "usage": usage}  # fmt: skip
        return {"model": call["model"], "created_at": "2026-01-01T00:00:00Z", "done": True,
                "message": {"role": "assistant", "content": said.text}, "done_reason": said.finish,
                "prompt_eval_count": 12, "eval_count": 3}  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    disable_nagle_algorithm = True  # otherwise each call costs 40 ms
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is part of the tests."""


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            wanted = "/v1/chat/completions" if server.wire == "openai" else "/api/chat"
            if self.path != wanted:
                return self._send(Raw(404, '{"error": "no such page"}'))
            said = server.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            if isinstance(said, Say):
                said = Raw(200, json.dumps(server.reply(said, body)))
            return self._send(said)

        def _send(self, raw: Raw) -> None:
            if raw.status == 0:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            data = raw.body.encode()
            self.send_response(raw.status)
            for name, value in {"Content-Type": raw.content_type, **raw.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler


def _openai_call(path: str, headers: dict[str, str], body: dict[str, Any]) -> Call:
    content = body["messages"][-1]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith("data:image/jpeg;base64,") for url in images)
    return Call(path, headers, body, "".join(part.get("text", "") for part in parts),
                [base64.b64decode(url.partition(",")[2]) for url in images])  # fmt: skip


def _ollama_call(path: str, headers: dict[str, str], body: dict[str, Any]) -> Call:
    message = body["messages"][-1]
    images = [base64.b64decode(image) for image in message.get("images", [])]
    return Call(path, headers, body, message["content"], images)
