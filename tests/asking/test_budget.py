from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgvr_kit.asking.budget import ENOUGH, Budget
from fgvr_kit.asking.estimate import Estimate, Kind
from fgvr_kit.asking.prices import Price, find_price
from fgvr_kit.asking.ranges import Range, exactly
from fgvr_kit.errors import SettingsError

KIND = Kind("extract", "extract/question", "colour")
OTHER = Kind("describe", "describe/summary", None)
CENT = Price("openai:m", "given", "prices.toml", 10_000, 10_000, None, 5_000, 5_000)
"""A cent a token, half of it in a batch."""


def call(tokens: float, kind: Kind = KIND) -> Estimate:
    return Estimate(kind, Range(0, tokens / 2, tokens), exactly(0))


def test_calls_in_flight_count_before_their_bill_is_known() -> None:
    budget = Budget(1.0, CENT)
    held = [budget.reserve(call(30)) for _ in range(4)]
    assert [hold is not None for hold in held] == [True, True, True, False]
    assert budget.reserved == pytest.approx(0.9)
    assert budget.may_wait
    assert held[0] is not None
    budget.settle(held[0], 0.05)
    assert (budget.spent, budget.reserved) == pytest.approx((0.05, 0.6))
    assert budget.reserve(call(30)) is not None


def test_the_dearest_call_seen_replaces_the_estimate_of_its_kind() -> None:
    budget = Budget(100.0, CENT)
    for cost in [0.02, 0.07, *[0.03] * (ENOUGH - 2)]:
        assert budget.amount_for(call(50)) == pytest.approx(0.5)
        hold = budget.reserve(call(50))
        assert hold is not None
        budget.settle(hold, cost)
    assert budget.amount_for(call(50)) == pytest.approx(0.07)
    assert budget.amount_for(call(50, OTHER)) == pytest.approx(0.5)


def test_a_call_without_a_bill_cost_what_was_set_aside_and_a_failed_one_nothing() -> None:
    budget = Budget(1.0, CENT)
    silent, failed = budget.reserve(call(30)), budget.reserve(call(30))
    assert silent is not None
    assert failed is not None
    budget.settle(silent, None)
    budget.release(failed)
    assert (budget.spent, budget.reserved) == (pytest.approx(0.3), 0)
    assert not budget.may_wait


def test_a_batch_reserves_the_batch_price() -> None:
    assert Budget(1.0, CENT, batch=True).amount_for(call(30)) == pytest.approx(0.15)


def test_a_budget_without_a_price_is_an_error_that_says_how_to_give_one() -> None:
    with pytest.raises(SettingsError) as caught:
        Budget(5.0, find_price("openai:my-model", "https://llm.example.org", {}))
    assert caught.value.code == "price-unknown"
    assert '"openai:my-model"' in caught.value.hint


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_that_pays_for_nothing_is_an_error(limit: float) -> None:
    with pytest.raises(SettingsError) as caught:
        Budget(limit, CENT)
    assert caught.value.code == "budget-value"


def test_where_nothing_is_charged_a_budget_has_no_effect_and_says_so() -> None:
    budget = Budget(0.01, find_price("transformers:toy-vlm", None, {}))
    assert budget.is_idle
    assert budget.note is not None
    assert all(budget.reserve(call(10**9)) for _ in range(100))
    assert Budget(1.0, CENT).note is None


def test_the_end_tells_what_remains_and_what_it_will_cost() -> None:
    error = Budget(1.0, CENT).stopped(1234, Range(1.0, 2.5, 4.0))
    assert (error.code, error.exit_code) == ("budget-spent", 4)
    assert "1,234" in error.message
    assert "2.50" in error.message


CALLS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 60), st.sampled_from([KIND, OTHER])), max_size=60
)


@given(CALLS, st.integers(1, 500), st.integers(1, 8), st.randoms(use_true_random=False))
def test_spent_passes_the_limit_at_most_by_what_calls_in_flight_were_misjudged(
    calls, cents, at_once, chance
) -> None:  # type: ignore[no-untyped-def]
    """Calls (estimated, real tokens, kind) start while there is room and come back in any order."""
    budget = Budget(cents / 100, CENT)
    in_flight: list[tuple[object, float, float]] = []
    excess = 0.0
    for estimated, real, kind in calls:
        while len(in_flight) >= at_once:
            excess = _settle(budget, in_flight, chance, excess)
        hold = budget.reserve(call(estimated, kind))
        if hold is not None:
            in_flight.append((hold, hold.amount, real / 100))
        assert budget.spent + budget.reserved <= budget.limit + excess + 1e-9
        assert budget.n_in_flight == len(in_flight)
    while in_flight:
        excess = _settle(budget, in_flight, chance, excess)
    assert budget.spent <= budget.limit + excess + 1e-9
    assert (budget.reserved, budget.may_wait) == (0, False)


def _settle(budget: Budget, in_flight: list, chance, excess: float) -> float:  # type: ignore[no-untyped-def, type-arg]
    hold, amount, cost = in_flight.pop(chance.randrange(len(in_flight)))
    budget.settle(hold, cost)
    return excess + max(0.0, cost - amount)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), st.integers(1, 300), st.integers(1, 8))
def test_a_limit_holds_exactly_where_no_call_costs_more_than_its_estimate(
    reals: list[int], cents: int, at_once: int
) -> None:
    """ENOUGH dear calls first: the dearest seen is then the dearest there is."""
    budget = Budget(cents / 100, CENT)
    in_flight: list[tuple[object, float]] = []
    for real in [30] * ENOUGH + reals:
        if len(in_flight) >= at_once:
            budget.settle(*in_flight.pop(0))  # type: ignore[arg-type]
        hold = budget.reserve(call(30))
        if hold is not None:
            in_flight.append((hold, real / 100))
    for held in in_flight:
        budget.settle(*held)  # type: ignore[arg-type]
    assert budget.spent <= budget.limit + 1e-9
