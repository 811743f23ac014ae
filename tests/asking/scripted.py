"""A backend that says what it is told, and a bar that adds up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.errors import BackendError
from tests.backends.contract import opened
from tests.backends.servers import FakeServer


class Scripted(Backend):
    """Says what `script` gives for a request; remembers what it was asked."""

    def __init__(self, script: Callable[[Request], Response | BackendError]) -> None:
        super().__init__("scripted:m", "m")
        self.script = script
        self.batches: list[list[str]] = []
        self.requests: list[Request] = []
        self.n_closed = 0

    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        self.batches.append([request.prompt.text for request in requests])
        self.requests += requests
        await asyncio.sleep(0.001)
        return [self.script(request) for request in requests]

    async def aclose(self) -> None:
        self.n_closed += 1


def said(text: str = "brown", finish: Any = "stop", **more: Any) -> Response:
    return Response(text, "m-1", finish, 5, 2, **more)


def error(
    code: str = "backend-failed", kind: type[BackendError] = BackendError, after: float | None = None
) -> BackendError:
    made = kind("it went wrong", code=code, hint="try again")
    made.retry_after = after
    return made


class Bar:
    """A Progress that adds up."""

    def __init__(self) -> None:
        self.seen: tuple[str, int | None, int] | None = None
        self.n = 0

    @contextmanager
    def task(self, what: str, total: int | None, *, done: int = 0) -> Iterator[Bar]:
        self.seen = (what, total, done)
        yield self

    def advance(self, n: int = 1, note: str = "") -> None:
        self.n += n


def openai(server: FakeServer, folder: Path, **more: Any) -> Backend:
    return opened("openai:a-model", folder, openai={"base_url": server.url, "timeout": 5.0, **more})
