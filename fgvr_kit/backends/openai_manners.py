"""How a server of OpenAI's kind wants to be asked: they agree on the call, and not on its parameters."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fgvr_kit.backends.base import Request, jpegs
from fgvr_kit.backends.wire import are_letters, wanted_schema

if TYPE_CHECKING:
    from fgvr_kit.backends.openai import Settings

_ALTERNATIVES = 20
"""Most likely tokens asked for in the place of a letter: the most that OpenAI and vLLM give."""
_LEFT_OUT = {"temperature", "seed", "logprobs"}
"""What a request can do without; reasoning models have their own temperature."""


class Manners:
    """Writes requests for one model; learns from refusals, and remembers for the run.

    is_openai: whether it is OpenAI itself, which knows only the newer word for the most tokens of a reply, and
    whose strict schemas know no lengths of texts.  structured: as in the settings, or "json_object, schema", which
    is llama.cpp's way.
    """

    def __init__(self, model: str, settings: Settings, *, is_openai: bool) -> None:
        self._model = model
        self._settings = settings
        self._is_openai = is_openai
        self._limit_word = "max_completion_tokens" if is_openai else "max_tokens"
        self._structured: str = settings.structured
        self._left_out: set[str] = set()

    def learn(self, blamed: str) -> None:
        """The server does not take this field of a request as it was written."""
        if blamed == self._limit_word == "max_tokens":
            self._limit_word = "max_completion_tokens"
        elif blamed == "response_format":
            self._structured = "json_object, schema" if self._structured == "json_schema" else "none"
        elif blamed in _LEFT_OUT:
            self._left_out.add(blamed)

    def body(self, request: Request) -> dict[str, Any]:
        """The request, as arguments of the SDK. Raises RequestRejected like `jpegs`."""
        system = [{"role": "system", "content": request.prompt.system}] if request.prompt.system else []
        messages = [*system, {"role": "user", "content": self._content(request)}]
        for turn in request.turns:
            messages += [{"role": "assistant", "content": turn.said}, {"role": "user", "content": turn.told}]
        body = {"model": self._model, "messages": messages}
        body |= self._sampling(request.max_tokens, request.temperature, request.sample)
        return body | self._form(request)

    def talk(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], max_tokens: int,
        temperature: float,
    ) -> dict[str, Any]:  # fmt: skip
        """A step of a conversation with tools, as arguments of the SDK."""
        body = {"model": self._model, "messages": list(messages), **self._sampling(max_tokens, temperature)}
        return body | ({"tools": list(tools)} if tools else {})

    def weighs(self, request: Request) -> bool:
        """Whether the probabilities of the options are asked for, in place of a reply held to them."""
        is_open = request.schema is None and "logprobs" not in self._left_out
        return self._settings.logprobs and is_open and are_letters(request.options)

    def note(self, request: Request | None) -> str | None:
        """What must stand beside a reply: how it was asked for otherwise than wanted."""
        notes = ["temperature was left to the model"] if "temperature" in self._left_out else []
        if "seed" in self._left_out and request is not None and (request.sample or request.temperature > 0):
            notes.append("the server takes no seed")
        is_held = request is not None and wanted_schema(request) is not None and not self.weighs(request)
        if is_held and self._structured != self._settings.structured:
            notes.append(f"the server takes no {self._settings.structured}")
        return "; ".join(notes) or None

    def _content(self, request: Request) -> str | list[dict[str, Any]]:
        if not request.images:
            return request.prompt.text
        more = {} if self._settings.detail == "auto" else {"detail": self._settings.detail}
        parts: list[dict[str, Any]] = []
        for jpeg in jpegs(request, self._settings.max_pixels):
            url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
            parts.append({"type": "image_url", "image_url": {"url": url, **more}})
        return [*parts, {"type": "text", "text": request.prompt.text}]

    def _sampling(self, max_tokens: int, temperature: float, sample: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = {self._limit_word: max_tokens, "temperature": temperature}
        if sample or temperature > 0:
            found["seed"] = sample
        if self._settings.extra_body:
            found["extra_body"] = self._settings.extra_body
        return {name: value for name, value in found.items() if name not in self._left_out}

    def _form(self, request: Request) -> dict[str, Any]:
        """What the reply is held to."""
        if self.weighs(request):
            return {"logprobs": True, "top_logprobs": _ALTERNATIVES}
        schema = wanted_schema(request)
        if schema is None or self._structured == "none":
            return {}
        if self._structured == "json_object" and request.schema is None:
            return {}  # the prompt asks for a word, and nothing would say which JSON
        if self._structured != "json_schema":
            more = {"schema": schema} if self._structured == "json_object, schema" else {}
            return {"response_format": {"type": "json_object", **more}}
        # "strict" is refused for a schema that leaves room for keys it does not name.
        is_closed = schema.get("additionalProperties") is False
        shown = _without_lengths(schema) if is_closed and self._is_openai else schema
        shape = {"name": request.purpose, "schema": shown, "strict": is_closed}
        return {"response_format": {"type": "json_schema", "json_schema": shape}}


def _without_lengths(schema: Any) -> Any:
    """A JSON schema without minLength and maxLength, at any depth; validation still holds replies to them."""
    if isinstance(schema, list):
        return [_without_lengths(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {name: part for name, part in schema.items() if name not in ("minLength", "maxLength")}
    return {name: _without_lengths(part) for name, part in kept.items()}
