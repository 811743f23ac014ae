"""ollama:MODEL - Ollama's own API, because its OpenAI route cannot set the context length."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from fgvr_kit.backends.base import CONNECT, Request, Response, Server, jpegs, shown_host
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected
from fgvr_kit.settings import Section

if TYPE_CHECKING:
    from ollama import AsyncClient

_GO_ON = "the same command goes on from here"


class Settings(Section):
    host: str = ""
    """Address of the server, with its port; empty: $OLLAMA_HOST, or else http://127.0.0.1:11434."""
    num_ctx: int = Field(8192, ge=512)
    """Context length in tokens, image and prompt included; Ollama cuts longer prompts without a word."""
    concurrency: int = Field(1, ge=1, le=64)
    """Requests under way at once; more than one helps only with OLLAMA_NUM_PARALLEL on the server."""
    timeout: float = Field(600.0, gt=0)
    """Seconds for one request; the first one also loads the model."""
    max_pixels: int = Field(980 * 980, ge=56 * 56)
    """Larger photographs are shrunk to at most this many pixels before they are sent."""


def make(model: str, settings: Settings, base: Path) -> Ollama:
    return Ollama(model, settings)


class Ollama(Server):
    def __init__(self, model: str, settings: Settings) -> None:
        address = settings.host or os.environ.get("OLLAMA_HOST", "") or "127.0.0.1:11434"
        full = address if "://" in address else f"http://{address}"
        super().__init__(
            f"ollama:{model}",
            model,
            host=shown_host(full),
            timeout=settings.timeout,
            secrets=[os.environ.get("OLLAMA_API_KEY", "").strip(), urlsplit(full).password or ""],
            conditions={"num_ctx": settings.num_ctx, "max_pixels": settings.max_pixels},
        )
        self.concurrency = settings.concurrency
        self._settings = settings
        self._client: AsyncClient | None = None

    async def answer(self, request: Request) -> Response:
        import httpx
        import ollama

        messages = self._messages(request)
        if self._client is None:  # belongs to the event loop that it is made in
            self._client = ollama.AsyncClient(
                host=self._settings.host or None, timeout=httpx.Timeout(self.timeout, connect=CONNECT)
            )
        try:
            said = await self._client.chat(
                model=self.model,
                messages=messages,
                format=None if request.schema is None else dict(request.schema),
                options={
                    "num_ctx": self._settings.num_ctx,
                    "num_predict": request.max_tokens,
                    "temperature": request.temperature,
                },
            )
        except ollama.ResponseError as error:
            raise self._of_status(error.status_code, error.error) from None
        except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self.told(
                BackendError, "backend-unreachable", "cannot be reached", why=str(error),
                hint="is it running (ollama serve)? [ollama] host names another address, with its port",
            ) from None  # fmt: skip
        except httpx.TimeoutException:
            raise self.late() from None
        except httpx.TransportError as error:  # the connection broke in the middle
            raise self.told(BackendError, "backend-failed", "broke off", why=str(error) or type(error).__name__,
                            hint=f"its log tells why; {_GO_ON}") from None  # fmt: skip
        except (json.JSONDecodeError, UnicodeDecodeError, ValidationError):
            raise self._no_api("") from None
        return Response(
            text=said.message.content or "",
            model=said.model or self.model,
            finish_reason="length" if said.done_reason == "length" else "stop",
            input_tokens=said.prompt_eval_count,
            output_tokens=said.eval_count,
        )

    def _messages(self, request: Request) -> list[dict[str, Any]]:
        user: dict[str, Any] = {"role": "user", "content": request.prompt.text}
        if request.images:
            user["images"] = jpegs(request, self._settings.max_pixels)  # bytes; it rejects data URLs
        system = [{"role": "system", "content": request.prompt.system}] if request.prompt.system else []
        return [*system, user]

    async def aclose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    # --- what went wrong, in words --------------------------------------------------------------------------

    def _no_api(self, why: str) -> BackendError:
        return self.told(BackendRefused, "backend-not-an-api", "does not speak Ollama's protocol", why=why,
                         hint="check [ollama] host: the address with its port and without /v1")  # fmt: skip

    def _of_status(self, status: int, why: str) -> BackendError:
        """Headers are lost on the way through the client: no Retry-After here."""
        if status == 404 and "model" in why.lower():
            return self.told(BackendRefused, "backend-model", f"does not have the model {self.model!r}", why=why,
                             hint=f"ollama pull {self.model}")  # fmt: skip
        if status == 404:
            return self._no_api(why)
        if status in (401, 403):
            return self.told(BackendRefused, "backend-key", f"refused the key ({status})", why=why,
                             hint="check $OLLAMA_API_KEY and [ollama] host")  # fmt: skip
        if status == 429:
            return self.told(BackendError, "rate-limited", "says too many requests (429)", why=why,
                             hint=f"a smaller [ollama] concurrency; {_GO_ON}")  # fmt: skip
        if status == 408 or status >= 500 or status < 0:  # -1: an error in place of a reply
            return self.told(BackendError, "backend-failed", f"failed ({status})", why=why,
                             hint=f"its log tells why, or its queue is full; {_GO_ON}")  # fmt: skip
        return self.told(RequestRejected, "request-rejected", f"rejected the request ({status})", why=why,
                         hint=f"does the model take images? ollama show {self.model}")  # fmt: skip
