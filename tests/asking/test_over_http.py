from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.asking import run
from fgvr_kit.asking.engine import ask
from fgvr_kit.asking.pace import Pace
from fgvr_kit.backends.base import Request, Response
from fgvr_kit.errors import BackendError, BackendRefused
from fgvr_kit.store import Store
from tests.asking.scripted import Scripted, error, openai, said
from tests.backends.contract import opened, question
from tests.backends.servers import Call, FakeServer, Raw, Say

ROOT = Path(__file__).parents[2]


# --- over HTTP ------------------------------------------------------------------------------------------------


def test_retry_after_is_waited_for(store: Store, tmp_path: Path) -> None:
    arrived: list[float] = []

    def plan(n: int, _: Call) -> Say | Raw:
        arrived.append(time.monotonic())
        return Raw(429, headers={"Retry-After": "0.3"}) if n == 0 else Say()

    with FakeServer("openai", plan) as server:
        asked = ask(openai(server, tmp_path, concurrency=1), [question(1), question(2)], store)
    assert (asked.n_new, asked.failures, len(server.calls)) == (2, {}, 3)
    assert arrived[1] - arrived[0] >= 0.3


def test_a_burst_of_too_many_requests_loses_nothing(store: Store, tmp_path: Path) -> None:
    def plan(n: int, _: Call) -> Say | Raw:
        return Raw(429, headers={"Retry-After": "0.05"}) if n < 8 else Say()

    with FakeServer("openai", plan) as server:
        asked = ask(openai(server, tmp_path, concurrency=8), [question(n) for n in range(24)], store)
    assert (asked.n_new, asked.failures, len(server.calls)) == (24, {}, 32)


def test_a_run_slows_down_after_too_many_requests_and_recovers(store: Store) -> None:
    busy: list[int] = []

    class Crowded(Scripted):
        running = 0

        async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
            self.running += 1
            busy.append(self.running)
            is_early = len(busy) <= 8
            await asyncio.sleep(0.005)
            self.running -= 1
            return [error("rate-limited", after=0.01) if is_early else said()]

    backend = Crowded(lambda _: said())
    backend.concurrency = 8
    assert ask(backend, [question(n) for n in range(80)], store).n_new == 80
    assert (max(busy[:8]), max(busy[8:16]), max(busy[-20:])) == (8, 4, 8)


def test_too_many_requests_halves_what_is_in_flight_and_answers_raise_it_again() -> None:
    async def in_flight(pace: Any) -> int:
        """How many of ten batches start at once."""
        waiting = [asyncio.create_task(pace.enter()) for _ in range(10)]
        await asyncio.sleep(0.05)
        n: int = pace.running
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for _ in range(n):
            pace.leave()
        return n

    async def seen() -> list[int]:
        pace = Pace(8)
        found = [await in_flight(pace)]
        for _ in range(8):  # all that were in flight are told so: that counts once
            pace.slow_down(0.01)
        found.append(await in_flight(pace))
        for _ in range(5):
            pace.speed_up()
        found.append(await in_flight(pace))
        for _ in range(4):  # never fewer than one
            pace.slow_down(0.01)
            await asyncio.sleep(0.02)
        found.append(await in_flight(pace))
        for _ in range(100):  # never more than the settings say
            pace.speed_up()
        return [*found, await in_flight(pace)]

    assert asyncio.run(seen()) == [8, 4, 5, 1, 8]


def test_a_server_that_asks_for_more_patience_than_there_is_stops_the_run(
    store: Store, tmp_path: Path
) -> None:
    with FakeServer(
        "openai", lambda n, _: Raw(429, headers={"Retry-After": "3600"}) if n else Say()
    ) as server:
        with pytest.raises(BackendError) as caught:
            ask(openai(server, tmp_path, concurrency=1), [question(n) for n in range(5)], store)
        assert (caught.value.code, len(server.calls), store.count("replies")) == ("rate-limited", 2, 1)


@pytest.mark.parametrize("wire", ["openai", "ollama"])
def test_a_failing_server_is_asked_again(wire: Any, store: Store, tmp_path: Path) -> None:
    plan = [Raw(500, '{"error": "crashed"}'), Raw(503, '{"error": "queue full"}'), Raw(0), Say("green")]
    with FakeServer(wire, lambda n, _: plan[n]) as server:
        key = "base_url" if wire == "openai" else "host"
        backend = opened(f"{wire}:m", tmp_path, **{wire: {key: server.url, "concurrency": 1}})
        row = ask(backend, [question(1)], store).row(question(1))
    assert row is not None
    assert (row["text"], len(server.calls)) == ("green", 4)


def test_a_wrong_key_stops_at_once_and_what_was_answered_stays(store: Store, tmp_path: Path) -> None:
    with FakeServer("openai", lambda n, _: Raw(401) if n == 3 else Say()) as server:
        with pytest.raises(BackendRefused) as caught:
            ask(openai(server, tmp_path, concurrency=1), [question(n) for n in range(20)], store)
        assert (caught.value.code, len(server.calls), store.count("replies")) == ("backend-key", 4, 3)


def test_an_unreachable_server_is_told_soon_with_its_address(store: Store, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    backend = opened("openai:m", tmp_path, openai={"base_url": f"http://me:pw-7@{host[7:]}/v1"})
    n_tries = 0
    reply = backend.reply

    async def counted(requests: Sequence[Request]) -> Any:
        nonlocal n_tries
        n_tries += 1
        return await reply(requests)

    backend.reply = counted  # type: ignore[method-assign]
    backend.concurrency = 1
    with pytest.raises(BackendError) as caught:
        ask(backend, [question(n) for n in range(50)], store)
    assert (caught.value.code, n_tries) == ("backend-unreachable", run.FIRST_TRIES)
    assert f"{host} cannot be reached" in caught.value.message
    assert "pw-7" not in repr(caught.value.lines())


def test_as_many_requests_are_in_flight_as_the_settings_say(store: Store, tmp_path: Path) -> None:
    with FakeServer("openai", lambda _, __: Say(seconds=0.05)) as server:
        ask(openai(server, tmp_path, concurrency=4), [question(n) for n in range(16)], store)
    assert server.n_busy == 4


KILLED = """
import sys
from pathlib import Path
from fgvr_kit.asking.engine import ask
from fgvr_kit.store import Store
from tests.backends.contract import opened, question
folder, url, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
backend = opened("openai:a-model", folder, openai={"base_url": url, "concurrency": 4})
with Store(folder / "fgvr.db") as store:
    ask(backend, [question(number) for number in range(n)], store)
"""


def test_a_run_killed_half_way_pays_at_most_for_what_was_in_flight(tmp_path: Path) -> None:
    n, concurrency = 120, 4
    with FakeServer("openai", lambda _, __: Say(seconds=0.01)) as server:
        command = [sys.executable, "-c", KILLED, str(tmp_path), server.url, str(n)]
        process = subprocess.Popen(command, cwd=ROOT)
        deadline = time.monotonic() + 60
        while len(server.calls) < n // 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        time.sleep(0.05)
        n_before = len(server.calls)
        assert n // 2 <= n_before < n
        with Store(tmp_path / "fgvr.db") as store:
            n_kept = store.count("replies")
            assert n_before - concurrency <= n_kept <= n_before
            asked = ask(
                openai(server, tmp_path, concurrency=concurrency), [question(i) for i in range(n)], store
            )
        assert (asked.n_stored, asked.n_new) == (n_kept, n - n_kept)
        assert n <= len(server.calls) <= n + concurrency
