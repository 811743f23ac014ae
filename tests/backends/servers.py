"""Local servers that speak OpenAI's and Ollama's wire format over real HTTP, and count what they are asked.

What they say is decided by `plan`: a function of the number of the call (from 0) and what was asked.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Wire = Literal["openai", "ollama"]


@dataclass(frozen=True)
class Say:
    """A reply. fields: put over the message of OpenAI's format ("refusal"), or over Ollama's reply.

    choice: put over the choice of OpenAI's format ("logprobs").  usage: over its counts.
    """

    text: str = "brown"
    finish: str = "stop"
    seconds: float = 0.0
    fields: dict[str, Any] = field(default_factory=dict)
    choice: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Broken:
    """A good reply that does not arrive whole.

    "hang": nothing comes; "reset": the connection is torn; "half": its body ends early, and so does a chunked one
    ("half, chunked"); "trickle": a byte now and then.
    """

    how: Literal["hang", "reset", "half", "half, chunked", "trickle"]


@dataclass(frozen=True)
class Model:
    """What an Ollama tells of a model. capabilities: None where it is too old to tell."""

    digest: str = "0123456789abcdef" * 4
    capabilities: tuple[str, ...] | None = ("completion", "vision")


Plan = Callable[[int, Call], Say | Raw | Broken]


class FakeServer:
    """Use as a context manager. calls: every question that arrived, in order.  n_busy: most at once.

    models: what an Ollama has; empty: it does not tell, and has whatever is asked for.  looks: the addresses at
    which it was asked about models.  pull: the lines it answers a pull with.
    """

    def __init__(self, wire: Wire, plan: Plan | None = None) -> None:
        self.wire = wire
        self.plan: Plan = plan or (lambda _, __: Say())
        self.calls: list[Call] = []
        self.n_busy = 0
        self.running = 0
        self.models: dict[str, Model] = {}
        self.looks: list[str] = []
        self.pull: list[dict[str, Any]] = []
        self.is_over = threading.Event()
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
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()

    def restart(self, seconds: float) -> None:
        """Go away with every connection, and come back in the same place."""
        address = self._server.server_address
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        time.sleep(seconds)
        self._server = _Server((str(address[0]), int(address[1])), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def look(self, path: str, body: dict[str, Any]) -> Raw:
        """What an Ollama tells about its models."""
        self.looks.append(path)
        if path == "/api/tags":
            listed = [
                {"name": name, "model": name, "digest": model.digest, "size": 1}
                for name, model in self.models.items()
            ]
            return Raw(200, json.dumps({"models": listed}))
        if path == "/api/pull":
            lines = "".join(json.dumps(line) + "\n" for line in self.pull)
            return Raw(200, lines, content_type="application/x-ndjson")
        model = self.models.get(body["model"]) if self.models else Model()
        if model is None:
            return Raw(404, json.dumps({"error": f"model '{body['model']}' not found"}))
        told = {"model_info": {}, "details": {}, "template": ""}
        return Raw(
            200,
            json.dumps(told | ({} if model.capabilities is None else {"capabilities": model.capabilities})),
        )

    def take(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Say | Raw | Broken:
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
            choice = {"index": 0, "message": message, "finish_reason": said.finish, **said.choice}
            usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, **said.usage}
            return {"id": "x", "object": "chat.completion", "created": 0, "model": call["model"],
                    "choices": [choice], "usage": usage}  # fmt: skip
        n_words = sum(len(message["content"].split()) for message in call["messages"])
        return {"model": call["model"], "created_at": "2026-01-01T00:00:00Z", "done": True,
                "message": {"role": "assistant", "content": said.text}, "done_reason": said.finish,
                "prompt_eval_count": max(12, n_words), "eval_count": 3, **said.fields}  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    disable_nagle_algorithm = True  # otherwise each call costs 40 ms
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is part of the tests."""


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            is_known = server.wire == "ollama" and self.path == "/api/tags"
            self._send(server.look(self.path, {}) if is_known else Raw(404, '{"error": "no such page"}'))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            wanted = "/v1/chat/completions" if server.wire == "openai" else "/api/chat"
            if server.wire == "ollama" and self.path in ("/api/show", "/api/pull"):
                return self._send(server.look(self.path, body))
            if self.path != wanted:
                return self._send(Raw(404, '{"error": "no such page"}'))
            said = server.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            if isinstance(said, Broken):
                return self._break(said, json.dumps(server.reply(Say(), body)).encode())
            if isinstance(said, Say):
                said = Raw(200, json.dumps(server.reply(said, body)))
            return self._send(said)

        def _break(self, broken: Broken, data: bytes) -> None:
            self.close_connection = True
            if broken.how == "hang":
                server.is_over.wait(30)
                return
            if broken.how == "reset":  # a close that lingers for no time at all is a reset
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if broken.how == "half, chunked":
                self.send_header("Transfer-Encoding", "chunked")
                data = f"{len(data) // 2:x}\r\n".encode() + data[: len(data) // 2] + b"\r\n"
            else:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if broken.how == "trickle":
                with suppress(OSError):
                    for byte in data:
                        self.wfile.write(bytes([byte]))
                        if server.is_over.wait(0.05):
                            return
                return
            self.wfile.write(data if broken.how == "half, chunked" else data[: len(data) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

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


def _question(body: dict[str, Any]) -> dict[str, Any]:
    """The first message of the user; turns follow it."""
    return next(message for message in body["messages"] if message["role"] == "user")


def _openai_call(path: str, headers: dict[str, str], body: dict[str, Any]) -> Call:
    content = _question(body)["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith("data:image/jpeg;base64,") for url in images)
    return Call(path, headers, body, "".join(part.get("text", "") for part in parts),
                [base64.b64decode(url.partition(",")[2]) for url in images])  # fmt: skip


def _ollama_call(path: str, headers: dict[str, str], body: dict[str, Any]) -> Call:
    message = _question(body)
    images = [base64.b64decode(image) for image in message.get("images", [])]
    return Call(path, headers, body, message["content"], images)
