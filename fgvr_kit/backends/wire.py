"""What OpenAI's and Ollama's servers have in common: addresses, choices among options, how long to wait."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from fgvr_kit.backends.base import Request

_ANSWER = "answer"
_THOUGHTS = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)

Likely = tuple[str, float]
"""A token and the logarithm of its probability."""


def wanted_schema(request: Request) -> Mapping[str, Any] | None:
    """The JSON schema that a reply is held to: the request's own, or one that allows its options only."""
    if request.schema is not None or not request.options:
        return request.schema
    return {
        "type": "object", "properties": {_ANSWER: {"type": "string", "enum": list(request.options)}},
        "required": [_ANSWER], "additionalProperties": False,
    }  # fmt: skip


def are_letters(options: Sequence[str]) -> bool:
    """Whether options can be weighed by the first token of a reply: A, B, C, ..."""
    return len(options) > 1 and all(len(option) == 1 and option.isalnum() for option in options)


def chosen(text: str, options: Sequence[str]) -> str:
    """The option that a reply means, as the request writes it; the reply as it is when it means none."""
    said = _THOUGHTS.sub("", text).strip()
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        found = said
    if isinstance(found, dict):
        found = found.get(_ANSWER)
    if not isinstance(found, str):  # numbers and yes/no may be options too
        found = said
    by_form = {_form(option): option for option in reversed(options)}
    return by_form.get(_form(found), text)


def letter_scores(
    options: Sequence[str], text: str, tokens: Sequence[tuple[str, Sequence[Likely]]]
) -> tuple[float, ...] | None:
    """Probability of each option, out of the alternatives to the token that named the chosen one.

    text: the chosen option. tokens: what was written, each with the most likely tokens in its place; an option
    that is not among these counts as 0. None when the reply does not begin with its letter.
    """
    place = next((i for i, (token, _) in enumerate(tokens) if token.strip()), None)
    if place is None or text not in options or _form(tokens[place][0]) != _form(text):
        return None
    weights = dict.fromkeys((_form(option) for option in options), 0.0)
    for token, logprob in tokens[place][1]:
        if (form := _form(token)) in weights:  # "A" and " A" are tokens of their own
            weights[form] += math.exp(logprob)
    total = sum(weights.values())
    if total <= 0:
        return None
    return tuple(weights[_form(option)] / total for option in options)


def is_address(url: str) -> bool:
    """Whether it leads to a server: http or https, a host, and a port that is a number."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks us to wait, given as milliseconds, seconds or a date."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        text = headers.get("retry-after")
        if not text:
            return None
        if text.strip().replace(".", "", 1).isdigit():
            return float(text)
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:  # neither: as if it had said nothing
        return None


def _form(text: str) -> str:
    """What is compared: without case, quotes, brackets and full stops."""
    return text.strip().strip("\"'`*().:[] \n").casefold()
