"""What a run may cost: calls, and money."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from fgvr_kit.asking.budget import Budget, Hold
from fgvr_kit.asking.estimate import Estimator
from fgvr_kit.asking.prices import Price
from fgvr_kit.asking.ranges import Range
from fgvr_kit.backends.base import Request, Response
from fgvr_kit.errors import BackendError

HELD_BACK = "held back by ask.max_calls"
OUT_OF_BUDGET = "held back by the budget"


@dataclass(frozen=True, slots=True)
class Limits:
    """max_calls: replies that may be asked for; 0: all that are missing; below 0: none.

    price: of the model; None: nobody asked.  budget: with an estimator, which says what a call may cost.
    """

    max_calls: int = 0
    price: Price | None = None
    budget: Budget | None = None
    estimator: Estimator | None = None

    def cost_of(self, reply: Response, *, batch: bool = False) -> float | None:
        """USD of one call; None when nobody knows. batch: made through the provider's batch service."""
        if self.price is None or reply.input_tokens is None or reply.output_tokens is None:
            return 0.0 if self.price is not None and self.price.is_free else None
        cached = reply.cached_tokens or 0
        return self.price.cost(reply.input_tokens, reply.output_tokens, cached=cached, batch=batch)

    def over_max_calls(self, n: int) -> BackendError:
        return BackendError(
            f"ask.max_calls allows no more new replies; {n:,} {'is' if n == 1 else 'are'} left",
            code="max-calls",
            hint="the same command asks for as many again; a larger [ask] max_calls for more at once",
        )

    def over_budget(self, left: Iterable[Request]) -> BackendError:
        """left: what was not asked any more."""
        assert self.budget is not None
        total, n = Range(0, 0, 0), 0
        for request in left:
            total, n = total.plus(self._cost_range(request)), n + 1
        told = self.budget.stopped(n, total)
        return BackendError(told.message, code=told.code, hint=told.hint)

    def _cost_range(self, request: Request) -> Range:
        assert self.estimator is not None
        assert self.price is not None
        estimate = self.estimator.of(request)
        low, likely, high = (
            self.price.cost(read, written) or 0.0
            for read, written in zip(estimate.input, estimate.output, strict=True)
        )
        return Range(low, likely, high)


NO_LIMITS = Limits()


@dataclass
class Purse:
    """Money for calls in flight: set aside before a call, settled after it."""

    limits: Limits
    stop: asyncio.Event
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def reserve(self, requests: Iterable[Request]) -> list[Hold] | None:
        """Set money aside for all of them, waiting for calls in flight to settle.

        None when there is none left, or when the run has ended meanwhile.
        """
        budget, estimator = self.limits.budget, self.limits.estimator
        if budget is None or estimator is None or budget.is_idle:
            return []
        estimates = [estimator.of(request) for request in requests]
        while True:
            holds: list[Hold] = []
            for estimate in estimates:
                if (hold := budget.reserve(estimate)) is None:
                    break
                holds.append(hold)
            else:
                return holds
            for hold in holds:
                budget.release(hold)
            if self.stop.is_set() or not budget.may_wait:
                return None
            self._changed.clear()
            await self._changed.wait()

    def settle(self, holds: Iterable[Hold], replies: Iterable[Response | BackendError]) -> None:
        """What came back, in the order of the requests. What was refused is not charged for; a reply that came too
        late may be: it counts as what was set aside."""
        budget = self.limits.budget
        assert budget is not None
        for hold, reply in zip(holds, replies, strict=True):
            if isinstance(reply, Response):
                budget.settle(hold, self.limits.cost_of(reply))
            elif reply.code == "backend-timeout":
                budget.settle(hold, None)
            else:
                budget.release(hold)
        self.wake()

    def release(self, holds: Iterable[Hold]) -> None:
        """Nothing was sent after all."""
        if self.limits.budget is not None:
            for hold in holds:
                self.limits.budget.release(hold)
        self.wake()

    def wake(self) -> None:
        """Whoever waits in `reserve` looks again."""
        self._changed.set()
