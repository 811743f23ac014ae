"""From what a model said to the row that is kept: outcome, text, tokens, cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.types import Outcome

Row = dict[str, Any]
Judge = Callable[[Request, str], tuple[Outcome, str]]
Mend = Callable[[Request, str], str]
"""What to tell a model whose reply was invalid: the request, and what it said."""

USABLE: tuple[Outcome, ...] = ("ok", "repaired")


def row_of(
    key: str,
    request: Request,
    reply: Response,
    backend: Backend,
    judge: Judge | None,
    *,
    seconds: float,
    cost: float | None,
) -> Row:
    """The row of view `replies_with_prompts` for a reply; its id and time come with the store."""
    outcome, text = judged(request, reply, backend, judge)
    sampling: dict[str, Any] = {"max_tokens": request.max_tokens, "temperature": request.temperature}
    sampling |= {"schema": request.schema} if request.schema is not None else {}
    sampling |= {"options": request.options} if request.options else {}
    return {
        "key": key, "backend": backend.spec, "model": reply.model, "purpose": request.purpose,
        "subject": request.subject, "attribute": request.attribute, "prompt_name": request.prompt.name,
        "template_hash": request.prompt.template_hash, "system": request.prompt.system,
        "prompt": request.prompt.text, "images": json.dumps([image.sha256 for image in request.images]),
        "sampling": json.dumps(sampling | backend.conditions, ensure_ascii=False), "text": text,
        "outcome": outcome, "finish_reason": reply.finish_reason, "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens, "seconds": round(seconds, 3), "cost": cost,
        "max_tokens": request.max_tokens, "calls": 1, "rejected": None, "sample": request.sample,
        "scores": _scores(request, reply), "note": reply.note or backend.note,
    }  # fmt: skip


def after_repair(first: Row, second: Row) -> Row:
    """The row of a reply that was mended, or was not: what was said first stays beside it."""
    outcome = "repaired" if second["outcome"] in USABLE else second["outcome"]
    summed = {
        name: _plus(first[name], second[name])
        for name in ("input_tokens", "output_tokens", "seconds", "cost")
    }
    return second | summed | {"outcome": outcome, "calls": 2, "rejected": first["text"]}


def judged(request: Request, reply: Response, backend: Backend, judge: Judge | None) -> tuple[Outcome, str]:
    """What a reply is worth, and the text to keep."""
    # Half a surrogate pair is legal in JSON but cannot be stored.
    said = reply.text.encode("utf-8", "replace").decode().replace("\0", "").strip()
    for secret in backend.secrets:
        said = said.replace(secret, "[key]")
    if reply.finish_reason == "refused":
        return "refused", said
    outcome: Outcome = "ok" if said else "invalid"  # an empty reply is no answer, whoever judges
    text = said
    if said and judge is not None:
        outcome, text = judge(request, said)
    # A judge can tell that JSON is whole although the tokens ran out; of a sentence nobody can.
    is_whole = judge is not None and request.schema is not None and outcome in USABLE
    is_cut = reply.finish_reason == "length" and not is_whole
    return ("cut_off" if is_cut else outcome), text


def _scores(request: Request, reply: Response) -> str | None:
    if reply.scores is None:
        return None
    weighed = zip(request.options, reply.scores, strict=True)
    return json.dumps({option: round(score, 6) for option, score in weighed}, ensure_ascii=False)


def _plus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round(one + other, 9)
