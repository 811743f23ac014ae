"""fgvr-kit attributes review, as a process of its own: how it begins, what ends it, what a kill leaves."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fgvr_kit.pipeline.extract import extract
from fgvr_kit.workspace import Workspace
from tests.cli.conftest import Shell
from tests.pipeline.coins import make_workspace, opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with opened(make_workspace(tmp_path)) as workspace:
        extract(workspace)
    return tmp_path


CODE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + (
    "from fgvr_kit.cli.app import main; main()"
)
"""A shell without a terminal starts its children deaf to Ctrl-C."""


@contextmanager
def reviewing(root: Path, *args: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The process, and the document it printed at its start."""
    environment = {**os.environ, "COLUMNS": "200"}
    environment.pop("DISPLAY", None)
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "attributes", "review", *args],
        cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        if "--json" in args:
            lines = []
            while not lines or lines[-1] != "}\n":
                lines.append(process.stdout.readline())
                assert lines[-1], process.stderr.read()
            yield process, json.loads("".join(lines))
        else:
            yield process, {"line": process.stderr.readline()}
    finally:
        process.kill()
        process.communicate()


def post(url: str, image: int, changes: dict[str, str | None]) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request("GET", f"{parts.path}image/{image}")
    seen = {a["name"]: a["value"] for a in json.loads(connection.getresponse().read())["answers"]}
    body = json.dumps({"image": image, "changes": changes, "was": {name: seen.get(name) for name in changes}})
    headers = {"Origin": f"http://{parts.netloc}", "Content-Type": "application/json"}
    connection.request("POST", f"{parts.path}answers", body, headers)
    return connection.getresponse().status


def test_the_address_is_printed_and_ctrl_c_ends_with_what_was_done(root: Path) -> None:
    with reviewing(root, "--no-browser") as (process, told):
        url = told["line"].split()[-1]
        assert post(url, 1, {"rim_edge": "smooth", "motif": "a map"}) == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        rows = dict(line.rsplit(None, 1) for line in out.splitlines() if "s " in line)
        assert rows["values corrected"] == "2"
        assert rows["pictures reviewed"] == "0"
        assert "next   fgvr-kit" in err


def test_json_prints_the_address_at_once_and_nothing_more(root: Path) -> None:
    with reviewing(root, "--json") as (process, told):
        assert told["schema"] == "fgvr.review/1"
        assert set(told["data"]) == {"url", "images", "attributes"}
        assert (told["data"]["images"], told["data"]["attributes"]) == (6, 13)
        assert post(told["data"]["url"], 1, {"rim_edge": "smooth"}) == 200
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert (out, process.returncode) == ("", 0)


def test_a_kill_leaves_every_change_that_was_acknowledged(root: Path) -> None:
    with reviewing(root, "--json", "--no-browser") as (process, told):
        for image in range(1, 7):
            assert post(told["data"]["url"], image, {"rim_edge": f"edge {image}"}) == 200
        process.kill()
        process.wait()
    with Workspace(root) as workspace:
        assert {n: a["rim_edge"] for n, a in workspace.store.answers().items()} == {
            n: f"edge {n}" for n in range(1, 7)
        }


def test_while_it_waits_other_commands_may_write(root: Path, shell: Shell) -> None:
    with reviewing(root, "--json", "--no-browser") as (_, told):
        assert post(told["data"]["url"], 1, {"rim_edge": "smooth"}) == 200
        done = shell("attributes", "describe", "--with", "template", "-w", root)
        assert done.code == 0, done.err
        assert post(told["data"]["url"], 1, {"rim_edge": "ribbed"}) == 200


def test_a_port_that_is_taken_is_told(root: Path, shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = shell("attributes", "review", "-w", root, "--port", str(taken.getsockname()[1]), "--json")
    assert (told.code, told.json["error"]["code"]) == (2, "port-taken")


def test_without_attributes_it_tells_what_comes_first(shell: Shell, pests: Path) -> None:
    shell("init", pests)
    told = shell("attributes", "review", "--json")
    assert (told.code, told.json["error"]["code"]) == (2, "no-attributes")
