"""A guard cannot be taken off again: every test of it is a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fgvr_kit import offline

ROOT = Path(__file__).parents[1]


def said(code: str, **environ: str) -> str:
    """What a fresh interpreter prints that is offline."""
    start = "import os; from fgvr_kit import offline; offline.go_offline()\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, cwd=ROOT, timeout=120,
        env={"PATH": "", "HOME": str(ROOT), **environ}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


TRY = """
import socket
def tried(call):
    try:
        call()
    except offline.Offline as error:
        return error.code
    except OSError as error:
        return type(error).__name__
    return "went through"
"""


@pytest.mark.parametrize(
    "call",
    [
        "lambda: socket.getaddrinfo('api.openai.com', 443)",
        "lambda: socket.gethostbyname('localhost.example.org')",
        "lambda: socket.socket().connect(('192.0.2.1', 443))",
        "lambda: socket.socket().connect_ex(('192.0.2.1', 443))",
        "lambda: socket.socket(socket.AF_INET6).connect(('2001:db8::1', 443))",
        "lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "lambda: socket.create_connection(('example.org', 80))",
        "lambda: __import__('urllib.request').request.urlopen('http://example.org')",
    ],
)
def test_nothing_leaves_this_machine(call: str) -> None:
    print_it = f"found = tried({call})\nprint(found)"
    if "urlopen" in call:  # urllib wraps what is an OSError
        print_it = (
            f"try:\n    ({call})()\nexcept OSError as error:\n    print(offline.behind(error.reason).code)"
        )
    assert said(TRY + print_it) == "offline"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "::ffff:127.0.0.1", "0.0.0.0"]
)
def test_this_machine_is_reached(host: str) -> None:
    assert offline._is_here(host)
    assert offline._is_here(host.encode())


def test_a_server_and_a_socket_file_of_this_machine_answer(tmp_path: Path) -> None:
    code = f"""
import asyncio, socket
async def main():
    server = await asyncio.start_server(lambda r, w: w.close(), "localhost", 0)
    port = server.sockets[0].getsockname()[1]
    for host in ("localhost", "127.0.0.1"):
        reader, writer = await asyncio.open_connection(host, port, family=socket.AF_INET)
        writer.close()
    unix = await asyncio.start_unix_server(lambda r, w: w.close(), {str(tmp_path / "s")!r})
    await asyncio.open_unix_connection({str(tmp_path / "s")!r})
    print("answered")
asyncio.run(main())
"""
    assert said(code) == "answered"


def test_a_proxy_on_this_machine_carries_nothing_out() -> None:
    code = """
import httpx, httpx2
for client in (httpx, httpx2):
    try:
        client.get("https://example.org/")
    except Exception as error:
        print(offline.behind(error).message.split()[0])
"""
    proxy = "http://127.0.0.1:9"
    assert said(code, HTTPS_PROXY=proxy, https_proxy=proxy, ALL_PROXY=proxy) == "example.org\nexample.org"


def test_the_error_tells_host_and_who_asked() -> None:
    code = """
import httpx
try:
    httpx.get("https://example.org/")
except Exception as error:
    print("|".join(f"{word}={text}" for word, text in offline.behind(error).lines()))
"""
    told = said(code)
    assert "example.org" in told.split("|")[0]
    assert "why=asked for by httpcore" in told
    assert "hint=leave --offline out" in told


@pytest.mark.parametrize(
    ("spec", "section"),
    [
        ("openai:gpt-4o-mini", "openai={'api_key_env': 'A_KEY'}"),
        ("openai:m", "openai={'base_url': 'http://192.0.2.1:8000/v1'}"),
        ("ollama:m", "ollama={'host': 'http://ollama.example.org:11434'}"),
        ("ollama:m", "ollama={'host': 'http://192.0.2.1:11434'}"),
    ],
)
def test_a_backend_elsewhere_is_refused_at_once(spec: str, section: str, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from fgvr_kit.asking.engine import ask
from fgvr_kit.errors import BackendRefused
from fgvr_kit.store import Store
from tests.backends.contract import opened, question
folder = Path({str(tmp_path)!r})
with Store(folder / "store" / "fgvr.db") as store:
    try:
        ask(opened({spec!r}, folder, {section}), [question(1)], store)
    except BackendRefused as error:
        print(error.code, error.hint.split(",")[0])
"""
    assert said(code, A_KEY="sk-0123456789") == "offline leave --offline out"


def test_a_backend_here_answers(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from tests.backends.contract import opened, question, say
from tests.backends.servers import FakeServer
for wire, address in (("openai", "base_url"), ("ollama", "host")):
    with FakeServer(wire) as server:
        backend = opened(f"{{wire}}:m", Path({str(tmp_path)!r}), **{{wire: {{address: server.url}}}})
        print(say(backend, question(1))[0].text)
"""
    assert said(code) == "brown\nbrown"


def test_libraries_that_know_a_word_for_it_are_told() -> None:
    code = """
import huggingface_hub.constants as hub
from transformers.utils.hub import is_offline_mode
print(hub.HF_HUB_OFFLINE, is_offline_mode(), os.environ["FGVR_OFFLINE"])
"""
    assert said(code) == "True True 1"
    late = "import huggingface_hub.constants as hub\nhub.HF_HUB_OFFLINE = False\noffline.go_offline()\n"
    assert said(late + "print(hub.HF_HUB_OFFLINE)") == "True"
