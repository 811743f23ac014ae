from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgvr_kit import plugins, toy
from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.backends.clip import ClipBackend
from fgvr_kit.dataset.images import pixel_sha256
from fgvr_kit.types import NOT_VISIBLE, ImageRef
from tests.backends.contract import SCHEMA, SECRET, Case, Contract, opened, question, say
from tests.backends.servers import FakeServer, Raw, Say, Wire


class ServerCase(Case):
    """A real client against a local server. The texts are found by the prompt."""

    def __init__(self, folder: Path, server: FakeServer) -> None:
        super().__init__(folder)
        self.server = server

    def open(self, model: str = "a-model", url: str = "") -> Backend:
        key = "base_url" if self.server.wire == "openai" else "host"
        section: dict[str, Any] = {key: url or self.server.url, "timeout": 5.0}
        return opened(f"{self.server.wire}:{model}", self.folder, **{self.server.wire: section})

    def saying(self, pairs: Sequence[tuple[Request, str]]) -> Backend:
        texts = {request.prompt.text: text for request, text in pairs}
        # The first ones take longest: replies come back in another order than they were asked in.
        self.server.plan = lambda n, call: Say(texts[call.prompt], seconds=max(0.0, 0.03 - 0.01 * n))
        return self.open()

    def n_calls(self) -> int:
        return len(self.server.calls)

    def check_upright(self, turned: Request, upright: Request) -> None:
        say(self.open(), turned)
        image = Image.open(io.BytesIO(self.server.calls[-1].images[0]))
        wanted = Image.open(upright.images[0].path)
        assert (image.mode, image.size, dict(image.getexif())) == ("RGB", wanted.size, {})
        difference = np.abs(np.asarray(image, dtype=int) - np.asarray(wanted, dtype=int))
        assert difference.mean() < 4  # of 255: JPEG; a turned picture of noise is 80 away

    def cut_off(self) -> tuple[Backend, Request]:
        self.server.plan = lambda _, __: Say("The wing is", finish="length")
        return self.open(), question(1, max_tokens=3)

    def silent(self, request: Request, monkeypatch: pytest.MonkeyPatch) -> Backend:
        self.server.plan = lambda _, __: Say(" \n")
        return self.open()

    def nobody(self) -> Backend:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return self.open(url=f"http://127.0.0.1:{port}")

    def indiscreet(self, request: Request) -> tuple[Backend, Backend]:
        error = json.dumps({"error": {"message": f"Bad key: {SECRET}", "code": "invalid_api_key"}})
        if self.server.wire == "ollama":
            error = json.dumps({"error": f"Bad key: {SECRET}"})
        self.server.plan = lambda n, _: Say(f"You sent {SECRET}") if n == 0 else Raw(401, error)
        return self.open(), self.open()


class TransformersCase(Case):
    """The untrained toy model: it says something, and always the same."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self._n_calls = 0
        self._monkeypatch = monkeypatch

    def saying(self, pairs: Sequence[tuple[Request, str]]) -> Backend:
        backend = opened("transformers:toy-vlm", self.folder, transformers={"device": "cpu"})
        reply = backend.reply

        async def counted(requests: Sequence[Request]) -> Any:
            self._n_calls += 1
            return await reply(requests)

        self._monkeypatch.setattr(backend, "reply", counted)
        return backend

    def expected(self, request: Request, text: str) -> str:
        return say(self.saying([]), request)[0].text

    def n_calls(self) -> int:
        return self._n_calls

    def check_upright(self, turned: Request, upright: Request) -> None:
        # A black picture of the same size shows that the toy looks at all.
        black = Image.new("RGB", Image.open(upright.images[0].path).size)
        black.save(self.folder / "black.png")
        other = question(0, images=(ImageRef(self.folder / "black.png", pixel_sha256(black)),))
        seen = say(self.saying([]), turned, upright, other)
        assert seen[0] == seen[1]
        assert seen[0].text != seen[2].text
        assert seen[0].note == toy.NOTE

    def cut_off(self) -> tuple[Backend, Request]:
        return self.saying([]), question(1, max_tokens=1)

    def silent(self, request: Request, monkeypatch: pytest.MonkeyPatch) -> Backend:
        from fgvr_kit.families.base import Generated, Vlm

        monkeypatch.setattr(Vlm, "generate", lambda _, asks, **__: [Generated(" ", "stop", 4, 1)] * len(asks))
        return self.saying([])

    def nobody(self) -> Backend:
        return opened("transformers:./nowhere", self.folder)


class ReplayCase(Case):
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self._n_calls = 0
        self._monkeypatch = monkeypatch

    def write(self, *lines: dict[str, Any]) -> Backend:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.folder / "said.jsonl").write_text(text, encoding="utf-8")
        backend = opened("replay:said.jsonl", self.folder)
        reply = backend.reply

        async def counted(requests: Sequence[Request]) -> Any:
            self._n_calls += 1
            return await reply(requests)

        self._monkeypatch.setattr(backend, "reply", counted)
        return backend

    def saying(self, pairs: Sequence[tuple[Request, str]]) -> Backend:
        lines = []
        for request, text in pairs:
            line = {"purpose": request.purpose, "attribute": request.attribute, "text": text}
            lines.append({key: value for key, value in line.items() if value is not None})
        return self.write(*lines)

    def n_calls(self) -> int:
        return self._n_calls

    def check_upright(self, turned: Request, upright: Request) -> None:
        backend = self.write({"image": upright.subject, "text": "seen"}, {"image": "0" * 64, "text": "other"})
        assert [reply.text for reply in say(backend, turned)] == ["seen"]

    def cut_off(self) -> None:
        return None

    def silent(self, request: Request, monkeypatch: pytest.MonkeyPatch) -> Backend:
        return self.saying([(request, " \n")])

    def nobody(self) -> Backend:
        return opened("replay:nowhere.jsonl", self.folder)


class ClipCase(Case):
    """The untrained toy CLIP: it weighs options about a picture, and always in the same way."""

    OPTIONS = ("brown", "green", NOT_VISIBLE)

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self._n_calls = 0
        self._monkeypatch = monkeypatch
        picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
        picture.save(folder / "any.png")
        self._ref = ImageRef(folder / "any.png", pixel_sha256(picture))

    def fit(self, request: Request) -> Request:
        return replace(request, options=self.OPTIONS, images=request.images or (self._ref,))

    def saying(self, pairs: Sequence[tuple[Request, str]]) -> Backend:
        backend = opened("clip:toy-clip", self.folder, clip={"device": "cpu"})
        reply = backend.reply

        async def counted(requests: Sequence[Request]) -> Any:
            self._n_calls += 1
            return await reply(requests)

        self._monkeypatch.setattr(backend, "reply", counted)
        return backend

    def expected(self, request: Request, text: str) -> str:
        return say(self.saying([]), request)[0].text

    def n_calls(self) -> int:
        return self._n_calls

    def check_upright(self, turned: Request, upright: Request) -> None:
        Image.new("RGB", Image.open(upright.images[0].path).size).save(self.folder / "black.png")
        black = ImageRef(self.folder / "black.png", pixel_sha256(Image.open(self.folder / "black.png")))
        seen = say(self.saying([]), turned, upright, replace(upright, images=(black,)))
        assert seen[0] == seen[1]
        assert seen[0].scores != seen[2].scores

    def cut_off(self) -> None:
        return None

    def silent(self, request: Request, monkeypatch: pytest.MonkeyPatch) -> Backend:
        monkeypatch.setattr(
            ClipBackend, "_weighed", lambda self, *_: Response(" ", self.model, "stop", None, None)
        )
        return self.saying([])

    def nobody(self) -> Backend:
        return opened("clip:nowhere", self.folder)


Made = Callable[[Path, pytest.MonkeyPatch, ExitStack], Case]


def _server(wire: Wire) -> Made:
    return lambda folder, _, stack: ServerCase(folder, stack.enter_context(FakeServer(wire)))


CASES: dict[str, Made] = {
    "clip": lambda folder, monkeypatch, _: ClipCase(folder, monkeypatch),
    "ollama": _server("ollama"),
    "openai": _server("openai"),
    "replay": lambda folder, monkeypatch, _: ReplayCase(folder, monkeypatch),
    "transformers": lambda folder, monkeypatch, _: TransformersCase(folder, monkeypatch),
}


@pytest.fixture(params=plugins.names("backends"))
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    assert request.param in CASES, f"the backend {request.param!r} has no case in {Path(__file__).name}"
    if request.param == "transformers":
        request.getfixturevalue("toy_vlm_path")
    if request.param == "clip":
        request.getfixturevalue("toy_clip_model")
    with ExitStack() as stack:
        yield CASES[request.param](tmp_path, monkeypatch, stack)


class TestEveryBackend(Contract):
    pass


@pytest.mark.parametrize("wire", ["openai", "ollama"])
def test_a_schema_reaches_the_server(wire: Wire, tmp_path: Path) -> None:
    with FakeServer(wire) as server:
        say(ServerCase(tmp_path, server).open(), question(1, schema=SCHEMA))
    body = server.calls[0].body
    if wire == "ollama":
        assert body["format"] == SCHEMA
    else:
        assert body["response_format"] == {
            "type": "json_schema", "json_schema": {"name": "extract", "schema": SCHEMA, "strict": True},
        }  # fmt: skip
