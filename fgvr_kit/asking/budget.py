"""A budget that holds: calls in flight count before their bill is known.

Every call reserves what it may cost, and settles what it did. While no call of its kind has come back often
enough that is the high end of its estimate, then the dearest one seen. So what is spent passes the limit at most
by how much the calls in flight cost more than anything before them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from fgvr_kit.asking.estimate import Estimate, Kind
from fgvr_kit.asking.plan import shown_usd
from fgvr_kit.asking.prices import Price
from fgvr_kit.asking.ranges import Range
from fgvr_kit.errors import PartlyDone, SettingsError

ENOUGH = 5
"""Settled calls of a kind from which on the dearest of them stands for the next."""


class Hold(NamedTuple):
    """Money set aside for one call in flight."""

    kind: Kind
    amount: float


@dataclass(slots=True)
class _Seen:
    n: int = 0
    dearest: float = 0.0


@dataclass(slots=True)
class Budget:
    """limit: USD.  spent: of calls that came back.  reserved: for calls in flight.

    Raises SettingsError without a price (code "price-unknown") and for a limit that is none ("budget-value").
    """

    limit: float
    price: Price
    batch: bool = False
    spent: float = 0.0
    reserved: float = 0.0
    n_in_flight: int = 0
    _seen: dict[Kind, _Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise SettingsError(
                f"a budget of {self.limit:g} USD pays for nothing", code="budget-value", hint="--budget 5.00"
            )
        if not self.price.is_known:
            raise SettingsError(
                f"a budget cannot be kept: nobody knows what {self.price.spec} costs",
                code="price-unknown",
                where="prices.toml",
                why="it is neither in prices.toml nor in the list of genai-prices",
                hint=f'write a line "{self.price.spec}" = {{ input = 0.15, output = 0.60 }} (USD a million tokens; '
                "0 where there is no bill) into prices.toml in the workspace; or leave the budget out",
            )

    @property
    def is_idle(self) -> bool:
        """Whether it has no effect: the model costs nothing."""
        return self.price.is_free

    @property
    def note(self) -> str | None:
        """What must be said about it before it begins."""
        return (
            f"the budget has no effect: {self.price.spec} costs nothing ({self.price.source})"
            if self.is_idle
            else None
        )

    @property
    def left(self) -> float:
        """USD that are neither spent nor reserved."""
        return self.limit - self.spent - self.reserved

    @property
    def may_wait(self) -> bool:
        """Whether calls in flight may give room back when they settle. Where not, a refusal is final."""
        return self.n_in_flight > 0

    def reserve(self, estimate: Estimate) -> Hold | None:
        """Set money aside for a call, or refuse it."""
        amount = 0.0 if self.is_idle else self.amount_for(estimate)
        if amount > self.left + 1e-12 and not self.is_idle:
            return None
        self.reserved += amount
        self.n_in_flight += 1
        return Hold(estimate.kind, amount)

    def amount_for(self, estimate: Estimate) -> float:
        """USD that a call may cost."""
        seen = self._seen.get(estimate.kind)
        if seen is not None and seen.n >= ENOUGH:
            return seen.dearest
        return self.price.cost(estimate.input.high, estimate.output.high, batch=self.batch) or 0.0

    def settle(self, hold: Hold, cost: float | None) -> None:
        """A call came back. cost: USD; None where the server did not tell: then it cost what was set aside."""
        self._let_go(hold)
        self.spent += hold.amount if cost is None else cost
        if cost is not None:
            seen = self._seen.setdefault(hold.kind, _Seen())
            seen.n += 1
            seen.dearest = max(seen.dearest, cost)

    def release(self, hold: Hold) -> None:
        """A call failed and is not charged for."""
        self._let_go(hold)

    def _let_go(self, hold: Hold) -> None:
        self.n_in_flight -= 1
        self.reserved = max(0.0, self.reserved - hold.amount) if self.n_in_flight else 0.0

    def stopped(self, n_left: int, cost_left: Range | None) -> PartlyDone:
        """The end of a run that the budget stopped (code "budget-spent", exit 4).

        n_left: replies that are missing.  cost_left: USD that a plan of them says.
        """
        more = ""
        if cost_left is not None:
            more = f", about {shown_usd(cost_left.likely)} ({shown_usd(cost_left.low)} to {shown_usd(cost_left.high)})"
        return PartlyDone(
            f"the budget of {shown_usd(self.limit)} has no room for another call: {shown_usd(self.spent)} spent, "
            f"{n_left:,} {'reply is' if n_left == 1 else 'replies are'} missing{more}",
            code="budget-spent",
            hint="the same command with a new --budget asks for the rest, and only for that",
        )
