from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fgvr_kit.surroundings import Gpu, ask_driver, gpus, has_openai_key, ollama_models
from tests.cli.conftest import python

MIB = 2**20

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the false nvidia-smi is a shell script")


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program of that name first on the PATH; its text is what a shell runs."""

    def put(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return put


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a server that answers every GET so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def saying(body: str, status: int = 200) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status if request.path == "/api/tags" else 404)
        request.send_header("Content-Type", "application/json")
        request.end_headers()
        request.wfile.write(body.encode())

    return answer


def test_gpus_are_what_nvidia_smi_lists(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi("echo 'NVIDIA L4, 23034, 22563, 580.65.06'; echo 'A card, with a comma, 100, 50, 1.0'")
    assert gpus() == [
        Gpu("NVIDIA L4", 23034 * MIB, 22563 * MIB, "580.65.06"),
        Gpu("A card, with a comma", 100 * MIB, 50 * MIB, "1.0"),
    ]


def test_a_gpu_that_shares_memory_with_the_cpu_is_listed(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi("echo 'NVIDIA GB10, [N/A], [N/A], 580.82'")
    assert gpus() == [Gpu("NVIDIA GB10", 0, 0, "580.82")]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", "version mismatch"),
        ("exit 9", "exit 9"),
        ("echo 'No devices were found'", "No devices were found"),
        ("exec sleep 60", "no answer within 0.3 s"),
    ],
)
def test_a_broken_nvidia_smi_is_no_gpu_and_a_log_line(
    script: str, told: str, nvidia_smi: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    nvidia_smi(script)
    with caplog.at_level(logging.WARNING):
        driver = ask_driver(seconds=0.3)
    assert driver.gpus == ()
    assert told in (driver.problem or "")
    assert told in caplog.text


def test_no_nvidia_smi_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (gpus(), ask_driver().problem) == ([], None)


def test_the_models_of_a_running_ollama_are_named() -> None:
    body = json.dumps({"models": [{"model": "qwen3-vl:8b"}, {"model": "llava:latest"}]})
    with serving(saying(body)) as host:
        assert ollama_models(host, seconds=20) == ["llava:latest", "qwen3-vl:8b"]
        assert ollama_models(host.removeprefix("http://"), seconds=20) == ["llava:latest", "qwen3-vl:8b"]


def test_an_ollama_without_models_is_running_all_the_same() -> None:
    with serving(saying('{"models": []}')) as host:
        assert ollama_models(host, seconds=20) == []


@pytest.mark.parametrize(("body", "status"), [("<html>", 200), ("{}", 500), ('{"models": 3}', 200)])
def test_what_does_not_speak_as_ollama_does_is_none(body: str, status: int) -> None:
    with serving(saying(body, status)) as host:
        assert ollama_models(host, seconds=20) is None


def test_nobody_there_is_none() -> None:
    with serving(saying("")) as host:
        pass
    assert ollama_models(host, seconds=20) is None
    assert ollama_models("no address: at all") is None


@pytest.mark.timeout(30)
def test_a_server_that_trickles_is_not_waited_for() -> None:
    stop = threading.Event()

    def trickle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not stop.wait(0.05):  # each byte comes in time for the client's own timeout
            request.wfile.write(b" ")
            request.wfile.flush()

    with serving(trickle) as host:
        assert ollama_models(host, seconds=0.5) is None
        stop.set()


@pytest.mark.parametrize(
    ("environ", "name", "has"),
    [
        ({"OPENAI_API_KEY": "sk-x"}, "OPENAI_API_KEY", True),
        ({"OPENAI_API_KEY": " "}, "OPENAI_API_KEY", False),
        ({}, "OPENAI_API_KEY", False),
        ({"MINE": "x"}, "MINE", True),
        ({"OPENAI_API_KEY": "sk-x"}, "MINE", False),
    ],
)
def test_a_key_is_looked_for_where_the_backend_looks(environ: dict[str, str], name: str, has: bool) -> None:
    assert has_openai_key(environ, name) is has


def test_looking_around_loads_no_torch() -> None:
    code = (
        "import sys\nfrom fgvr_kit.surroundings import *\ngpus(); ollama_models('127.0.0.1:9')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert python(code).returncode == 0
