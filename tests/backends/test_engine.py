from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.backends import engine
from fgvr_kit.backends.base import Backend, Request, Response, open_backend
from fgvr_kit.backends.engine import ask, reply_key
from fgvr_kit.backends.pace import Pace
from fgvr_kit.errors import BackendError, BackendRefused, PluginError, RequestRejected, SettingsError
from fgvr_kit.settings import Settings
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.backends.contract import SCHEMA, opened, prompt, question
from tests.backends.servers import Call, FakeServer, Raw, Say

ROOT = Path(__file__).parents[2]


class Scripted(Backend):
    """Says what `script` gives for a request; remembers what it was asked."""

    def __init__(self, script: Callable[[Request], Response | BackendError]) -> None:
        super().__init__("scripted:m", "m")
        self.script = script
        self.batches: list[list[str]] = []
        self.n_closed = 0

    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        self.batches.append([request.prompt.text for request in requests])
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


# --- nothing is asked twice -----------------------------------------------------------------------------------


def test_equal_requests_share_one_call(store: Store) -> None:
    backend = Scripted(lambda _: said())
    first, twin = question(1), question(1, subject="6" * 64, attribute="another")
    asked = ask(backend, [first, first, twin], store)
    assert backend.batches == [["Question 1?"]]
    row = asked.row(first)
    assert row is not None
    assert row == asked.row(twin)
    assert row["subject"] == first.subject
    assert (asked.n_new, asked.n_stored) == (1, 0)


def test_batches_are_contiguous_and_hold_only_what_is_missing(store: Store) -> None:
    backend = Scripted(lambda _: said())
    ask(backend, [question(2)], store)
    backend.batches.clear()
    backend.batch_size = 3
    bar = Bar()
    ask(backend, [question(n) for n in range(6)], store, progress=bar, what="describe")
    assert backend.batches == [[f"Question {n}?" for n in (0, 1, 3)], [f"Question {n}?" for n in (4, 5)]]
    assert (bar.seen, bar.n) == (("describe", 6, 1), 5)
    assert backend.n_closed == 2


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": prompt("Question 2?")},
        {"prompt": prompt("Question 1?", "Be brief.")},
        {"images": (ImageRef(Path("a.jpg"), "7" * 64),)},
        {"schema": SCHEMA},
        {"max_tokens": 7},
        {"temperature": 0.5},
    ],
)
def test_whatever_changes_the_reply_changes_its_key(change: dict[str, Any]) -> None:
    backend = Scripted(lambda _: said())
    assert reply_key(backend, replace(question(1), **change)) != reply_key(backend, question(1))


def test_model_and_conditions_of_the_backend_are_in_the_key() -> None:
    one, other = Scripted(lambda _: said()), Scripted(lambda _: said())
    keys = [reply_key(one, question(1))]
    other.model = "n"
    keys.append(reply_key(other, question(1)))
    one.conditions = {"num_ctx": 512}
    keys.append(reply_key(one, question(1)))
    assert len(set(keys)) == 3


def test_where_an_image_lies_is_not_in_the_key_and_its_subject_only_when_the_backend_looks_at_it() -> None:
    backend = Scripted(lambda _: said())
    here, there = (question(1, images=(ImageRef(Path(p), "7" * 64),)) for p in ("a.jpg", "b/c.jpg"))
    assert reply_key(backend, here) == reply_key(backend, there)
    other = replace(here, subject="8" * 64)
    assert reply_key(backend, here) == reply_key(backend, other)
    backend.per_subject = True
    assert reply_key(backend, here) != reply_key(backend, other)


# --- outcomes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "outcome", "text"),
    [
        (said(" brown\n"), "ok", "brown"),
        (said(""), "invalid", ""),
        (said("The wing is", "length"), "cut_off", "The wing is"),
        (said("", "length"), "cut_off", ""),
        (said("I cannot help with that.", "refused"), "refused", "I cannot help with that."),
        (said("half \ud83d a pair, and \0"), "ok", "half ? a pair, and"),
    ],
)
def test_what_becomes_of_a_reply_without_a_judge(
    store: Store, reply: Response, outcome: str, text: str
) -> None:
    row = ask(Scripted(lambda _: reply), [question(1)], store).row(question(1))
    assert row is not None
    assert (row["outcome"], row["text"]) == (outcome, text)


def test_a_judge_saves_a_cut_off_reply_only_where_a_schema_was_asked_for(store: Store) -> None:
    requests = [question(1), question(1, schema=SCHEMA)]
    backend = Scripted(lambda _: said('{"colour": "brown"', "length"))
    asked = ask(backend, requests, store, judge=lambda _, __: ("repaired", '{"colour": "brown"}'))
    assert [row["outcome"] for r in requests if (row := asked.row(r))] == ["cut_off", "repaired"]


def test_only_so_many_new_replies_are_asked_for_and_the_next_call_goes_on(store: Store) -> None:
    backend = Scripted(lambda _: said())
    requests = [question(n) for n in range(7)]
    first = ask(backend, requests, store, max_calls=3)
    assert (first.n_new, first.n_stored, first.failures) == (3, 0, {engine.HELD_BACK: 4})
    assert first.errors[engine.HELD_BACK].code == "max-calls"
    assert [first.row(r) is None for r in requests] == [False] * 3 + [True] * 4
    second = ask(backend, requests, store, max_calls=3)
    assert (second.n_new, second.n_stored, second.failures) == (3, 3, {engine.HELD_BACK: 1})
    third = ask(backend, requests, store, max_calls=3)
    assert (third.n_new, third.n_stored, third.failures) == (1, 6, {})


def test_a_row_tells_all_about_its_reply(store: Store) -> None:
    request = question(1, prompt=prompt("Which?", "Look."), images=(ImageRef(Path("a.jpg"), "7" * 64),))
    backend = Scripted(lambda _: said(note="untrained toy model"))
    backend.conditions = {"num_ctx": 512}
    row = ask(backend, [request], store).row(request)
    assert row is not None
    assert row.pop("seconds") > 0
    assert row.pop("created")
    assert row == {
        "id": 1, "key": reply_key(backend, request), "backend": "scripted:m", "model": "m-1", "purpose": "extract",
        "subject": "5" * 64, "attribute": "attribute 1", "prompt_name": "extract/question",
        "template_hash": "0123456789abcdef", "system": "Look.", "prompt": "Which?", "images": f'["{"7" * 64}"]',
        "sampling": '{"max_tokens": 6, "temperature": 0.0, "num_ctx": 512}', "text": "brown", "outcome": "ok",
        "finish_reason": "stop", "input_tokens": 5, "output_tokens": 2, "note": "untrained toy model",
    }  # fmt: skip


def test_failed_replies_are_asked_again_only_on_request_and_keep_their_id(store: Store) -> None:
    requests = [question(1), question(2)]
    ask(Scripted(lambda r: said("" if r == requests[0] else "brown")), requests, store)
    backend = Scripted(lambda _: said("green"))
    asked = ask(backend, requests, store)
    assert (backend.batches, asked.n_new, asked.n_stored) == ([], 0, 2)
    assert [row["outcome"] for r in requests if (row := asked.row(r))] == ["invalid", "ok"]
    asked = ask(backend, requests, store, retry_failed=True)
    assert (backend.batches, asked.n_new, asked.n_stored) == ([["Question 1?"]], 1, 1)
    assert [(row["id"], row["text"]) for r in requests if (row := asked.row(r))] == [
        (1, "green"),
        (2, "brown"),
    ]


# --- what goes wrong ------------------------------------------------------------------------------------------


def test_a_rejected_request_is_counted_and_the_others_are_answered(store: Store) -> None:
    requests = [question(n) for n in range(4)]
    rejected = error("no-recorded-reply", RequestRejected)
    backend = Scripted(lambda r: rejected if r == requests[1] else said())
    backend.batch_size = 2
    bar = Bar()
    asked = ask(backend, requests, store, progress=bar)
    assert asked.failures == {"no recorded reply": 1}
    assert asked.errors == {"no recorded reply": rejected}
    assert [asked.row(r) is None for r in requests] == [False, True, False, False]
    assert (asked.n_new, bar.n, len(backend.batches)) == (3, 4, 2)


def test_only_what_failed_in_a_batch_is_asked_again(store: Store) -> None:
    n_asked: Counter[str] = Counter()

    def script(request: Request) -> Response | BackendError:
        n_asked[request.prompt.text] += 1
        return error() if request == question(1) and n_asked["Question 1?"] == 1 else said()

    backend = Scripted(script)
    backend.batch_size = 3
    asked = ask(backend, [question(n) for n in range(3)], store)
    assert backend.batches == [["Question 0?", "Question 1?", "Question 2?"], ["Question 1?"]]
    assert (asked.n_new, asked.failures) == (3, {})


def test_one_request_that_always_fails_does_not_stop_the_others(store: Store) -> None:
    backend = Scripted(lambda r: error() if r == question(1) else said())
    asked = ask(backend, [question(n) for n in range(4)], store)
    assert (asked.n_new, asked.failures) == (3, {"backend failed": 1})
    assert Counter(text for [text] in backend.batches)["Question 1?"] == engine.TRIES


def test_a_server_that_fails_always_stops_the_run(store: Store) -> None:
    backend = Scripted(lambda _: error())
    with pytest.raises(BackendError) as caught:
        ask(backend, [question(n) for n in range(100)], store)
    assert caught.value.code == "backend-failed"
    assert len(backend.batches) == 3 * engine.TRIES


def test_a_refusal_stops_at_once_and_what_was_answered_stays(store: Store) -> None:
    requests = [question(n) for n in range(50)]
    backend = Scripted(lambda r: error("backend-quota", BackendRefused) if r == requests[7] else said())
    backend.batch_size = 5
    with pytest.raises(BackendRefused) as caught:
        ask(backend, requests, store)
    assert caught.value.code == "backend-quota"
    assert len(backend.batches) == 2
    # Also what came in the same batch as the refusal: it was paid for.
    assert [row["prompt"] for row in store.all_replies()] == [f"Question {n}?" for n in range(10) if n != 7]
    assert backend.n_closed == 1


def test_a_bug_in_a_backend_keeps_its_type(store: Store) -> None:
    def script(_: Request) -> Response:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        ask(Scripted(script), [question(1), question(2)], store)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own handler, also where the tests were started in the background, which ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_keeps_what_was_answered(store: Store) -> None:
    def script(request: Request) -> Response:
        if request == question(3):
            os.kill(os.getpid(), signal.SIGINT)
        return said()

    backend = Scripted(script)
    with pytest.raises(KeyboardInterrupt):
        ask(backend, [question(n) for n in range(200)], store)
    n_kept = store.count("replies")
    assert 3 <= n_kept < 200
    asked = ask(Scripted(lambda _: said()), [question(n) for n in range(200)], store)
    assert (asked.n_stored, asked.n_new) == (n_kept, 200 - n_kept)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_reaches_a_model_that_never_waits(store: Store) -> None:
    class InProcess(Scripted):
        concurrency = 1

        async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
            if requests[0] == question(3):
                os.kill(os.getpid(), signal.SIGINT)
            return [said() for _ in requests]

    with pytest.raises(KeyboardInterrupt):
        ask(InProcess(lambda _: said()), [question(n) for n in range(200)], store)
    assert 3 <= store.count("replies") <= 6


def test_replies_in_flight_when_one_is_refused_are_kept(store: Store) -> None:
    class NoCredit(Scripted):
        concurrency = 8

        async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
            if requests[0] == question(7):
                raise BackendRefused("no credit", code="backend-quota", hint="pay")
            await asyncio.sleep(0.05)
            return [said() for _ in requests]

    with pytest.raises(BackendRefused):
        ask(NoCredit(lambda _: said()), [question(n) for n in range(100)], store)
    assert store.count("replies") == 7


def test_it_can_be_asked_from_inside_a_running_event_loop(store: Store) -> None:
    async def notebook() -> int:
        return ask(Scripted(lambda _: said()), [question(1)], store).n_new

    assert asyncio.run(notebook()) == 1


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
    assert (caught.value.code, n_tries) == ("backend-unreachable", engine.FIRST_TRIES)
    assert f"{host} cannot be reached" in caught.value.message
    assert "pw-7" not in repr(caught.value.lines())


def test_as_many_requests_are_in_flight_as_the_settings_say(store: Store, tmp_path: Path) -> None:
    with FakeServer("openai", lambda _, __: Say(seconds=0.05)) as server:
        ask(openai(server, tmp_path, concurrency=4), [question(n) for n in range(16)], store)
    assert server.n_busy == 4


KILLED = """
import sys
from pathlib import Path
from fgvr_kit.backends.engine import ask
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


# --- naming a backend -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "kind", "code", "hint"),
    [
        ("", SettingsError, "no-backend", "--backend openai:MODEL"),
        ("  ", SettingsError, "no-backend", "under [extract] in fgvr.toml"),
        ("gpt-4o", SettingsError, "backend-spec", '"openai:gpt-4o-mini"'),
        ("openai:", SettingsError, "backend-spec", "BACKEND:MODEL"),
        (":gpt-4o", SettingsError, "backend-spec", "BACKEND:MODEL"),
        ("olama:qwen2.5vl:7b", PluginError, "unknown-backend", "did you mean 'ollama'?"),
    ],
)
def test_a_spec_that_names_nobody_says_how_to_write_it(
    spec: str, kind: type[Exception], code: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught:
        open_backend(spec, Settings(), tmp_path, key="extract.backend")
    assert isinstance(caught.value, SettingsError | PluginError)
    assert caught.value.code == code
    assert hint in caught.value.hint


def test_only_the_first_colon_parts_backend_and_model(tmp_path: Path) -> None:
    backend = open_backend(" Ollama:qwen2.5vl:7b ", Settings(), tmp_path, key="extract.backend")
    assert (backend.spec, backend.model) == ("ollama:qwen2.5vl:7b", "qwen2.5vl:7b")
