"""What goes wrong with servers of OpenAI's kind, in the house's words.

Each function gives the error to raise; `server` is the backend that asked, which knows host and secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fgvr_kit import offline
from fgvr_kit.backends.base import Server
from fgvr_kit.backends.wire import retry_after
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected

GO_ON = "the same command goes on from here"
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_UNSAFE = ("content_filter", "content_policy_violation")
_NEVER_CAME = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"}
_NOT_KNOWN = re.compile(
    r"unsupported|not supported|unknown|unrecognized|unrecognised|unexpected|not (?:permitted|allowed)|extra"
    r"|unavailable|invalid|input should be|does not support",
    re.IGNORECASE,
)
_PARAMETERS = {  # as servers call it in their words -> the field of the request
    "response_format": "response_format", "json_schema": "response_format", "json_object": "response_format",
    "seed": "seed", "temperature": "temperature", "top_logprobs": "logprobs", "logprobs": "logprobs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status of 400 or more. code, param: as OpenAI's own servers tell them."""

    status: int
    why: str
    code: str = ""
    param: str = ""
    retry_after: float | None = None

    @property
    def is_unsafe(self) -> bool:
        return self.code in _UNSAFE

    @property
    def blamed(self) -> str | None:
        """The field of the request that the server does not take, None when it is not about one."""
        if self.status not in (400, 422, 500):
            return None
        first = self.param.partition(".")[0]
        if first and self.status != 500:
            return "logprobs" if first == "top_logprobs" else first
        if not _NOT_KNOWN.search(self.why):
            return None
        return next((field for word, field in _PARAMETERS.items() if word in self.why), None)


class Refused(Exception):
    """On its way to whoever turns it into a reply or an error of ours."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


def refusal_of(error: Any) -> Refusal:
    """Of the SDK's APIStatusError."""
    body = error.body if isinstance(error.body, dict) else {}
    why = body.get("message") or body.get("detail") or error.response.text or error.message
    return Refusal(error.status_code, str(why), str(error.code or ""), str(error.param or ""),
                   retry_after(error.response.headers))  # fmt: skip


def refusal_in(status: int, body: Any) -> Refusal:
    """Of a line of a batch: the status and the body that a call of its own would have met."""
    error = body.get("error") if isinstance(body, dict) else None
    told: Mapping[str, Any] = error if isinstance(error, dict) else {"message": error or body}
    return Refusal(status, str(told.get("message") or ""), str(told.get("code") or ""),
                   str(told.get("param") or ""))  # fmt: skip


def of_refusal(server: Server, refusal: Refusal, key: str) -> BackendError:
    """key: what holds the key, for hints."""
    status, why = refusal.status, refusal.why
    if status == 402 or refusal.code in _NO_CREDIT:
        return server.told(BackendRefused, "backend-quota", "has no credit left for this key", why=why,
                           hint=f"add credit or wait for the new period; {GO_ON}")  # fmt: skip
    if status in (401, 403):
        return server.told(BackendRefused, "backend-key", f"refused the key ({status})", why=why,
                           hint=f"check {key}: may it use {server.model}?")  # fmt: skip
    if status == 404:
        return server.told(BackendRefused, "backend-model", f"does not know {server.model!r} (404)", why=why,
                           hint="check its name, and [openai] base_url: it usually ends with /v1")  # fmt: skip
    later = refusal.retry_after
    if status == 429:
        return server.told(BackendError, "rate-limited", "says too many requests (429)", why=why,
                           hint=f"a smaller [openai] concurrency; {GO_ON}", retry_after=later)  # fmt: skip
    if status in (408, 409) or status >= 500:
        return server.told(BackendError, "backend-failed", f"failed ({status})", why=why,
                           hint=f"its log tells why; {GO_ON}", retry_after=later)  # fmt: skip
    return server.told(RequestRejected, "request-rejected", f"rejected the request ({status})", why=why,
                       hint='does it take images? [openai] structured = "none" sends no schema')  # fmt: skip


def unreachable(server: Server, error: Exception) -> BackendError:
    """The connection could not be made, or broke before the reply was whole."""
    if refused := offline.behind(error):
        return server.told(BackendRefused, "offline", "was not contacted: --offline is on",
                           why=refused.why or "", hint=refused.hint)  # fmt: skip
    cause = error.__cause__ or error
    why = str(cause) or type(cause).__name__
    if error.__cause__ is not None and type(cause).__name__ not in _NEVER_CAME:
        return server.told(BackendError, "backend-failed", "broke off", why=why,
                           hint=f"its log tells why; {GO_ON}")  # fmt: skip
    return server.told(
        BackendError, "backend-unreachable", "cannot be reached", why=why,
        hint="is the server running, and is [openai] base_url right (it usually ends with /v1)?",
    )  # fmt: skip


def not_an_api(server: Server) -> BackendError:
    return server.told(
        BackendRefused, "backend-not-an-api", "does not speak OpenAI's protocol: no reply in what it sent",
        hint="check [openai] base_url: it usually ends with /v1",
    )  # fmt: skip


def half_a_reply(server: Server) -> BackendError:
    return server.told(BackendError, "backend-failed", "sent half a reply, or none",
                       hint=f"its log tells why; {GO_ON}")  # fmt: skip
