"""kill -9 at random moments, many times over: nothing is paid twice, and the table is that of a quiet run."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.store import Store
from tests.backends.servers import Call, FakeServer, Say

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
N, CONCURRENCY, KILLS = 2_000, 8, 20
ASKING = """
import sys
from pathlib import Path
from fgvr_kit.asking import parse
from fgvr_kit.asking.engine import ask
from fgvr_kit.store import Store
from tests.backends.contract import SCHEMA, opened, question
folder, url, n, concurrency = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
backend = opened("openai:a-model", folder, openai={"base_url": url, "concurrency": concurrency})
requests = [question(i, schema=SCHEMA if i % 10 == 0 else None) for i in range(n)]
with Store(folder / "fgvr.db") as store:
    ask(backend, requests, store, judge=parse.judge, mend=lambda request, said: "JSON, please")
"""


def answer(_: int, call: Call) -> Say:
    """Every tenth question wants JSON, and gets it at the second asking."""
    messages = call.body["messages"]
    text = str(messages[0]["content"])
    if "response_format" not in call.body:
        return Say(f"brown, says {text}", seconds=0.01)
    return Say('{"colour": "brown"}' if len(messages) > 1 else "Brown it is.", seconds=0.01)


def command(folder: Path, server: FakeServer) -> list[str]:
    folder.mkdir(exist_ok=True)
    return [sys.executable, "-c", ASKING, str(folder), server.url, str(N), str(CONCURRENCY)]


def table(folder: Path) -> list[tuple[Any, ...]]:
    with Store(folder / "fgvr.db") as store:
        left_out = ("id", "prompt_id", "seconds", "created", "sampling")
        rows = [{k: v for k, v in row.items() if k not in left_out} for row in store.all_replies()]
    return sorted(tuple(row.values()) for row in rows)  # type: ignore[type-var]


def test_twenty_kills_cost_at_most_what_was_in_flight(tmp_path: Path) -> None:
    chance = random.Random(20261121)
    with FakeServer("openai", answer) as server:
        for _ in range(KILLS):
            before = len(server.calls)
            process = subprocess.Popen(command(tmp_path / "killed", server), cwd=ROOT)
            wanted = before + chance.randint(1, N // KILLS)
            while len(server.calls) < wanted and process.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            process.wait()
        subprocess.run(command(tmp_path / "killed", server), cwd=ROOT, check=True)
        n_killed = len(server.calls)
        subprocess.run(command(tmp_path / "quiet", server), cwd=ROOT, check=True)
        n_quiet = len(server.calls) - n_killed
    assert n_quiet == N + N // 10  # one turn each to mend what was no JSON
    assert n_quiet <= n_killed <= n_quiet + KILLS * CONCURRENCY
    killed, quiet = table(tmp_path / "killed"), table(tmp_path / "quiet")
    assert len(killed) == N
    assert killed == quiet
