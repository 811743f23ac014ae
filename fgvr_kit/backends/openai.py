"""openai:MODEL - any server that speaks OpenAI's chat completions (OpenAI, vLLM, llama.cpp, OpenRouter, ...).

The SDK's own retries are off: the engine waits, for all requests under way at once.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from fgvr_kit.backends.base import CONNECT, Request, Response, Server, jpegs, shown_host
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected, SettingsError
from fgvr_kit.settings import Section

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_OPENAI = "https://api.openai.com/v1"
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_UNSAFE = ("content_filter", "content_policy_violation")
_GO_ON = "the same command goes on from here"


class Settings(Section):
    base_url: str = ""
    """Address of the server, up to and with /v1; empty: $OPENAI_BASE_URL, or else OpenAI's own."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key. Keys never stand in this file."""
    concurrency: int = Field(8, ge=1, le=256)
    """Requests under way at once."""
    timeout: float = Field(120.0, gt=0)
    """Seconds for one request."""
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How JSON is asked for; "none" leaves it to the words of the prompt."""
    max_pixels: int = Field(1536 * 1536, ge=56 * 56)
    """Larger photographs are shrunk to at most this many pixels before they are sent."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of every request, such as {reasoning_effort = "low"}."""


def make(model: str, settings: Settings, base: Path) -> OpenAI:
    """Raises SettingsError for an address that is none."""
    url = settings.base_url or os.environ.get("OPENAI_BASE_URL", "") or _OPENAI
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"{url!r} is not the address of a server",
            code="backend-address",
            where="openai.base_url",
            hint='it begins with http:// or https:// and usually ends with /v1: "http://localhost:8000/v1"',
        )
    return OpenAI(model, settings, url, os.environ.get(settings.api_key_env, "").strip())


class OpenAI(Server):
    def __init__(self, model: str, settings: Settings, url: str, key: str) -> None:
        super().__init__(
            f"openai:{model}",
            model,
            host=shown_host(url),
            timeout=settings.timeout,
            secrets=[key, urlsplit(url).password or ""],
            # The server counts: many of them call whatever they serve "default".
            conditions={"server": shown_host(url), "max_pixels": settings.max_pixels,
                        "structured": settings.structured, **settings.extra_body},
        )  # fmt: skip
        self.concurrency = settings.concurrency
        self._settings = settings
        self._url = url
        self._key = key
        self._is_openai = urlsplit(url).hostname == "api.openai.com"
        # OpenAI's newer models know only the second word, other servers often only the first.
        self._limit_word = "max_completion_tokens" if self._is_openai else "max_tokens"
        self._sends_temperature = True
        self._client: AsyncOpenAI | None = None

    async def answer(self, request: Request) -> Response:
        import openai

        try:
            return self._response(await self._send(request))
        except openai.APITimeoutError as error:  # is an APIConnectionError as well
            is_silent = type(error.__cause__).__name__ == "ConnectTimeout"
            raise (self._unreachable(error) if is_silent else self.late()) from None
        except openai.APIConnectionError as error:
            raise self._unreachable(error) from None  # the SDK's errors hold the request, and that the key
        except openai.APIStatusError as error:
            if error.code in _UNSAFE:
                return Response(self.redact(_words(error)), self.model, "refused", None, None)
            raise self._of_status(error) from None
        except (json.JSONDecodeError, UnicodeDecodeError, openai.APIResponseValidationError):
            raise self._no_api() from None

    async def _send(self, request: Request) -> Any:
        """One call; once more when the server refuses only how a parameter is called, or that it is set."""
        import openai

        client = self._open()
        body = self._body(request)
        while True:
            try:
                return await client.chat.completions.create(**body)
            except openai.BadRequestError as error:
                if error.param == self._limit_word == "max_tokens":
                    self._limit_word = "max_completion_tokens"
                elif error.param == "temperature":  # reasoning models have their own
                    self._sends_temperature = False
                adapted = self._body(request)
                if adapted.keys() == body.keys():
                    raise
                body = adapted

    def _open(self) -> AsyncOpenAI:
        import openai

        if not self._key and self._is_openai:
            raise BackendRefused(
                f"{self.spec} needs an API key, and ${self._settings.api_key_env} is not set",
                code="backend-key-missing",
                hint=f"export {self._settings.api_key_env}=..., or set [openai] base_url to another server",
            )
        if self._client is None:  # belongs to the event loop that it is made in
            # Servers of one's own want no key; the SDK does.
            self._client = openai.AsyncOpenAI(
                base_url=self._url,
                api_key=self._key or "none",
                max_retries=0,
                timeout=openai.Timeout(self.timeout, connect=CONNECT),
            )
        return self._client

    async def aclose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def _body(self, request: Request) -> dict[str, Any]:
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"}}
            for jpeg in jpegs(request, self._settings.max_pixels)
        ]  # fmt: skip
        content.append({"type": "text", "text": request.prompt.text})
        system = [{"role": "system", "content": request.prompt.system}] if request.prompt.system else []
        user = {"role": "user", "content": content if request.images else request.prompt.text}
        body: dict[str, Any] = {
            "model": self.model, "messages": [*system, user], self._limit_word: request.max_tokens,
        }  # fmt: skip
        if self._sends_temperature:
            body["temperature"] = request.temperature
        if request.schema is not None and self._settings.structured == "json_schema":
            # "strict" is refused for a schema that leaves room for keys it does not name.
            is_closed = request.schema.get("additionalProperties") is False
            shape = {"name": request.purpose, "schema": request.schema, "strict": is_closed}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        elif request.schema is not None and self._settings.structured == "json_object":
            body["response_format"] = {"type": "json_object"}
        if self._settings.extra_body:
            body["extra_body"] = self._settings.extra_body
        return body

    def _response(self, completion: Any) -> Response:
        # A web page that was answered with 200 arrives as text.
        if isinstance(completion, str) or getattr(completion, "choices", None) is None:
            raise self._no_api()
        if not completion.choices:
            raise self.told(BackendError, "backend-failed", "sent a reply with nothing in it",
                            hint=f"its log tells why; {_GO_ON}")  # fmt: skip
        choice, usage = completion.choices[0], completion.usage
        refusal = choice.message.refusal
        is_refused = bool(refusal) or choice.finish_reason == "content_filter"
        return Response(
            text=refusal or choice.message.content or "",
            model=completion.model or self.model,
            finish_reason="refused"
            if is_refused
            else "length"
            if choice.finish_reason == "length"
            else "stop",
            input_tokens=usage.prompt_tokens if usage else None,
            output_tokens=usage.completion_tokens if usage else None,
            note=None if self._sends_temperature else "temperature was left to the model",
        )

    # --- what went wrong, in words --------------------------------------------------------------------------

    def _unreachable(self, error: Exception) -> BackendError:
        cause = error.__cause__ or error
        return self.told(
            BackendError, "backend-unreachable", "cannot be reached", why=str(cause) or type(cause).__name__,
            hint="is the server running, and is [openai] base_url right (it usually ends with /v1)?",
        )  # fmt: skip

    def _no_api(self) -> BackendError:
        return self.told(
            BackendRefused, "backend-not-an-api", "does not speak OpenAI's protocol: no reply in what it sent",
            hint="check [openai] base_url: it usually ends with /v1",
        )  # fmt: skip

    def _of_status(self, error: Any) -> BackendError:
        status, why = error.status_code, _words(error)
        if status == 402 or error.code in _NO_CREDIT:
            return self.told(BackendRefused, "backend-quota", "has no credit left for this key", why=why,
                             hint=f"add credit or wait for the new period; {_GO_ON}")  # fmt: skip
        if status in (401, 403):
            return self.told(BackendRefused, "backend-key", f"refused the key ({status})", why=why,
                             hint=f"check ${self._settings.api_key_env}: may it use {self.model}?")  # fmt: skip
        if status == 404:
            return self.told(BackendRefused, "backend-model", f"does not know {self.model!r} (404)", why=why,
                             hint="check its name, and [openai] base_url: it usually ends with /v1")  # fmt: skip
        later = _retry_after(error.response.headers)
        if status == 429:
            return self.told(BackendError, "rate-limited", "says too many requests (429)", why=why,
                             hint=f"a smaller [openai] concurrency; {_GO_ON}", retry_after=later)  # fmt: skip
        if status in (408, 409) or status >= 500:
            return self.told(BackendError, "backend-failed", f"failed ({status})", why=why,
                             hint=f"its log tells why; {_GO_ON}", retry_after=later)  # fmt: skip
        return self.told(RequestRejected, "request-rejected", f"rejected the request ({status})", why=why,
                         hint='does it take images? [openai] structured = "none" sends no schema')  # fmt: skip


def _words(error: Any) -> str:
    """The server's message; the SDK shows only OpenAI's own shape of it."""
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or body.get("detail") or error.response.text or error.message)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks us to wait, given as milliseconds, seconds or a date."""
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
