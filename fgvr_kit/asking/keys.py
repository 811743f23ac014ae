"""The key of a reply: all that changes what a model says, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from fgvr_kit.backends.base import Backend, Request
from fgvr_kit.prompts import Prompt

_OF_IMAGES, _OF_FORMS, _OF_OPTIONS = {"max_pixels", "detail"}, {"structured"}, {"logprobs"}
"""Conditions of a backend that matter only where an image is sent, a form is asked for, options are given."""
_REMEMBERED = 512


class ReplyKeys:
    """Keys for one backend. A prompt is hashed once for all the images it is sent with."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._begun: dict[tuple[Any, ...], tuple[Prompt, Mapping[str, Any] | None, Any]] = {}

    def of(self, request: Request) -> str:
        """32 hex digits: backend, conditions, prompt, schema, options, sampling, turns, and the images' pixels.

        `max_tokens` is not in it: it changes only replies that were cut off, and those are asked again.
        """
        hasher = self._start(request).copy()
        hasher.update("".join(image.sha256 for image in request.images).encode())
        if request.turns:
            hasher.update(json.dumps([[turn.said, turn.told] for turn in request.turns]).encode())
        if self._backend.per_subject:
            hasher.update(json.dumps([request.subject, request.attribute, request.purpose]).encode())
        digest: str = hasher.hexdigest()
        return digest

    def _start(self, request: Request) -> Any:
        """A hasher of all that requests with this prompt share."""
        place = (
            id(request.prompt), id(request.schema), request.options, request.temperature, request.sample,
            bool(request.images),
        )  # fmt: skip
        known = self._begun.get(place)
        # Another object may lie where one was: only the very same prompt and schema count.
        if known and known[0] is request.prompt and known[1] is request.schema:
            return known[2]
        if len(self._begun) >= _REMEMBERED:
            self._begun.clear()
        hasher = hashlib.blake2b(self._shared(request), digest_size=16)
        self._begun[place] = (request.prompt, request.schema, hasher)
        return hasher

    def _shared(self, request: Request) -> bytes:
        idle: set[str] = set() if request.images else set(_OF_IMAGES)
        idle |= set() if request.options else _OF_OPTIONS
        idle |= set() if request.options or request.schema is not None else _OF_FORMS
        conditions = {name: value for name, value in self._backend.conditions.items() if name not in idle}
        parts: list[Any] = [
            self._backend.spec, self._backend.model, conditions, request.prompt.system, request.prompt.text,
            request.schema, request.options, request.temperature, request.sample,
        ]  # fmt: skip
        # Not sorted: the order of a schema's properties is the order in which a model fills them.
        return json.dumps(parts).encode()


def reply_key(backend: Backend, request: Request) -> str:
    """The key of one reply; `ReplyKeys` for many."""
    return ReplyKeys(backend).of(request)
