from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.asking import run
from fgvr_kit.asking.budget import Budget
from fgvr_kit.asking.engine import ask
from fgvr_kit.asking.estimate import Estimator
from fgvr_kit.asking.keys import reply_key
from fgvr_kit.asking.limits import HELD_BACK, OUT_OF_BUDGET, Limits
from fgvr_kit.asking.prices import Price
from fgvr_kit.backends.base import Backend, Request, Response, Turn
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef, Outcome
from tests.asking.scripted import Bar, Scripted, error, said
from tests.backends.contract import SCHEMA, prompt, question

ROOT = Path(__file__).parents[2]


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
        {"options": ("red", "blue")},
        {"sample": 1},
        {"turns": (Turn("a", "b"),)},
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
    first = ask(backend, requests, store, limits=Limits(max_calls=3))
    assert (first.n_new, first.n_stored, first.failures) == (3, 0, {HELD_BACK: 4})
    assert first.errors[HELD_BACK].code == "max-calls"
    assert [first.row(r) is None for r in requests] == [False] * 3 + [True] * 4
    second = ask(backend, requests, store, limits=Limits(max_calls=3))
    assert (second.n_new, second.n_stored, second.failures) == (3, 3, {HELD_BACK: 1})
    third = ask(backend, requests, store, limits=Limits(max_calls=3))
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
        "subject": "5" * 64, "attribute": "attribute 1", "prompt_id": 1, "prompt_name": "extract/question",
        "template_hash": "0123456789abcdef", "system": "Look.", "prompt": "Which?", "images": f'["{"7" * 64}"]',
        "sampling": '{"max_tokens": 6, "temperature": 0.0, "num_ctx": 512}', "text": "brown", "outcome": "ok",
        "finish_reason": "stop", "input_tokens": 5, "output_tokens": 2, "note": "untrained toy model",
        "cost": None, "max_tokens": 6, "calls": 1, "rejected": None, "sample": 0, "scores": None,
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


def test_a_cut_off_reply_is_asked_again_when_more_tokens_are_allowed_and_no_other(store: Store) -> None:
    short = [question(n, max_tokens=6) for n in range(3)]
    ask(Scripted(lambda r: said("so", "length" if r == short[1] else "stop")), short, store)
    backend = Scripted(lambda _: said("so it is"))
    longer = [replace(request, max_tokens=12) for request in short]
    asked = ask(backend, longer, store)
    assert backend.batches == [["Question 1?"]]
    assert [row["text"] for _, row in asked.rows(longer) if row] == ["so", "so it is", "so"]
    fewer = [replace(request, max_tokens=3) for request in short]
    assert ask(backend, fewer, store).n_new == 0


# --- money --------------------------------------------------------------------------------------------------


def priced(usd_a_token: float = 1.0) -> Price:
    return Price("scripted:m", "given", "a test", *[usd_a_token * 1e6] * 5)


def purse(backend: Backend, usd: float, price: Price) -> Limits:
    return Limits(0, price, Budget(usd, price), Estimator(backend, lambda _: None))


def test_each_row_tells_what_it_cost_and_an_unknown_price_is_not_nothing(store: Store) -> None:
    backend = Scripted(lambda _: said())  # 5 tokens in, 2 out
    asked = ask(backend, [question(1), question(2)], store, limits=Limits(price=priced(0.5)))
    assert (asked.cost, asked.tokens) == (7.0, 14)
    assert [row["cost"] for row in store.all_replies()] == [3.5, 3.5]
    unknown = Limits(price=Price("scripted:m", "unknown", "unknown"))
    asked = ask(backend, [question(3)], store, limits=unknown)
    assert (asked.cost, asked.n_unpriced) == (0.0, 1)
    assert [row["cost"] for row in store.all_replies()] == [3.5, 3.5, None]


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_budget_stops_the_run_and_tells_what_is_left(store: Store, concurrency: int) -> None:
    backend = Scripted(lambda _: said())
    backend.concurrency = concurrency
    requests = [question(n) for n in range(100)]
    asked = ask(backend, requests, store, limits=purse(backend, 700.0, priced()))
    assert asked.cost is not None
    assert asked.cost <= 700.0
    assert (
        50 <= asked.n_new == store.count("replies") <= 100
    )  # a call costs 7 USD, and more was set aside at first
    (reason,) = asked.failures
    assert asked.failures == {OUT_OF_BUDGET: 100 - asked.n_new}
    assert asked.errors[reason].code == "budget-spent"
    assert f"{100 - asked.n_new:,} replies are missing" in asked.errors[reason].message
    again = ask(backend, requests, store, limits=purse(backend, 1e6, priced()))
    assert (again.n_new, again.failures) == (100 - asked.n_new, {})


def test_a_budget_too_small_for_one_call_asks_nothing(store: Store) -> None:
    backend = Scripted(lambda _: said())
    asked = ask(backend, [question(1)], store, limits=purse(backend, 0.5, priced()))
    assert (asked.n_new, backend.batches, asked.failures) == (0, [], {OUT_OF_BUDGET: 1})


@pytest.mark.timeout(60)
def test_a_run_that_ends_lets_go_of_those_who_wait_for_money(store: Store) -> None:
    """Of eight, one is refused while the others wait for what it holds."""

    class NoCredit(Scripted):
        concurrency = 8

        async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
            await asyncio.sleep(0.01)
            raise BackendRefused("no credit", code="backend-quota", hint="pay")

    backend = NoCredit(lambda _: said())
    call = Estimator(backend, lambda _: None).of(question(1))
    most = priced().cost(call.input.high, call.output.high)
    assert most is not None
    with pytest.raises(BackendRefused):
        ask(backend, [question(n) for n in range(40)], store, limits=purse(backend, 1.5 * most, priced()))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("usd", [20.0, 50.0, 91.0, 130.0, 300.0])
def test_whatever_the_budget_a_run_comes_to_its_end(store: Store, usd: float) -> None:
    class Slow(Scripted):
        concurrency = 8

        async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
            await asyncio.sleep(random.random() / 200)
            return [said() for _ in requests]

    backend = Slow(lambda _: said())
    asked = ask(backend, [question(n) for n in range(60)], store, limits=purse(backend, usd, priced()))
    assert asked.n_new + sum(asked.failures.values()) == 60
    assert asked.charged <= usd


def test_tokens_that_the_server_had_in_its_cache_are_priced_as_such(store: Store) -> None:
    price = Price("scripted:m", "given", "a test", 1e6, 1e6, 0.1e6, 1e6, 1e6)
    backend = Scripted(lambda _: Response("so", "m", "stop", 100, 0, cached_tokens=90))
    assert ask(backend, [question(1)], store, limits=Limits(price=price)).cost == pytest.approx(19.0)


def test_a_reply_that_came_too_late_counts_against_the_budget(store: Store) -> None:
    backend = Scripted(lambda _: error("backend-timeout"))
    limits = purse(backend, 1e6, priced())
    with pytest.raises(BackendError):
        ask(backend, [question(1)], store, limits=limits)
    assert limits.budget is not None
    assert limits.budget.spent > 0


# --- one turn to mend a reply ---------------------------------------------------------------------------------


def judge(_: Request, text: str) -> tuple[Outcome, str]:
    return ("ok" if text.startswith("{") else "invalid"), text


def mend(_: Request, said: str) -> str:
    return f"{said!r} is no JSON"


def test_an_invalid_reply_gets_one_turn_and_what_was_said_first_is_kept(store: Store) -> None:
    backend = Scripted(lambda r: said("{}" if r.turns else "Sure!"))
    asked = ask(backend, [question(1)], store, judge=judge, mend=mend)
    row = asked.row(question(1))
    assert row is not None
    assert (row["outcome"], row["text"], row["rejected"], row["calls"]) == ("repaired", "{}", "Sure!", 2)
    assert (row["input_tokens"], row["output_tokens"], asked.n_new, asked.n_calls) == (10, 4, 1, 2)
    assert [r.turns for r in backend.requests] == [(), (Turn("Sure!", "'Sure!' is no JSON"),)]


def test_it_is_one_turn_only_and_never_for_a_refusal_or_a_reply_that_was_cut_off(store: Store) -> None:
    replies = {
        "Question 1?": said("no"),
        "Question 2?": said("no", "refused"),
        "Question 3?": said("no", "length"),
    }
    backend = Scripted(lambda r: replies[r.prompt.text])
    requests = [question(n) for n in (1, 2, 3)]
    asked = ask(backend, requests, store, judge=judge, mend=mend)
    assert asked.n_calls == 4
    assert asked.outcomes == {"invalid": 1, "refused": 1, "cut_off": 1}
    assert ask(backend, requests, store, judge=judge, mend=mend).n_calls == 0


def test_a_kill_before_the_repair_turn_costs_nothing(store: Store) -> None:
    first = Scripted(lambda _: said("Sure!"))
    ask(first, [question(1)], store, judge=judge)  # as if killed between the reply and its repair
    backend = Scripted(lambda _: said("{}"))
    row = ask(backend, [question(1)], store, judge=judge, mend=mend).row(question(1))
    assert row is not None
    assert [len(r.turns) for r in backend.requests] == [1]
    assert (row["outcome"], row["rejected"], row["calls"]) == ("repaired", "Sure!", 2)


def test_when_the_repair_turn_gets_no_reply_the_first_one_stands(store: Store) -> None:
    backend = Scripted(lambda r: error("no-recorded-reply", RequestRejected) if r.turns else said("Sure!"))
    asked = ask(backend, [question(1)], store, judge=judge, mend=mend)
    row = asked.row(question(1))
    assert row is not None
    assert (row["outcome"], row["calls"], asked.failures) == ("invalid", 1, {"no recorded reply": 1})


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
