"""OpenAI's Batch API on loopback: files as multipart, batches with metadata, results in another order.

What a real one does within a day is done by `finish`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Line = dict[str, Any]


def completion(text: str, model: str = "gpt-x", **usage: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, **usage}}  # fmt: skip


def answered(line: Line, text: str, **usage: Any) -> Line:
    return {"id": "r", "custom_id": line["custom_id"], "error": None,
            "response": {"status_code": 200, "request_id": "q", "body": completion(text, **usage)}}  # fmt: skip


def failed(line: Line, status: int, **error: Any) -> Line:
    return {"id": "r", "custom_id": line["custom_id"], "error": None,
            "response": {"status_code": status, "request_id": "q", "body": {"error": error}}}  # fmt: skip


def undone(line: Line, code: str) -> Line:
    return {"id": "r", "custom_id": line["custom_id"], "response": None,
            "error": {"code": code, "message": "This request could not be executed."}}  # fmt: skip


class BatchServer:
    """Use as a context manager. files: id -> bytes. batches: id -> as the API shows it. calls: (method, path).

    refuses: status and body of every call, if set. cuts: bytes after which a file that is fetched breaks off.
    loses: whether the answer to the making of a batch gets lost.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.refuses: tuple[int, dict[str, Any]] | None = None
        self.cuts: int | None = None
        self.loses = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> BatchServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def lines(self, batch_id: str) -> list[Line]:
        """The requests of a batch."""
        raw = self.files[self.batches[batch_id]["input_file_id"]]
        return [json.loads(line) for line in raw.splitlines()]

    def finish(
        self, batch_id: str, output: list[Line], errors: list[Line], status: str = "completed"
    ) -> None:
        """Results are written as UTF-8, as the real ones are, last one first."""
        batch = self.batches[batch_id]
        for name, lines in (("output_file_id", output), ("error_file_id", errors)):
            if lines:
                texts = [json.dumps(line, ensure_ascii=False) + "\n" for line in reversed(lines)]
                batch[name] = self.keep("".join(texts).encode())
        n = len(self.lines(batch_id))
        batch["status"] = status
        batch["request_counts"] = {"total": n, "completed": len(output), "failed": len(errors)}

    def keep(self, content: bytes) -> str:
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = content
        return file_id

    def make(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["endpoint"] == "/v1/chat/completions"
        assert asked["completion_window"] == "24h"
        assert asked["input_file_id"] in self.files
        batch_id = f"batch_{len(self.batches)}"
        self.batches[batch_id] = {
            "id": batch_id, "object": "batch", "status": "validating", "created_at": 1_700_000_000,
            "expires_at": 1_700_086_400, "output_file_id": None, "error_file_id": None, "errors": None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0}, **asked,
        }  # fmt: skip
        return self.batches[batch_id]


def _handler(server: BatchServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = self.path.partition("?")[0].removeprefix("/v1")
            if path == "/batches":
                newest = list(reversed(server.batches.values()))
                return self._send(lambda: {"object": "list", "data": newest, "has_more": False})
            if found := re.fullmatch(r"/batches/(\w+)", path):
                return self._send(lambda: server.batches[found[1]])
            if found := re.fullmatch(r"/files/([\w-]+)/content", path):
                return self._send(lambda: server.files[found[1]])
            return self._send(lambda: {}["no such page"])

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.removeprefix("/v1")
            if path == "/files":
                return self._send(lambda: {"id": server.keep(self._part(raw)), "object": "file"})
            if path == "/batches":
                return self._send(lambda: server.make(json.loads(raw)), is_lost=server.loses)
            if path == "/chat/completions":
                return self._send(lambda: completion("at once"))
            if found := re.fullmatch(r"/batches/(\w+)/cancel", path):
                server.batches[found[1]]["status"] = "cancelling"
                return self._send(lambda: server.batches[found[1]])
            return self._send(lambda: {}["no such page"])

        def _part(self, raw: bytes) -> bytes:
            """The file in a multipart body, whose purpose must be "batch"."""
            boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
            parts = [part.partition(b"\r\n\r\n") for part in raw.split(b"--" + boundary)[1:-1]]
            by_name = {
                re.search(rb'name="(\w+)"', head)[1]: body.removesuffix(b"\r\n") for head, _, body in parts
            }  # type: ignore[index]
            assert by_name[b"purpose"] == b"batch"
            return by_name[b"file"]

        def _send(self, answer: Callable[[], Any], *, is_lost: bool = False) -> None:
            server.calls.append((self.command, self.path.partition("?")[0].removeprefix("/v1")))
            status, said = 200, None
            if server.refuses:
                status, said = server.refuses
            else:
                try:
                    said = answer()
                except KeyError as missing:
                    status, said = 404, {"error": {"message": f"No such thing: {missing}"}}
            if is_lost:
                self.close_connection = True
                return
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            kind = "application/octet-stream" if isinstance(said, bytes) else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if isinstance(said, bytes) and server.cuts is not None:
                data, self.close_connection = data[: server.cuts], True
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler
