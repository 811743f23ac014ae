"""Who answers prompts: what is asked (Request), what comes back (Response), and what a backend must do.

A file in this room is a backend: it holds `Settings` (its section of fgvr.toml) and
`make(model, settings, base) -> Backend`. Backends ask once and tell what went wrong; waiting, asking again
and keeping replies is the engine's work, written once.
"""

from __future__ import annotations

import asyncio
import re
import string
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from fgvr_kit import keys, plugins
from fgvr_kit.dataset.images import open_known, shrink
from fgvr_kit.errors import BackendError, ImageError, RequestRejected, SettingsError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.prompts import Prompt
from fgvr_kit.settings import Settings, plugin_section
from fgvr_kit.types import ImageRef

if TYPE_CHECKING:
    import PIL.Image

CONNECT = 10.0
"""Seconds until a server that does not take the call counts as unreachable."""

FinishReason = Literal["stop", "length", "refused"]


@dataclass(frozen=True, slots=True)
class Turn:
    """An exchange that went before: what the model said, and what it was told then."""

    said: str
    told: str


@dataclass(frozen=True, slots=True)
class Request:
    """One call to a model.

    subject: pixel sha256 of the image it is about, also where no image is sent.
    schema: JSON schema wanted of the reply; a backend that cannot enforce it sends the prompt alone.
    options: the reply is one of these words; a backend that can weighs them instead of writing.
    max_tokens: most tokens of the reply.
    sample: which of several replies to the same question, from 0; the seed, where a backend takes one.
    turns: what follows the prompt and was answered already.
    """

    purpose: str
    prompt: Prompt
    images: tuple[ImageRef, ...] = ()
    subject: str | None = None
    attribute: str | None = None
    schema: Mapping[str, Any] | None = field(default=None, hash=False)  # part of ==, but a dict has no hash
    options: tuple[str, ...] = ()
    max_tokens: int = 256
    temperature: float = 0.0
    sample: int = 0
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """What a model said. model: as the server names it. note: what must stand beside all that rests on it.

    finish_reason "length": max_tokens came first; "refused": text is the refusal. Token counts are None
    where the server does not tell. scores: probability of each of the request's options, where they were
    weighed; they sum to one. cached_tokens: of the input tokens, those that the server had read before.
    """

    text: str
    model: str
    finish_reason: FinishReason
    input_tokens: int | None
    output_tokens: int | None
    note: str | None = None
    scores: tuple[float, ...] | None = None
    cached_tokens: int | None = None


class Backend(ABC):
    """A model behind one door. Made cheaply: connections and weights come with the first reply.

    batch_size: requests of one call to reply().  concurrency: calls that may run at once.
    per_subject: the reply depends on subject, attribute and purpose, not on prompt and images alone.
    conditions: what else changes its replies, as plain data; part of every reply's key and row.
    secrets: never shown and never stored.
    """

    batch_size: int = 1
    concurrency: int = 1
    per_subject: bool = False

    def __init__(
        self,
        spec: str,
        model: str,
        *,
        note: str | None = None,
        conditions: Mapping[str, Any] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.spec = spec
        self.model = model
        self.note = note
        self.conditions = dict(conditions or {})
        # "none" and "EMPTY" are what servers of one's own are given, and words of replies.
        self.secrets = tuple(secret for secret in secrets if keys.is_secret(secret))

    @abstractmethod
    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        """One item for each request, in their order; an error in the list concerns that request only.

        Raises BackendError when it concerns all of them. Never asks twice.
        """

    def ready(self) -> None:  # noqa: B027 (most backends have nothing to say)
        """Raise BackendError for what is missing before anything is sent, such as a key. Contacts nobody."""

    def pull(self, progress: Progress = SILENT) -> None:
        """Fetch the model to where it runs. Raises SettingsError where there is nothing to fetch."""
        raise SettingsError(
            f"{self.spec} fetches nothing", code="pull-unsupported", hint="--pull is for ollama:MODEL"
        )

    async def aclose(self) -> None:  # noqa: B027 (most backends hold nothing open)
        """Let go of what belongs to the event loop; a later reply() opens it again."""

    def redact(self, text: str) -> str:
        """text without this backend's secrets, and without what looks like one: servers quote keys back."""
        return keys.hide(text, self.secrets)


class Server(Backend):
    """A backend that sends each request on its own to a server.

    host: as errors show it.  timeout: seconds for one request by the wall clock; clients only count the
    time between two bytes, and a server that trickles would never be late.
    """

    def __init__(self, spec: str, model: str, *, host: str, timeout: float, **more: Any) -> None:
        super().__init__(spec, model, **more)
        self.host = host
        self.timeout = timeout

    @abstractmethod
    async def answer(self, request: Request) -> Response:
        """Send one request. Raises BackendError."""

    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        return [await self._in_time(request) for request in requests]

    async def _in_time(self, request: Request) -> Response | BackendError:
        try:
            async with asyncio.timeout(self.timeout):
                return await self.answer(request)
        except TimeoutError:
            return self.late()
        except BackendError as error:
            return error

    def late(self) -> BackendError:
        section = self.spec.partition(":")[0]
        return self.told(BackendError, "backend-timeout", f"did not answer within {self.timeout:g} s",
                         hint=f"a larger [{section}] timeout, or a smaller model")  # fmt: skip

    def told(
        self,
        kind: type[BackendError],
        code: str,
        what: str,
        *,
        hint: str,
        why: str = "",
        retry_after: float | None = None,
    ) -> BackendError:
        """An error in the house's words. why: the server's own, shown without secrets."""
        shown = first_line(self.redact(why)) or None
        error = kind(f"{self.spec}: {self.host} {what}", code=code, why=shown, hint=hint)
        error.retry_after = retry_after
        return error


def open_backend(spec: str, settings: Settings, base: Path, *, key: str) -> Backend:
    """The backend of "room:model", such as "ollama:qwen2.5vl:7b". No server is contacted yet.

    base: the workspace; relative paths in spec start there.  key: the setting it comes from, for errors
    ("extract.backend").  Raises SettingsError (no or malformed spec), PluginError (no such backend), and
    what the backend finds wrong with the model's name.
    """
    section, _, name = key.partition(".")
    spec = spec.strip()
    if not spec:
        raise SettingsError(
            f"nobody is named to answer: {key} is empty",
            code="no-backend",
            hint=f"--{name} openai:MODEL (or ollama:MODEL, transformers:PATH, replay:FILE); "
            f'to keep it, {name} = "openai:MODEL" under [{section}] in fgvr.toml',
        )
    room, colon, model = spec.partition(":")
    if not colon or not room.strip() or not model.strip():
        raise SettingsError(
            f"{spec!r} does not say who answers and with which model",
            code="backend-spec",
            where=key,
            hint='write BACKEND:MODEL, for example "openai:gpt-4o-mini" or "ollama:qwen2.5vl:7b"',
        )
    module = plugins.load("backends", room.strip())
    own = plugin_section(settings, plugins.normalise(room), module.Settings)
    backend = module.make(model.strip(), own, base)
    assert isinstance(backend, Backend), f"make() of backend {room!r} must give a Backend"
    return backend


def labels_of(n: int) -> tuple[str, ...]:
    """What stands before each of n options in a prompt, and is answered: A-Z, then a-z; numbers beyond 52."""
    letters = string.ascii_uppercase + string.ascii_lowercase
    return tuple(letters[:n]) if n <= len(letters) else tuple(str(i) for i in range(1, n + 1))


def jpegs(request: Request, max_pixels: int) -> list[bytes]:
    """The images of a request as they are sent to a server: upright, RGB, at most max_pixels each.

    Raises RequestRejected when a file cannot be opened any more, or shows something else by now.
    """
    return [_jpeg(image, max_pixels) for image in request.images]


def pictures(request: Request, max_pixels: int) -> list[PIL.Image.Image]:
    """The images of a request, upright and RGB, at most max_pixels each. Raises RequestRejected like `jpegs`."""
    return [_picture(image, max_pixels) for image in request.images]


# Every attribute is a request of its own about the same image: open it once. Small, because batches and
# requests under way stand close together.
@lru_cache(maxsize=16)
def _picture(ref: ImageRef, max_pixels: int) -> PIL.Image.Image:
    try:
        return shrink(open_known(ref), max_pixels)
    except ImageError as error:
        raise RequestRejected(error.reason, code=error.code, where=error.where,
                              hint="fgvr-kit init IMAGES reads the folder again") from error  # fmt: skip


@lru_cache(maxsize=64)
def _jpeg(ref: ImageRef, max_pixels: int) -> bytes:
    buffer = BytesIO()
    # 4:4:4 and 95: fine patterns are what these images are about.
    _picture(ref, max_pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def shown_host(url: str) -> str:
    """scheme://host:port of an address, without a password that may stand in it."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    place = parts.hostname or url
    return f"{parts.scheme}://{place}" + (f":{parts.port}" if parts.port else "")


def first_line(text: str, limit: int = 300) -> str:
    """What fits behind "why:": one line, markup of an error page removed."""
    plain = re.sub(r"<[^>]*>", " ", text)
    return " ".join(plain.split())[:limit]
