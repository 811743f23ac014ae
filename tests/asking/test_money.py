from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from fgvr_kit.asking.budget import Budget
from fgvr_kit.asking.engine import ask
from fgvr_kit.asking.estimate import Estimator
from fgvr_kit.asking.limits import OUT_OF_BUDGET, Limits
from fgvr_kit.asking.prices import Price
from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.errors import BackendError, BackendRefused
from fgvr_kit.store import Store
from tests.asking.scripted import Scripted, error, said
from tests.backends.contract import question

ROOT = Path(__file__).parents[2]


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
