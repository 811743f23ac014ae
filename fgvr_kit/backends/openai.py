"""openai:MODEL - any server that speaks OpenAI's chat completions (OpenAI, vLLM, llama.cpp, OpenRouter, ...).

The SDK's own retries are off: the engine waits, for all requests under way at once.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from fgvr_kit import keys
from fgvr_kit.backends import openai_faults as faults
from fgvr_kit.backends.base import CONNECT, FinishReason, Request, Response, Server, shown_host
from fgvr_kit.backends.openai_manners import Manners
from fgvr_kit.backends.wire import chosen, is_address, letter_scores
from fgvr_kit.errors import BackendRefused, SettingsError
from fgvr_kit.settings import Section

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_OPENAI = "https://api.openai.com/v1"


class Settings(Section):
    base_url: str = ""
    """Address of the server, up to and with /v1; empty: $OPENAI_BASE_URL, or else OpenAI's own."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the variable that holds the key, in the environment or in .env beside this file. Keys never stand
    in this file."""
    concurrency: int = Field(8, ge=1, le=256)
    """Requests under way at once."""
    timeout: float = Field(120.0, gt=0)
    """Seconds for one request."""
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How JSON is asked for; "none" leaves it to the words of the prompt. A server that refuses "json_schema"
    is asked in simpler ways by itself."""
    logprobs: bool = False
    """Ask for probabilities where the answer is one of several letters (A, B, C, ...). Not every server and
    model gives them."""
    max_pixels: int = Field(1536 * 1536, ge=56 * 56)
    """Larger photographs are shrunk to at most this many pixels before they are sent."""
    detail: Literal["auto", "low", "high"] = "auto"
    """How closely OpenAI's models look at an image: "low" is cheap, and blind to fine detail."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of every request, such as {reasoning_effort = "low"}."""


def make(model: str, settings: Settings, base: Path) -> OpenAI:
    """Raises SettingsError for an address that is none, or a key that is none."""
    url = settings.base_url or os.environ.get("OPENAI_BASE_URL", "") or _OPENAI
    if not is_address(url):
        raise SettingsError(
            f"{url!r} is not the address of a server",
            code="backend-address",
            where="openai.base_url",
            hint='it begins with http:// or https:// and usually ends with /v1: "http://localhost:8000/v1"',
        )
    key = keys.find(settings.api_key_env, base)
    return OpenAI(model, settings, url, key.value if key else "")


class OpenAI(Server):
    """manners: how its server wants to be asked."""

    def __init__(self, model: str, settings: Settings, url: str, key: str) -> None:
        path = urlsplit(url).path.rstrip("/").removesuffix("/v1")
        conditions = {"server": f"{shown_host(url)}{path}", "max_pixels": settings.max_pixels,
                      "structured": settings.structured, **settings.extra_body}  # fmt: skip
        # What is left as it was does not count: replies from before there was such a setting stay.
        conditions |= {"detail": settings.detail} if settings.detail != "auto" else {}
        conditions |= {"logprobs": True} if settings.logprobs else {}
        super().__init__(
            f"openai:{model}",
            model,
            host=shown_host(url),
            timeout=settings.timeout,
            secrets=[key, urlsplit(url).password or ""],
            # The server counts: many of them call whatever they serve "default".
            conditions=conditions,
        )
        self.concurrency = settings.concurrency
        self.settings = settings
        self.url = url
        self.key = key
        self.is_openai = urlsplit(url).hostname == "api.openai.com"
        self.manners = Manners(model, settings, is_openai=self.is_openai)
        self._has_answered = False
        self._client: AsyncOpenAI | None = None

    async def answer(self, request: Request) -> Response:
        try:
            return self.read(await self._send(lambda: self.manners.body(request)), request)
        except faults.Refused as error:
            return self.refused(error.refusal)

    async def chat(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = (), *,
        max_tokens: int = 1024, temperature: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        """The next message of a conversation; "tool_calls" in it name the tools to be called.

        messages, tools, and what comes back: as OpenAI's API writes them. Raises BackendError; asks once.
        """

        def body() -> dict[str, Any]:
            return self.manners.talk(messages, tools, max_tokens, temperature)

        try:
            async with asyncio.timeout(self.timeout):
                message = self._choice(await self._send(body)).message
        except TimeoutError:
            raise self.late() from None
        except faults.Refused as error:
            return {"role": "assistant", "refusal": self.refused(error.refusal).text}
        found: dict[str, Any] = message.to_dict()
        return found

    async def _send(self, body: Callable[[], dict[str, Any]]) -> Any:
        """One call; once more when the server refuses only how a parameter is called, or that it is set."""
        import openai

        client = self._open()
        sent = body()
        while True:
            try:
                return await _post(client, sent)
            except openai.APITimeoutError as error:  # is an APIConnectionError as well
                is_silent = type(error.__cause__).__name__ == "ConnectTimeout"
                raise (faults.unreachable(self, error) if is_silent else self.late()) from None
            except openai.APIConnectionError as error:
                # from None: the SDK's errors hold the request, and that the key
                raise faults.unreachable(self, error) from None
            except openai.APIStatusError as error:
                refusal = faults.refusal_of(error)
            except (json.JSONDecodeError, UnicodeDecodeError, openai.APIResponseValidationError) as error:
                raise self._garbled(getattr(error, "doc", "?")) from None
            adapted = self._adapted(refusal, sent, body)
            if adapted is None:
                raise faults.Refused(refusal)
            sent = adapted

    def _adapted(
        self, refusal: faults.Refusal, sent: dict[str, Any], body: Callable[[], dict[str, Any]]
    ) -> dict[str, Any] | None:
        """The request as the server may take it; None when nothing is left to change."""
        if refusal.blamed is None:
            return None
        if body() == sent:  # otherwise another request under way has learnt it already
            self.manners.learn(refusal.blamed)
        adapted = body()
        return None if adapted == sent else adapted

    def _open(self) -> AsyncOpenAI:
        import openai

        self.need_key()
        if self._client is None:  # belongs to the event loop that it is made in
            # Servers of one's own want no key; the SDK does.
            self._client = openai.AsyncOpenAI(
                base_url=self.url,
                api_key=self.key or "none",
                max_retries=0,
                timeout=openai.Timeout(self.timeout, connect=CONNECT),
            )
        return self._client

    def ready(self) -> None:
        self.need_key()

    def need_key(self) -> None:
        """Raises BackendRefused when there is no key and OpenAI itself is to be asked."""
        name = self.settings.api_key_env
        if not self.key and self.is_openai:
            raise BackendRefused(
                f"{self.spec} needs an API key, and ${name} is not set",
                code="backend-key-missing",
                hint=f"export {name}=... (or a line {name}=... in {keys.FILE_NAME}), "
                "or set [openai] base_url to another server",
            )

    async def aclose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    # --- what comes back ------------------------------------------------------------------------------------

    def read(self, completion: Any, request: Request | None) -> Response:
        """What a completion of the SDK says. Raises BackendError when it says nothing.

        request: what was asked, None when it is not known any more; its options are not looked for then.
        """
        choice = self._choice(completion)
        refusal, usage = choice.message.refusal, completion.usage
        finish: FinishReason = "length" if choice.finish_reason == "length" else "stop"
        if refusal or choice.finish_reason == "content_filter":
            finish = "refused"
        text, scores = refusal or choice.message.content or "", None
        if request is not None and request.options and finish != "refused" and request.schema is None:
            text = chosen(text, request.options)
            scores = (
                letter_scores(request.options, text, _tokens(choice))
                if self.manners.weighs(request)
                else None
            )
        cached = usage.prompt_tokens_details if usage else None
        return Response(
            text=text,
            model=completion.model or self.model,
            finish_reason=finish,
            input_tokens=usage.prompt_tokens if usage else None,
            output_tokens=usage.completion_tokens if usage else None,
            note=self.manners.note(request),
            scores=scores,
            cached_tokens=getattr(cached, "cached_tokens", None),
        )

    def refused(self, refusal: faults.Refusal) -> Response:
        """The reply that a refusal is, when it is about what was asked. Raises BackendError for any other."""
        if refusal.is_unsafe:
            return Response(self.redact(refusal.why), self.model, "refused", None, None)
        raise faults.of_refusal(self, refusal, f"${self.settings.api_key_env}") from None

    def _choice(self, completion: Any) -> Any:
        from openai.types.chat import ChatCompletion

        if isinstance(completion, str):  # JSON under another name, or a web page that was answered with 200
            try:
                completion = ChatCompletion.construct(**json.loads(completion))
            except (ValueError, TypeError):
                raise self._garbled(completion) from None
        error = getattr(completion, "error", None)
        if isinstance(error, dict):  # OpenRouter: 200, and the status of whom it asked within
            status = error.get("code")
            status = status if isinstance(status, int) and 400 <= status < 600 else 500
            raise faults.Refused(faults.refusal_in(status, {"error": error}))
        choices = getattr(completion, "choices", None)
        if not isinstance(choices, list):
            raise self._garbled("?")
        if not choices or getattr(choices[0], "message", None) is None:
            raise faults.half_a_reply(self)
        self._has_answered = True
        return choices[0]

    def _garbled(self, text: str) -> Exception:
        """Half a reply passes; a page of something else does not, unless this server has answered before."""
        is_begun = text.lstrip()[:1] in ("", "{")
        return faults.half_a_reply(self) if is_begun or self._has_answered else faults.not_an_api(self)


async def _post(client: AsyncOpenAI, fields: dict[str, Any]) -> Any:
    """Not by chat.completions.create: that looks up the type of every field, a sixth of what a call costs."""
    from openai.types.chat import ChatCompletion

    named = {name: value for name, value in fields.items() if name != "extra_body"}
    more: Any = {"extra_json": fields.get("extra_body")}
    return await client.post("/chat/completions", cast_to=ChatCompletion, body=named, options=more)


def _tokens(choice: Any) -> list[tuple[str, list[tuple[str, float]]]]:
    """Each token that was written, with the alternatives in its place; none where the server gives none."""
    content = getattr(getattr(choice, "logprobs", None), "content", None) or []
    return [
        (told.token, [(other.token, other.logprob) for other in told.top_logprobs or []]) for told in content
    ]
