"""ollama:MODEL - Ollama's own API, because its OpenAI route cannot set the context length.

What stands behind a model's name changes when it is pulled again. Its digest stands in every row, not in the
key of a reply: what is stored is found without the server.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from fgvr_kit import keys
from fgvr_kit.backends import ollama_faults as faults
from fgvr_kit.backends import ollama_models
from fgvr_kit.backends.base import CONNECT, Request, Response, Server, jpegs, shown_host
from fgvr_kit.backends.wire import are_letters, chosen, is_address, letter_scores, wanted_schema
from fgvr_kit.errors import BackendError, BackendRefused, SettingsError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import Section

if TYPE_CHECKING:
    from ollama import AsyncClient

_ALTERNATIVES = 20
_SILENCE = 600.0
"""Seconds that a pull may say nothing: the server checks what it fetched."""


class Settings(Section):
    host: str = ""
    """Address of the server, with its port; empty: $OLLAMA_HOST, or else http://127.0.0.1:11434."""
    num_ctx: int = Field(8192, ge=512)
    """Context length in tokens, image, prompt and reply included. A prompt that does not fit is an error."""
    think: bool | Literal["auto", "low", "medium", "high"] = "auto"
    """Whether a thinking model thinks first: true, false, or how hard; "auto" leaves it to the model. Thoughts
    count as tokens of the answer and are not kept."""
    keep_alive: str = ""
    """How long the model stays in memory after a reply: "10m", "-1" (for ever); empty: as the server likes."""
    logprobs: bool = False
    """Ask for probabilities where the answer is one of several letters (A, B, C, ...). Needs a server that
    gives them."""
    concurrency: int = Field(1, ge=1, le=64)
    """Requests under way at once; more than one helps only with OLLAMA_NUM_PARALLEL on the server."""
    timeout: float = Field(600.0, gt=0)
    """Seconds for one request; the first one also loads the model."""
    max_pixels: int = Field(980 * 980, ge=56 * 56)
    """Larger photographs are shrunk to at most this many pixels before they are sent."""


def make(model: str, settings: Settings, base: Path) -> Ollama:
    """Raises SettingsError for an address that is none, or a key that is none."""
    address = settings.host or os.environ.get("OLLAMA_HOST", "") or "127.0.0.1:11434"
    address = f"127.0.0.1{address}" if address.startswith(":") else address
    url = address if "://" in address else f"http://{address}"
    if not is_address(url):
        raise SettingsError(f"{address!r} is not the address of a server", code="backend-address",
                            where="ollama.host", hint='host and port, such as "127.0.0.1:11434"')  # fmt: skip
    key = keys.find(faults.KEY, base)
    return Ollama(model, settings, url, key.value if key else "")


class Ollama(Server):
    """has_answered: whether a reply of this server was understood, so that it does speak the protocol."""

    def __init__(self, model: str, settings: Settings, url: str, key: str) -> None:
        conditions: dict[str, Any] = {"num_ctx": settings.num_ctx, "max_pixels": settings.max_pixels}
        # What is left as it was does not count: replies from before there was such a setting stay.
        conditions |= {"think": settings.think} if settings.think != "auto" else {}
        conditions |= {"logprobs": True} if settings.logprobs else {}
        super().__init__(
            f"ollama:{model}",
            model,
            host=shown_host(url),
            timeout=settings.timeout,
            secrets=[key, urlsplit(url).password or ""],
            conditions=conditions,
        )
        self.concurrency = settings.concurrency
        self.num_ctx = settings.num_ctx
        self._settings = settings
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client: AsyncClient | None = None
        self._digest: str | None = None
        self._is_known = self._sees = False
        self._looking: asyncio.Lock | None = None
        self.has_answered = False

    async def answer(self, request: Request) -> Response:
        messages = self._messages(request)
        self._refuse_too_long(messages)
        async with faults.words(self):
            client = self._open()
            await self._look(client, for_images=bool(request.images))
            said = await client.chat(model=self.model, messages=messages, **self._form(request))
        self.has_answered = True
        self._refuse_overflow(messages, request, said)
        return self._read(said, request)

    def pull(self, progress: Progress = SILENT) -> None:
        """Have the server fetch the model: gigabytes. Raises BackendError."""
        import httpx
        import ollama

        timeout = httpx.Timeout(_SILENCE, connect=CONNECT)
        client = ollama.Client(host=self._settings.host or None, timeout=timeout, headers=self._headers)
        try:
            with client:
                is_whole = ollama_models.follow(client.pull(self.model, stream=True), progress)
        except ollama.ResponseError as error:
            raise self.told(
                BackendRefused, "backend-model", f"cannot pull {self.model!r}", why=str(error.error),
                hint="check its name: https://ollama.com/library lists them; is there room on its disk?",
            ) from None  # fmt: skip
        except (OSError, httpx.HTTPError, json.JSONDecodeError, ValidationError) as error:
            raise faults.broken(self, error) from None
        if not is_whole:
            raise self.told(BackendError, "backend-failed", "broke off a pull",
                            hint=f"what was fetched stays there; {faults.GO_ON}")  # fmt: skip
        self._is_known = False

    # --- the server and its model ---------------------------------------------------------------------------

    def _open(self) -> AsyncClient:
        import httpx
        import ollama

        if self._client is None:  # belongs to the event loop that it is made in
            self._looking = asyncio.Lock()
            self._client = ollama.AsyncClient(
                host=self._settings.host or None, timeout=httpx.Timeout(self.timeout, connect=CONNECT),
                headers=self._headers, event_hooks={"response": [faults.keep_wait]},
            )  # fmt: skip
        return self._client

    async def _look(self, client: AsyncClient, *, for_images: bool) -> None:
        """Once a run: what stands behind the name, and before the first image whether it can see."""
        assert self._looking is not None
        async with self._looking:
            if not self._is_known:
                self._digest = await ollama_models.digest(client, self.model)
                self._is_known = True
            if for_images and not self._sees:
                if await ollama_models.sees(client, self.model) is False:
                    raise await self._blind(client)
                self._sees = True

    async def _blind(self, client: AsyncClient) -> BackendError:
        able = await ollama_models.that_see(client)
        hint = f"models there that can: {', '.join(able)}" if able else "ollama pull qwen2.5vl:7b fetches one"
        return self.told(BackendRefused, "backend-cannot-see", f"says that {self.model!r} takes no images",
                         hint=hint)  # fmt: skip

    async def aclose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            self._is_known = self._sees = False
            await client.close()

    # --- what is sent ---------------------------------------------------------------------------------------

    def _messages(self, request: Request) -> list[dict[str, Any]]:
        user: dict[str, Any] = {"role": "user", "content": request.prompt.text}
        if request.images:
            user["images"] = jpegs(request, self._settings.max_pixels)  # bytes; it rejects data URLs
        system = [{"role": "system", "content": request.prompt.system}] if request.prompt.system else []
        turns: list[dict[str, Any]] = []
        for turn in request.turns:
            turns += [{"role": "assistant", "content": turn.said}, {"role": "user", "content": turn.told}]
        return [*system, user, *turns]

    def _form(self, request: Request) -> dict[str, Any]:
        options = {"num_ctx": self.num_ctx, "num_predict": request.max_tokens,
                   "temperature": request.temperature}  # fmt: skip
        if request.sample or request.temperature > 0:
            options["seed"] = request.sample
        form: dict[str, Any] = {"options": options}
        schema = wanted_schema(request)
        if self._weighs(request):
            form |= {"logprobs": True, "top_logprobs": _ALTERNATIVES}
        elif schema is not None:
            form["format"] = dict(schema)
        if self._settings.think != "auto":
            form["think"] = self._settings.think
        if self._settings.keep_alive:
            form["keep_alive"] = _seconds_or_span(self._settings.keep_alive)
        return form

    def _weighs(self, request: Request) -> bool:
        return self._settings.logprobs and request.schema is None and are_letters(request.options)

    # --- what comes back ------------------------------------------------------------------------------------

    def _read(self, said: Any, request: Request) -> Response:
        text, scores = said.message.content or "", None
        if request.options and request.schema is None:
            text = chosen(text, request.options)
            if self._weighs(request):
                tokens = [
                    (t.token, [(o.token, o.logprob) for o in t.top_logprobs or []])
                    for t in said.logprobs or []
                ]
                scores = letter_scores(request.options, text, tokens)
        name = said.model or self.model
        return Response(
            text=text,
            model=f"{name}@{self._digest}" if self._digest else name,
            finish_reason="length" if said.done_reason == "length" else "stop",
            input_tokens=said.prompt_eval_count,
            output_tokens=said.eval_count,
            scores=scores,
        )

    def _refuse_too_long(self, messages: Sequence[dict[str, Any]]) -> None:
        """What cannot fit is not sent: Ollama would cut it without a word."""
        least = _least_tokens(messages)
        if least >= self.num_ctx:
            raise faults.overflow(self, f"the prompt has {least:,} words")

    def _refuse_overflow(self, messages: Sequence[dict[str, Any]], request: Request, said: Any) -> None:
        """A reply to half a prompt is no answer, and one that the context's end cut off is none either."""
        n_in, n_out, least = said.prompt_eval_count, said.eval_count or 0, _least_tokens(messages)
        if n_in is None:
            return
        if n_in >= self.num_ctx or n_in < least // 2:
            raise faults.overflow(self, f"the model read {n_in:,} tokens of a prompt of at least {least:,}")
        is_cut = said.done_reason == "length" and n_out < request.max_tokens
        if is_cut and n_in + n_out >= self.num_ctx - 1:
            raise faults.overflow(self, f"{n_in:,} tokens of prompt left room for {n_out:,} of the reply")


def _least_tokens(messages: Sequence[dict[str, Any]]) -> int:
    """Tokens that text has at the least: none goes beyond a word."""
    return sum(len(message["content"].split()) for message in messages)


def _seconds_or_span(text: str) -> float | str:
    """ "-1" and "300" are seconds for the server only as numbers."""
    try:
        return float(text)
    except ValueError:
        return text
