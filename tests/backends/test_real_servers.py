"""The openai backend against servers that other people wrote, started here on loopback.

`transformers serve` with the toy model, and llama.cpp's server with a tiny random Llama. The second one needs
the packages `llama-cpp-python[server]` and `gguf` in this environment, or in that of $FGVR_LLAMA_PYTHON.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgvr_kit.asking import parse
from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Backend
from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.backends.contract import SCHEMA, opened, question, say

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# No free text in it: of random weights nothing but the grammar can make whole JSON.
CLOSED = {
    "type": "object", "required": ["colour", "striped"], "additionalProperties": False,
    "properties": {"colour": {"enum": ["brown", "red", "green"]}, "striped": {"type": "boolean"}},
}  # fmt: skip


@contextmanager
def started(command: Sequence[str], port: int, health: str, log: Path) -> Iterator[str]:
    """The address of a server that answers; its log tells why it does not."""
    environ = os.environ | {"OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env=environ)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            if process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(url + health, timeout=5):
                    yield url
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def noise(folder: Path, seed: int) -> ImageRef:
    path = folder / f"{seed}.png"
    colours = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(colours).resize((90, 90), Image.Resampling.NEAREST).save(path)
    return ImageRef(path, pixel_sha256(open_image(path)))


class TestTransformersServe:
    @pytest.fixture(scope="class")
    def url(self, toy_vlm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        for package in ("fastapi", "uvicorn"):
            pytest.importorskip(package)
        port, log = free_port(), tmp_path_factory.mktemp("serve") / "log"
        command = [str(Path(sys.executable).with_name("transformers")), "serve", str(toy_vlm_path),
                   "--port", str(port), "--device", "cpu"]  # fmt: skip
        with started(command, port, "/health", log) as url:
            yield url

    @pytest.fixture
    def backend(self, url: str, toy_vlm_path: Path, tmp_path: Path) -> Backend:
        section = {"base_url": f"{url}/v1", "concurrency": 4}
        return opened(f"openai:{toy_vlm_path}", tmp_path, openai=section)

    def test_it_sees_what_is_sent(self, backend: Backend, store: Store, tmp_path: Path) -> None:
        requests = [question(1, images=(noise(tmp_path, n),), subject=str(n)) for n in range(6)]
        asked = ask(backend, requests, store)
        texts = {row["text"] for request in requests if (row := asked.row(request))}
        assert (asked.n_new, asked.failures) == (6, {})
        assert len(texts) > 1
        row = asked.row(requests[0])
        assert row is not None
        assert row["input_tokens"] > 0
        assert row["finish_reason"] == "length"

    def test_many_at_once_get_their_own_answers(self, backend: Backend, store: Store, tmp_path: Path) -> None:
        requests = [question(n, images=(noise(tmp_path, n),), subject=str(n)) for n in range(8)]
        asked = ask(backend, requests, store)
        alone = {request: say(backend, request)[0].text.strip() for request in requests}
        assert {request: row["text"] for request in requests if (row := asked.row(request))} == alone

    def test_validation_carries_what_it_ignores(self, backend: Backend, store: Store) -> None:
        requests = [question(1, schema=SCHEMA), question(2, options=("brown", "red"))]
        asked = ask(backend, requests, store, judge=parse.judge)
        rows = [asked.row(request) for request in requests]
        assert all(row is not None and row["outcome"] in ("invalid", "cut_off") for row in rows), rows

    def test_a_seed_and_turns_are_taken(self, backend: Backend) -> None:
        from fgvr_kit.backends.base import Turn

        reply = say(backend, question(1, temperature=0.7, sample=2, turns=(Turn("Blue", "In one word."),)))[0]
        assert reply.text

    def test_the_client_can_stream_from_it(self, url: str, toy_vlm_path: Path) -> None:
        """Not needed by us; it shows that the server is a whole one."""
        import openai

        async def pieces() -> list[Any]:
            async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
                stream = await client.chat.completions.create(
                    model=str(toy_vlm_path), messages=[{"role": "user", "content": "What colour?"}],
                    max_tokens=5, stream=True,
                )  # fmt: skip
                return [piece async for piece in stream]

        found = asyncio.run(pieces())
        assert len(found) > 2
        assert found[-1].choices[0].finish_reason == "length"


def _llama_python() -> str | None:
    if named := os.environ.get("FGVR_LLAMA_PYTHON"):
        return named
    return sys.executable if all(map(importlib.util.find_spec, ("llama_cpp", "gguf"))) else None


class TestLlamaCpp:
    @pytest.fixture(scope="class")
    def url(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        python = _llama_python()
        if python is None:
            pytest.skip(
                "llama.cpp's server is compiled from source for minutes, so `make test` does not install it: "
                "pip install llama-cpp-python[server] gguf, here or where $FGVR_LLAMA_PYTHON is"
            )
        folder = tmp_path_factory.mktemp("llama")
        model = folder / "tiny.gguf"
        subprocess.run([python, "-m", "tests.backends.tiny_gguf", str(model)], check=True, cwd=ROOT)
        port = free_port()
        command = [python, "-m", "llama_cpp.server", "--model", str(model), "--port", str(port),
                   "--n_threads", "1", "--n_ctx", "1024"]  # fmt: skip
        with started(command, port, "/v1/models", folder / "log") as url:
            yield url

    def open(self, url: str, folder: Path, **more: Any) -> Backend:
        return opened("openai:tiny", folder, openai={"base_url": f"{url}/v1", "concurrency": 2, **more})

    def test_a_schema_it_refuses_in_one_form_is_held_in_another(
        self, url: str, store: Store, tmp_path: Path
    ) -> None:
        requests = [question(n, schema=CLOSED, max_tokens=300, temperature=1.0, sample=n) for n in range(6)]
        asked = ask(self.open(url, tmp_path), requests, store, judge=parse.judge)
        rows = [row for request in requests if (row := asked.row(request))]
        assert [row["outcome"] for row in rows] == ["ok"] * 6
        assert {row["note"] for row in rows} == {"the server takes no json_schema"}
        values = [json.loads(row["text"]) for row in rows]
        assert all(list(found) == ["colour", "striped"] for found in values)
        assert len({str(found) for found in values}) > 1  # it was the seed that chose

    def test_options_are_held_to(self, url: str, store: Store, tmp_path: Path) -> None:
        options = ("brown", "dark brown", "red")
        requests = [question(n, options=options, max_tokens=60, temperature=1.0, sample=n) for n in range(8)]
        asked = ask(self.open(url, tmp_path), requests, store, judge=parse.judge)
        rows = [row for request in requests if (row := asked.row(request))]
        assert {row["outcome"] for row in rows} == {"ok"}
        assert {row["text"] for row in rows} <= set(options)

    def test_a_seed_decides(self, url: str, tmp_path: Path) -> None:
        backend = self.open(url, tmp_path)
        texts = [say(backend, question(1, temperature=1.0, sample=n))[0].text for n in (1, 1, 2)]
        assert texts[0] == texts[1] != texts[2]

    def test_letters_are_weighed(self, url: str, tmp_path: Path) -> None:
        letters = tuple("abcdefghijklmnopqrstuvwxyz0123456789")
        requests = [question(n, options=letters, max_tokens=1, temperature=2.0, sample=n) for n in range(12)]
        found = say(self.open(url, tmp_path, logprobs=True), *requests)
        weighed = [reply for reply in found if reply.scores is not None]
        assert weighed
        for reply in weighed:
            assert reply.scores is not None
            assert reply.text in letters
            assert abs(sum(reply.scores) - 1) < 1e-6
            assert reply.scores[letters.index(reply.text)] > 0

    def test_a_prompt_too_long_is_rejected(self, url: str, store: Store, tmp_path: Path) -> None:
        from tests.backends.contract import prompt

        asked = ask(self.open(url, tmp_path), [question(1, prompt=prompt("word " * 1500))], store)
        assert asked.failures == {"request rejected": 1}
