from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from fgvr_kit.asking import run
from fgvr_kit.asking.engine import ask
from fgvr_kit.asking.keys import reply_key
from fgvr_kit.backends.base import Request, Response
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected
from fgvr_kit.store import Store
from tests.asking.scripted import Bar, Scripted, error, said
from tests.backends.contract import question

ROOT = Path(__file__).parents[2]


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


def test_what_got_no_reply_is_listed_until_it_gets_one(store: Store) -> None:
    backend = Scripted(lambda _: error("request-rejected", RequestRejected))
    ask(backend, [question(1)], store)
    (failure,) = store.failures()
    assert (failure["key"], failure["code"], failure["subject"], failure["attribute"]) == (
        reply_key(backend, question(1)), "request-rejected", "5" * 64, "attribute 1",
    )  # fmt: skip
    ask(Scripted(lambda _: said()), [question(1)], store)
    assert store.failures() == []


def test_requests_may_come_one_after_the_other(store: Store) -> None:
    async def coming() -> AsyncIterator[Request]:
        for n in range(5):
            await asyncio.sleep(0)
            yield question(n)

    assert ask(Scripted(lambda _: said()), coming(), store).n_new == 5
    assert ask(Scripted(lambda _: said()), (question(n) for n in range(6)), store).n_new == 1


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
    assert Counter(text for [text] in backend.batches)["Question 1?"] == run.TRIES


def test_a_server_that_fails_always_stops_the_run(store: Store) -> None:
    backend = Scripted(lambda _: error())
    with pytest.raises(BackendError) as caught:
        ask(backend, [question(n) for n in range(100)], store)
    assert caught.value.code == "backend-failed"
    assert len(backend.batches) == 3 * run.TRIES


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
def test_the_first_ctrl_c_lets_in_what_is_in_flight_and_begins_nothing(store: Store) -> None:
    class Slow(Scripted):
        concurrency = 4

        async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
            self.batches.append([request.prompt.text for request in requests])
            if len(self.batches) == 6:
                os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)
            return [said() for _ in requests]

    backend = Slow(lambda _: said())
    with pytest.raises(KeyboardInterrupt):
        ask(backend, [question(n) for n in range(50)], store)
    assert store.count("replies") == len(backend.batches) < 12
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
def test_the_second_ctrl_c_stops_at_once(store: Store) -> None:
    class Hanging(Scripted):
        async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0.01)
            await asyncio.sleep(60)
            return []

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        ask(Hanging(lambda _: said()), [question(1)], store)
    assert time.monotonic() - started < 30
    assert store.count("replies") == 0


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
