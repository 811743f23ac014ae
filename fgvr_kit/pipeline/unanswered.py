"""What a step that asks models tells about the replies it did not get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fgvr_kit.asking.engine import Asked
from fgvr_kit.asking.replies import USABLE
from fgvr_kit.backends.base import Backend
from fgvr_kit.errors import BackendError, FgvrError, PartlyDone
from fgvr_kit.pipeline.extract.answers import REASONS
from fgvr_kit.types import Notice
from fgvr_kit.workspace import Workspace


def why_none(asked: Iterable[Asked]) -> str:
    """Why a request has no reply at all."""
    return " or ".join(sorted({reason for each in asked for reason in each.failures})) or "no reply"


def notices_of(asked: Asked, retried: bool) -> Iterator[Notice]:
    """Requests that got no reply, reason by reason, and replies that are no answers."""
    for reason, n in asked.failures.items():
        error = asked.errors[reason]
        yield Notice(
            f"{n:,} {'request' if n == 1 else 'requests'} got no reply: {reason}",
            code="requests-unanswered",
            where=error.where,
            why=error.message,
            hint=error.hint
            if error.code in _HELD_BACK
            else f"{error.hint}; the same command asks them, and only them, again",
        )
    failed = Counter({outcome: n for outcome, n in asked.outcomes.items() if outcome not in USABLE})
    if failed:
        again = "try another model" if retried else "--retry-failed asks them again; or try another model"
        most = failed.most_common(1)[0][0]
        yield Notice(
            f"{failed.total():,} {'reply holds' if failed.total() == 1 else 'replies hold'} no answer",
            code="replies-unusable",
            why="; ".join(f"{n} times {REASONS[outcome]}" for outcome, n in failed.most_common()),
            hint="a larger max_tokens asks these anew, and only these" if most == "cut_off" else again,
        )


_HELD_BACK = ("max-calls", "budget-spent", "batch-under-way")
"""Codes of requests that nobody was asked: the way on stands in their own hint."""


def nothing_answered(spec: str, asked: Sequence[Asked], dropped: Mapping[str, int]) -> FgvrError:
    """When not one answer came of it. PartlyDone where that is only because requests were held back."""
    errors = [error for each in asked for error in each.errors.values()]
    if errors and all(error.code in _HELD_BACK for error in errors):
        return PartlyDone(errors[0].message, code="partly-done", hint=errors[0].hint)
    first = next((error for error in errors if error.code not in _HELD_BACK), None)
    return BackendError(
        f"{spec} answered none of {sum(each.n_requests for each in asked):,} requests",
        code="nothing-answered",
        why=first.message if first else "; ".join(f"{n} times {reason}" for reason, n in dropped.items()),
        hint=first.hint if first else "try another model, a larger max_tokens, or --retry-failed",
    )


def models_changed(workspace: Workspace, backend: Backend, purpose: str) -> Iterator[Notice]:
    """A name under which replies of more than one model are stored: it was pulled again, or moved on."""
    models = workspace.store.models_of(backend.spec, purpose)
    if len(models) > 1 and not backend.per_subject:
        yield Notice(
            f"{len(models)} different models answered as {backend.spec}",
            code="model-changed",
            why="; ".join(f"{name}: {n:,} replies" for name, n in models.items()),
            hint="the server's model changed in between; replies of the earlier one are kept and still used",
        )
