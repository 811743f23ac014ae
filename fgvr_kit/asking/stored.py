"""Which requests are answered already, without asking anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from fgvr_kit.asking.keys import ReplyKeys
from fgvr_kit.asking.replies import USABLE, Row
from fgvr_kit.backends.base import Backend, Request
from fgvr_kit.store import Store
from fgvr_kit.store.replies import Standing

T = TypeVar("T")

_AT_ONCE = 2_000
"""Requests whose stored replies are looked up together."""
_READ = 500
"""Stored replies that are read together, texts and all."""


def stands(
    standing: Standing | None, request: Request, *, retry_failed: bool = False, mends: bool = False
) -> bool:
    """Whether a stored reply is one that need not be asked for again.

    A reply that was cut off is, when more tokens are allowed now; one that is no answer, on request.
    mends: and one that has not had its repair turn yet.
    """
    if standing is None:
        return False
    if standing.outcome == "cut_off" and (standing.max_tokens or 0) < request.max_tokens:
        return False
    if mends and standing.outcome == "invalid" and standing.calls == 1:
        return False
    return not retry_failed or standing.outcome in USABLE


def looked_up(
    requests: Iterable[Request],
    backend: Backend,
    store: Store,
    *,
    retry_failed: bool = False,
    mends: bool = False,
) -> Iterator[tuple[Request, bool]]:
    """Each request once, and whether its reply stands; in their order, whatever their number."""
    keys, seen = ReplyKeys(backend), set[str]()
    for some in in_pieces(requests, _AT_ONCE):
        by_key = {keys.of(request): request for request in reversed(some)}  # the first of equal ones stays
        new = [(key, request) for key, request in reversed(by_key.items()) if key not in seen]
        seen.update(key for key, _ in new)
        standing = store.standing([key for key, _ in new])
        for key, request in new:
            yield (
                request,
                stands(
                    standing.get(key),
                    request,
                    retry_failed=retry_failed,
                    mends=mends and not backend.per_subject,
                ),
            )


def replies_to(
    requests: Iterable[Request], keys: ReplyKeys, store: Store
) -> Iterator[tuple[Request, Row | None]]:
    """Each request with its stored reply, read as they are wanted; None where there is none. Nobody is asked."""
    for some in in_pieces(requests, _READ):
        names = [keys.of(request) for request in some]
        found = store.replies(list(dict.fromkeys(names)))
        yield from zip(some, (found.get(name) for name in names), strict=True)


def in_pieces(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """itertools.batched, which Python 3.11 has not."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some
