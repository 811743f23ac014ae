"""What asking will take, before anything is sent: calls, tokens, time and money.

Without replies it is an estimate (estimate.py). A few real replies make it a calibration: their tokens replace
the estimates for requests of the same kind, and correct them for all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import sqrt
from statistics import fmean, stdev
from typing import Any, NamedTuple

from fgvr_kit.asking.estimate import Estimate, Estimator, Kind
from fgvr_kit.asking.prices import Price
from fgvr_kit.asking.ranges import NOTHING, Range, Total, corners
from fgvr_kit.backends.base import Backend, Request

SAMPLE = 5
"""Real calls that are enough to calibrate with."""
WIDTH = 2.0
"""Standard errors on each side of a calibrated figure."""
LEAST_SPREAD = 0.02
"""Relative spread that is assumed at least: five equal replies do not prove that all are equal."""
LONE_SPREAD = {"input": 0.05, "output": 0.5, "seconds": 0.5}
"""Relative spread that a single reply stands for."""
BATCH_SECONDS = Range(10 * 60, 4 * 3600, 24 * 3600)
"""A batch API promises a day; most are back within hours."""


class Sample(NamedTuple):
    """A real reply beside its estimate. ratio: of its input tokens to the estimated ones, None where unknown."""

    kind: Kind
    ratio: float | None
    output: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """n figures: their mean, and how far they lie from it."""

    n: int
    mean: float
    deviation: float

    @classmethod
    def of(cls, figures: list[float], lone: float) -> Spread:
        mean = fmean(figures)
        found = stdev(figures) if len(figures) > 1 else lone * mean
        return cls(len(figures), mean, max(found, LEAST_SPREAD * mean))

    def mean_of(self, n: int) -> Range:
        """The mean of n more of them: neither their true mean nor chance among the n is known."""
        error = WIDTH * self.deviation * sqrt(1 / self.n + 1 / max(1, n))
        return Range(max(0.0, self.mean - error), self.mean, self.mean + error)


class Calibration:
    """What real replies of the same backend took. Empty without any."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)
        self.n = len(self._samples)

    @classmethod
    def from_replies(
        cls, pairs: Iterable[tuple[Request, dict[str, Any]]], estimator: Estimator
    ) -> Calibration:
        """pairs: requests, and their rows of table `replies` (input_tokens, output_tokens, seconds)."""
        return cls(_sample(request, row, estimator) for request, row in pairs)

    def ratio(self, kind: Kind) -> Spread | None:
        """Real input tokens over estimated ones."""
        return self._closest("input", kind, [(s.kind, s.ratio) for s in self._samples], is_general=True)

    def output(self, kind: Kind) -> Spread | None:
        """Output tokens of a reply; None where no reply to this prompt was seen."""
        return self._closest("output", kind, [(s.kind, s.output) for s in self._samples], is_general=False)

    def seconds(self) -> Spread | None:
        """Seconds of a call."""
        found = [s.seconds for s in self._samples if s.seconds is not None]
        return Spread.of(found, LONE_SPREAD["seconds"]) if found else None

    def _closest(
        self, what: str, kind: Kind, figures: list[tuple[Kind, float | None]], *, is_general: bool
    ) -> Spread | None:
        """Of the very same kind where that was seen twice, else of the same prompt, else of all."""
        same = [value for k, value in figures if value is not None and k == kind]
        alike = [value for k, value in figures if value is not None and k[:2] == kind[:2]]
        everything = [value for _, value in figures if value is not None] if is_general else []
        found = same if len(same) > 1 else alike or everything
        return Spread.of(found, LONE_SPREAD[what]) if found else None


def _sample(request: Request, row: dict[str, Any], estimator: Estimator) -> Sample:
    """A reply that was mended counts with both its calls: so many of the others will be mended too."""
    estimate = estimator.of(request)
    n_calls = row.get("calls") or 1
    read, written = row.get("input_tokens"), row.get("output_tokens")
    ratio = None if read is None or not estimate.input.likely else read / estimate.input.likely
    return Sample(estimate.kind, ratio, written, None if not row.get("seconds") else row["seconds"] / n_calls)


NO_REPLIES = Calibration(())


@dataclass(frozen=True, slots=True)
class Plan:
    """What the missing replies will take.

    calls: how many are missing.  stored: how many are there.  seconds, cost (USD): None where nobody can tell.
    basis: what the figures rest on.  notes: sentences that must stand beside them.
    """

    backend: str
    calls: int
    stored: int
    input_tokens: Range
    output_tokens: Range
    seconds: Range | None
    cost: Range | None
    price: Price
    basis: str
    notes: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(what, low, likely, high) for a table, in words."""
        counts = [("input tokens", self.input_tokens), ("output tokens", self.output_tokens)]
        rows = [("calls", "", f"{self.calls:,}", ""), ("already stored", "", f"{self.stored:,}", "")]
        rows += [(what, *(f"{round(figure):,}" for figure in parts)) for what, parts in counts]  # type: ignore[misc]
        rows.append(("time", *_three(self.seconds, shown_time)))
        rows.append(("price", *_three(self.cost, shown_usd)))
        return rows

    def as_dict(self) -> dict[str, Any]:
        """For --json: plain data; unknown figures are null."""
        ranges = {
            name: None if found is None else found._asdict()
            for name, found in (
                ("input_tokens", self.input_tokens), ("output_tokens", self.output_tokens),
                ("seconds", self.seconds), ("cost_usd", self.cost),
            )
        }  # fmt: skip
        head = {"backend": self.backend, "calls": self.calls, "stored": self.stored}
        tail = {"price": self.price.source, "basis": self.basis, "notes": list(self.notes)}
        return head | ranges | tail


@dataclass(slots=True)
class _Group:
    """The requests of one kind that are missing."""

    n: int = 0
    input: Total = field(default_factory=Total)
    output: Total = field(default_factory=Total)

    def add(self, estimate: Estimate) -> None:
        self.n += 1
        self.input.add(estimate.input)
        self.output.add(estimate.output)


def plan(
    requests: Iterable[Request],
    backend: Backend,
    estimator: Estimator,
    price: Price,
    *,
    is_stored: Callable[[Request], bool],
    calibration: Calibration = NO_REPLIES,
    batch: bool = False,
) -> Plan:
    """Look at every request once; none is kept, so a million of them need no more memory than ten.

    batch: through the provider's batch API.
    """
    groups: dict[Kind, _Group] = {}
    n_stored = 0
    for request in requests:
        if is_stored(request):
            n_stored += 1
        else:
            estimate = estimator.of(request)
            groups.setdefault(estimate.kind, _Group()).add(estimate)
    n_calls = sum(group.n for group in groups.values())
    reading = _sum(_reading(kind, group, calibration) for kind, group in groups.items())
    writing = _sum(_writing(kind, group, calibration) for kind, group in groups.items())
    return Plan(
        backend.spec, n_calls, n_stored, reading.rounded(), writing.rounded(),
        seconds=BATCH_SECONDS if batch else _time(n_calls, backend, calibration),
        cost=_money(price, reading, writing, batch),
        price=price,
        basis=_basis(calibration),
        notes=tuple(_notes(groups, estimator, price, calibration)),
    )  # fmt: skip


def _reading(kind: Kind, group: _Group, calibration: Calibration) -> Range:
    ratio = calibration.ratio(kind)
    estimated = group.input.range()
    return estimated if ratio is None else ratio.mean_of(group.n).times(estimated.likely)


def _writing(kind: Kind, group: _Group, calibration: Calibration) -> Range:
    seen = calibration.output(kind)
    return group.output.range() if seen is None else seen.mean_of(group.n).times(group.n)


def _time(n_calls: int, backend: Backend, calibration: Calibration) -> Range | None:
    """From real replies only. `high` is at half the concurrency: servers slow down under load."""
    seen = calibration.seconds()
    if seen is None:
        return None
    whole = seen.mean_of(n_calls).times(n_calls / max(1, backend.concurrency))
    return Range(whole.low, whole.likely, whole.high * (2 if backend.concurrency > 1 else 1))


def _money(price: Price, reading: Range, writing: Range, batch: bool) -> Range | None:
    if not price.is_known:
        return None
    return corners(lambda read, written: price.cost(read, written, batch=batch) or 0.0, reading, writing)


def _sum(parts: Iterable[Range]) -> Range:
    total = NOTHING
    for part in parts:
        total = total.plus(part)
    return total


def _basis(calibration: Calibration) -> str:
    if not calibration.n:
        return "estimated from the texts and the sizes of the images"
    return f"{calibration.n} real {'reply' if calibration.n == 1 else 'replies'} of this model"


def _notes(
    groups: dict[Kind, _Group], estimator: Estimator, price: Price, calibration: Calibration
) -> Iterator[str]:
    if not price.is_known:
        yield "the price of this model is unknown; a line in prices.toml tells it"
    if calibration.n:
        new = [kind.prompt for kind in groups if calibration.output(kind) is None]
        if new:
            yield f"no real reply to {', '.join(sorted(set(new)))} yet: its length is estimated"
        return
    if estimator.image_rule.is_guess and estimator.n_images:
        yield f"tokens of an image: {estimator.image_rule.name}"
    if estimator.thinks:
        yield "this model thinks before it answers; its thoughts are charged, and may use up max_tokens each time"
    if estimator.n_unknown_sizes:
        yield f"the sizes of {estimator.n_unknown_sizes} images are unknown; reckoned as 1024 x 768"


def _three(parts: Range | None, show: Callable[[float], str]) -> tuple[str, str, str]:
    return ("", "unknown", "") if parts is None else (show(parts.low), show(parts.likely), show(parts.high))


def shown_usd(amount: float) -> str:
    """ "0.0031 USD", "4.20 USD", "1,200 USD"."""
    digits = 0 if amount >= 1000 else 2 if amount >= 1 or amount == 0 else 4
    return f"{amount:,.{digits}f} USD"


def shown_time(seconds: float) -> str:
    """ "40 s", "12 min", "3.5 h", "2.1 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86_400:.1f} days"
