"""What goes wrong with an Ollama, in the house's words. `server` is the backend that asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fgvr_kit import offline
from fgvr_kit.backends.wire import retry_after
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected

if TYPE_CHECKING:
    import httpx

    from fgvr_kit.backends.ollama import Ollama

KEY = "OLLAMA_API_KEY"
GO_ON = "the same command goes on from here"


class _Status(Exception):
    """A status of 400 or more, with what the client would lose: Retry-After."""

    def __init__(self, status: int, why: str, later: float | None) -> None:
        super().__init__(status)
        self.status, self.why, self.retry_after = status, why, later


async def keep_wait(response: httpx.Response) -> None:
    """For the client's event hooks: a refused chat is told with how long to wait."""
    if response.status_code < 400 or not response.url.path.endswith("/api/chat"):
        return
    text = (await response.aread()).decode("utf-8", "replace")
    try:
        why = json.loads(text)["error"]
    except (ValueError, TypeError, KeyError):
        why = text
    raise _Status(response.status_code, str(why), retry_after(response.headers))


@asynccontextmanager
async def words(server: Ollama) -> AsyncIterator[None]:
    """Errors of the client in ours."""
    import httpx
    import ollama

    try:
        yield
    except _Status as error:
        raise _of_status(server, error.status, error.why, error.retry_after) from None
    except ollama.ResponseError as error:
        raise _of_status(server, error.status_code, str(error.error), None) from None
    except (OSError, httpx.HTTPError, json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise broken(server, error) from None


def broken(server: Ollama, error: Exception) -> BackendError:
    """The connection could not be made, broke, or brought something else."""
    import httpx

    why = str(error) or type(error).__name__
    if refused := offline.behind(error):
        return server.told(BackendRefused, "offline", "was not contacted: --offline is on",
                           why=refused.why or "", hint=refused.hint)  # fmt: skip
    if isinstance(error, OSError | httpx.ConnectError | httpx.ConnectTimeout):
        return server.told(
            BackendError, "backend-unreachable", "cannot be reached", why=why,
            hint="is it running (ollama serve)? [ollama] host names another address, with its port",
        )  # fmt: skip
    if isinstance(error, httpx.TimeoutException):
        return server.late()
    is_begun = isinstance(error, json.JSONDecodeError) and error.doc.lstrip()[:1] in ("", "{")
    if isinstance(error, httpx.HTTPError) or is_begun or server.has_answered:
        return server.told(BackendError, "backend-failed", "broke off", why=why,
                           hint=f"its log tells why; {GO_ON}")  # fmt: skip
    return _no_api(server, "")


def overflow(server: Ollama, why: str) -> BackendError:
    """The prompt, or the prompt and its reply, did not fit."""
    return server.told(
        RequestRejected, "context-overflow", f"has room for {server.num_ctx:,} tokens, and that was too little",
        why=why, hint=f"[ollama] num_ctx = {2 * server.num_ctx} (needs more memory), or a smaller max_pixels",
    )  # fmt: skip


def _of_status(server: Ollama, status: int, why: str, later: float | None) -> BackendError:
    if status == 404 and "model" in why.lower():
        return server.told(
            BackendRefused, "backend-model", f"does not have the model {server.model!r}", why=why,
            hint=f"ollama pull {server.model}",
        )  # fmt: skip
    if status == 404:
        return _no_api(server, why)
    if status in (401, 403):
        return server.told(BackendRefused, "backend-key", f"refused the key ({status})", why=why,
                           hint=f"check ${KEY} and [ollama] host")  # fmt: skip
    if status == 429:
        return server.told(BackendError, "rate-limited", "says too many requests (429)", why=why,
                           hint=f"a smaller [ollama] concurrency; {GO_ON}", retry_after=later)  # fmt: skip
    if status == 408 or status >= 500 or status < 0:  # -1: an error in place of a reply
        return server.told(BackendError, "backend-failed", f"failed ({status})", why=why, retry_after=later,
                           hint=f"its log tells why, or its queue is full; {GO_ON}")  # fmt: skip
    return _rejected(server, status, why)


def _rejected(server: Ollama, status: int, why: str) -> BackendError:
    if "context length" in why.lower():
        return overflow(server, why)
    if "think" in why.lower():
        return server.told(BackendRefused, "backend-cannot-think", f"rejected the request ({status})", why=why,
                           hint='[ollama] think = "auto" leaves thinking to the model')  # fmt: skip
    return server.told(RequestRejected, "request-rejected", f"rejected the request ({status})", why=why,
                       hint=f"does the model take images? ollama show {server.model}")  # fmt: skip


def _no_api(server: Ollama, why: str) -> BackendError:
    return server.told(BackendRefused, "backend-not-an-api", "does not speak Ollama's protocol", why=why,
                       hint="check [ollama] host: the address with its port and without /v1")  # fmt: skip
