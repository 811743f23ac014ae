"""What servers do to those who ask them, over real connections: what it is called, whether it is asked again, and
that the table is whole in the end."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path

import ollama  # noqa: F401 (here, so that their import does not count against the short timeouts)
import openai  # noqa: F401
import pytest

from fgvr_kit.asking import run
from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Backend
from fgvr_kit.store import Store
from tests.backends.contract import opened, question
from tests.backends.servers import Broken, Call, FakeServer, Raw, Say, Wire
from tests.backends.test_openai import fails

WIRES: list[Wire] = ["openai", "ollama"]
PAGE = Raw(200, "<html>We are back soon</html>", content_type="text/html")
FAULTS: dict[str, tuple[Raw | Broken, str]] = {
    "429": (Raw(429, '{"error": "slow down"}'), "rate-limited"),
    "429 with Retry-After": (Raw(429, '{"error": "slow down"}', {"Retry-After": "0.05"}), "rate-limited"),
    "500": (Raw(500, '{"error": "crashed"}'), "backend-failed"),
    "503 with Retry-After": (Raw(503, '{"error": "busy"}', {"Retry-After": "0.05"}), "backend-failed"),
    "hang": (Broken("hang"), "backend-timeout"),
    "reset": (Broken("reset"), "backend-failed"),
    "half": (Broken("half"), "backend-failed"),
    "half, chunked": (Broken("half, chunked"), "backend-failed"),
    "trickle": (Broken("trickle"), "backend-timeout"),
    "truncated JSON": (Raw(200, '{"model": "m", "choices": [{"mess'), "backend-failed"),
    "nothing": (Raw(200, ""), "backend-failed"),
}


def at(server: FakeServer, folder: Path, concurrency: int = 1, timeout: float = 0.4) -> Backend:
    address = "base_url" if server.wire == "openai" else "host"
    section = {address: server.url, "timeout": timeout, "concurrency": concurrency}
    return opened(f"{server.wire}:a-model", folder, **{server.wire: section})


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_lasts_has_a_name_and_was_tried_again(
    fault: str, wire: Wire, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "TRIES", 3)
    monkeypatch.setattr(run, "RATE_TRIES", 3)
    what, code = FAULTS[fault]
    with FakeServer(wire, lambda _, __: what) as server:
        assert fails(at(server, tmp_path), store).code == code
        # A server that never answered at all is given up sooner.
        assert len(server.calls) == (run.FIRST_TRIES if code == "backend-timeout" else 3)
    assert list(store.all_replies()) == []


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", [*FAULTS, "a page in between"])
def test_the_table_is_whole_and_nothing_is_asked_twice(
    fault: str, wire: Wire, store: Store, tmp_path: Path
) -> None:
    what = PAGE if fault == "a page in between" else FAULTS[fault][0]
    answered: Counter[str] = Counter()
    lock = threading.Lock()

    def plan(number: int, call: Call) -> Say | Raw | Broken:
        if number in (3, 5, 6, 9):
            return what
        with lock:
            answered[call.prompt] += 1
        return Say(f"to {call.prompt}")

    requests = [question(n) for n in range(10)]
    with FakeServer(wire, plan) as server:
        asked = ask(at(server, tmp_path, concurrency=2), requests, store)
        assert len(server.calls) == 14
        again = ask(at(server, tmp_path, concurrency=2), requests, store)
        assert len(server.calls) == 14
    assert (asked.n_new, asked.failures, again.n_stored) == (10, {}, 10)
    assert answered == {request.prompt.text: 1 for request in requests}
    texts = [row["text"] for request in requests if (row := asked.row(request))]
    assert texts == [f"to {request.prompt.text}" for request in requests]


@pytest.mark.parametrize("wire", WIRES)
def test_a_page_in_place_of_a_reply_stops_a_run_that_never_got_one(
    wire: Wire, store: Store, tmp_path: Path
) -> None:
    with FakeServer(wire, lambda _, __: PAGE) as server:
        assert fails(at(server, tmp_path), store).code == "backend-not-an-api"
        assert len(server.calls) == 1


@pytest.mark.parametrize("wire", WIRES)
def test_a_reply_under_the_wrong_name_is_a_reply(wire: Wire, store: Store, tmp_path: Path) -> None:
    def plan(_: int, call: Call) -> Raw:
        body = json.dumps(server.reply(Say("brown"), call.body))
        return Raw(200, body, content_type="text/plain; charset=utf-8")

    with FakeServer(wire, plan) as server:
        row = ask(at(server, tmp_path), [question(1)], store).row(question(1))
    assert row is not None
    assert (row["text"], row["outcome"], row["input_tokens"], len(server.calls)) == ("brown", "ok", 12, 1)


@pytest.mark.parametrize("wire", WIRES)
def test_retry_after_is_waited_for(wire: Wire, store: Store, tmp_path: Path) -> None:
    times: list[float] = []

    def plan(number: int, _: Call) -> Say | Raw:
        times.append(time.monotonic())
        return Raw(429, "{}", {"Retry-After": "0.3"}) if number == 0 else Say()

    with FakeServer(wire, plan) as server:
        assert ask(at(server, tmp_path), [question(1)], store).n_new == 1
    assert times[1] - times[0] >= 0.3


@pytest.mark.parametrize("wire", WIRES)
def test_a_server_that_restarts_in_mid_run_is_waited_for(
    wire: Wire, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "FIRST_WAIT", 0.2)
    restarts: list[threading.Thread] = []

    def plan(number: int, call: Call) -> Say:
        if number == 10:
            restarts.append(threading.Thread(target=server.restart, args=(0.3,)))
            restarts[0].start()
        return Say(f"to {call.prompt}", seconds=0.02)

    requests = [question(n) for n in range(30)]
    with FakeServer(wire, plan) as server:
        asked = ask(at(server, tmp_path, concurrency=4, timeout=5.0), requests, store)
        restarts[0].join()
        assert len(server.calls) <= 30 + 4  # only what was in flight was lost
    assert (asked.n_new, asked.failures) == (30, {})
    texts = [row["text"] for request in requests if (row := asked.row(request))]
    assert texts == [f"to {request.prompt.text}" for request in requests]
