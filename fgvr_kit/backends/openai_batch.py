"""OpenAI's Batch API: half the price, answers within a day. Submit, leave, collect days later.

A batch is known by its id alone: any process with the same key may ask how it stands and collect it. The same
requests submitted again, while a batch of them is under way or answered, are that batch: a kill between the
submission and the note of its id costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

from fgvr_kit.backends import openai_faults as faults
from fgvr_kit.backends.base import CONNECT, Request, Response
from fgvr_kit.backends.openai import OpenAI
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected
from fgvr_kit.progress import SILENT, Progress

if TYPE_CHECKING:
    import openai

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
"""What OpenAI takes as one batch."""
PATIENCE = 600.0
"""Seconds for one read or write of a file that is sent or fetched."""

_ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_CONTENT = "fgvr_content"  # in a batch's metadata: SHA-256 of its requests
_UNDER_WAY = ("validating", "in_progress", "finalizing")
_OVER = ("completed", "failed", "expired", "cancelled")
_AGAIN = "submit these requests again"
_NO_SUCH = ("batch-unknown", "has no such batch", "was it submitted with this key?")
_NO_BATCHES = ("batch-unsupported", "has no batches", "OpenAI has them; leave --batch out elsewhere")


@dataclass(frozen=True, slots=True)
class Submitted:
    """A batch that the server has. keys: of the requests in it.  file_id: of the file that holds them."""

    id: str
    keys: tuple[str, ...]
    file_id: str


@dataclass(frozen=True, slots=True)
class BatchState:
    """How a batch stands. status: in OpenAI's words. created, expires: seconds since 1970.

    problem: why it failed as a whole.
    """

    id: str
    status: str
    n_requests: int
    n_answered: int
    n_failed: int
    created: int
    expires: int | None
    problem: str | None = None

    @property
    def is_over(self) -> bool:
        return self.status in _OVER


class Batches:
    """The batches of one backend. Each call raises BackendError for what is wrong with the server or the key."""

    def __init__(self, backend: OpenAI) -> None:
        self._backend = backend
        self._sdk: openai.OpenAI | None = None

    def submit(
        self, items: Iterable[tuple[str, Request]], *, unable: dict[str, RequestRejected] | None = None,
        noted: Callable[[str, Sequence[str]], None] | None = None, progress: Progress = SILENT,
    ) -> Iterator[Submitted]:  # fmt: skip
        """Send requests, each with a key that comes back with its reply (at most 64 letters); yields every batch
        as soon as the server has it. Items are read as they are sent; a key that was there before is left out.

        unable: takes up requests that cannot be sent, such as those whose image is gone; without it they raise.
        noted: told the id of a file and the keys in it before its batch is made, so that `start` can go on there
        after a kill.
        """
        n_sent = 0
        with progress.task("sending batches", None) as task:
            for file, keys in self._parts(items, {} if unable is None else unable, raises=unable is None):
                with file:
                    batch = self._created(file, keys, noted)
                n_sent += len(keys)
                task.advance(len(keys), note=f"{n_sent:,} requests")
                yield Submitted(batch.id, tuple(keys), batch.input_file_id)

    def start(self, file_id: str) -> str:
        """The id of the batch of a file that was sent; it is made if that has not been done."""
        with self._words():
            once = self._client().with_options(max_retries=0)
            for batch in iter(once.batches.list(limit=100).data):
                if batch.input_file_id == file_id:
                    return str(batch.id)
            return str(self._batch_of(once, file_id, {}).id)

    def state(self, batch_id: str) -> BatchState:
        """Raises BackendRefused when there is no such batch (code "batch-unknown")."""
        return _state(self._batch(batch_id))

    def cancel(self, batch_id: str) -> BatchState:
        """What was answered by then can be collected, and is paid for."""
        with self._words(_NO_SUCH):
            return _state(self._client().batches.cancel(batch_id))

    def collect(
        self, batch_id: str, requests: Mapping[str, Request] | None = None
    ) -> Iterator[tuple[str, Response | BackendError]]:
        """The key of each request with its reply or with what went wrong, in any order; may be repeated.

        requests: by key; needed to read the replies of those that have options. What expired or was cancelled
        comes as an error that is transient. Raises BackendError while the batch is under way ("batch-running")
        and when it failed as a whole ("batch-failed", "batch-queue-full").
        """
        batch = self._batch(batch_id)
        self._refuse_unfinished(_state(batch))
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id:
                yield from self._replies(file_id, requests or {})

    # --- sending --------------------------------------------------------------------------------------------

    def _parts(
        self, items: Iterable[tuple[str, Request]], unable: dict[str, RequestRejected], *, raises: bool
    ) -> Iterator[tuple[IO[bytes], list[str]]]:
        """Files of requests, each as large as it may be, with the keys in it."""
        seen: set[str] = set()
        file, keys, size = _new_file(), list[str](), 0
        for key, request in items:
            if key in seen:
                continue
            seen.add(key)
            try:
                line = self._line(key, request)
            except RequestRejected as error:
                if raises:
                    raise
                unable[key] = error
                continue
            if keys and (len(keys) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
                yield file, keys
                file, keys, size = _new_file(), [], 0
            file.write(line)
            keys.append(key)
            size += len(line)
        if keys:
            yield file, keys
        else:
            file.close()

    def _line(self, key: str, request: Request) -> bytes:
        assert 0 < len(key) <= 64, f"a key of {len(key)} letters"
        body = self._backend.manners.body(request)
        body |= body.pop("extra_body", {})
        line = {"custom_id": key, "method": "POST", "url": _ENDPOINT, "body": body}
        return json.dumps(line).encode() + b"\n"

    def _created(
        self, file: IO[bytes], keys: Sequence[str], noted: Callable[[str, Sequence[str]], None] | None
    ) -> Any:
        """The batch of a file of requests: one that is there already, or a new one."""
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        with self._words():
            once = self._client().with_options(max_retries=0)  # a batch that is made twice is paid twice
            for batch in iter(once.batches.list(limit=100).data):  # None where something else answered
                if (batch.metadata or {}).get(_CONTENT) == digest and _stands(batch):
                    if noted is not None:
                        noted(batch.input_file_id, keys)
                    return batch
            file.seek(0)
            sent = once.files.create(file=(f"{digest[:16]}.jsonl", file), purpose="batch")
            if noted is not None:
                noted(sent.id, keys)
            return self._batch_of(once, sent.id, {_CONTENT: digest})

    @staticmethod
    def _batch_of(client: Any, file_id: str, metadata: dict[str, str]) -> Any:
        return client.batches.create(
            completion_window="24h", endpoint=_ENDPOINT, input_file_id=file_id,
            metadata={**metadata, "made_by": "fgvr-kit"},
        )  # fmt: skip

    # --- collecting -----------------------------------------------------------------------------------------

    def _batch(self, batch_id: str) -> Any:
        with self._words(_NO_SUCH):
            batch = self._client().batches.retrieve(batch_id)
            if batch.id != batch_id:
                raise ValueError(batch)
            return batch

    def _refuse_unfinished(self, state: BatchState) -> None:
        backend = self._backend
        if not state.is_over:
            done = f"{state.n_answered + state.n_failed:,} of {state.n_requests:,} requests are done"
            raise backend.told(BackendError, "batch-running", f"is still at batch {state.id}", why=done,
                               hint="come back later: it takes up to 24 hours")  # fmt: skip
        if state.status == "failed":
            is_full = "token_limit_exceeded" in (state.problem or "")
            raise backend.told(
                BackendError if is_full else BackendRefused, "batch-queue-full" if is_full else "batch-failed",
                f"did not begin batch {state.id}", why=state.problem or "",
                hint=f"when other batches are done, {_AGAIN}" if is_full else f"mend that, and {_AGAIN}",
            )  # fmt: skip

    def _replies(
        self, file_id: str, requests: Mapping[str, Request]
    ) -> Iterator[tuple[str, Response | BackendError]]:
        import httpx2

        with _new_file() as file:
            try:
                with self._words(), self._client().files.with_streaming_response.content(file_id) as whole:
                    for part in whole.iter_bytes():
                        file.write(part)
            except httpx2.TransportError as error:
                raise self._cut_short(str(error) or type(error).__name__) from None
            file.seek(0)
            for raw in file:  # by "\n" alone: what else parts lines may stand in a reply
                if raw.strip():
                    yield self._reply(raw, requests)

    def _reply(self, raw: bytes, requests: Mapping[str, Request]) -> tuple[str, Response | BackendError]:
        try:
            line = json.loads(raw)
            key, response, error = str(line["custom_id"]), line.get("response") or {}, line.get("error") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._cut_short("a line of its results is no result") from None
        try:
            return key, self._said(response, error, requests.get(key))
        except BackendError as told:
            return key, told

    def _said(self, response: dict[str, Any], error: dict[str, Any], request: Request | None) -> Response:
        from openai.types.chat import ChatCompletion

        backend, status, body = self._backend, response.get("status_code"), response.get("body")
        try:
            if status == 200 and isinstance(body, dict):
                return backend.read(ChatCompletion.construct(**body), request)
            if isinstance(status, int) and status >= 400:
                return backend.refused(faults.refusal_in(status, body))
        except faults.Refused as refused:
            return backend.refused(refused.refusal)
        code = str(error.get("code") or "batch_failed").replace("_", "-")
        raise backend.told(BackendError, code, "left a request of a batch undone", hint=_AGAIN,
                           why=str(error.get("message") or ""))  # fmt: skip

    def _cut_short(self, why: str) -> BackendError:
        return self._backend.told(BackendError, "backend-failed", "broke off while results were fetched", why=why,
                                  hint=faults.GO_ON)  # fmt: skip

    # --- the connection -------------------------------------------------------------------------------------

    def _client(self) -> openai.OpenAI:
        import openai

        backend = self._backend
        backend.need_key()
        if self._sdk is None:
            self._sdk = openai.OpenAI(
                base_url=backend.url, api_key=backend.key or "none", max_retries=2,
                timeout=openai.Timeout(PATIENCE, connect=CONNECT),
            )  # fmt: skip
        return self._sdk

    @contextmanager
    def _words(self, missing: tuple[str, str, str] = _NO_BATCHES) -> Iterator[None]:
        """Errors of the SDK in ours. missing: code, words and hint for a status of 404."""
        import openai

        backend = self._backend
        try:
            yield
        except openai.APITimeoutError:
            raise backend.told(BackendError, "backend-timeout", f"said nothing for {PATIENCE:g} s",
                               hint=faults.GO_ON) from None  # fmt: skip
        except openai.APIConnectionError as error:
            raise faults.unreachable(backend, error) from None
        except openai.APIStatusError as error:
            refusal = faults.refusal_of(error)
            if refusal.status in (404, 405, 501):
                code, what, hint = missing
                raise backend.told(BackendRefused, code, what, why=refusal.why, hint=hint) from None
            raise faults.of_refusal(backend, refusal, f"${backend.settings.api_key_env}") from None
        except (ValueError, TypeError, AttributeError, openai.APIResponseValidationError):
            # A page of something else, or nothing that looks like a batch.
            raise faults.not_an_api(backend) from None


def _new_file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="fgvr-batch-")


def _stands(batch: Any) -> bool:
    """Whether a batch of the same requests makes another one needless."""
    counts = batch.request_counts
    is_whole = batch.status == "completed" and counts is not None and not counts.failed
    return batch.status in _UNDER_WAY or is_whole


def _state(batch: Any) -> BatchState:
    counts = batch.request_counts
    told = [f"{error.code}: {error.message}" for error in (batch.errors.data if batch.errors else None) or []]
    return BatchState(
        id=batch.id, status=batch.status, n_requests=counts.total if counts else 0,
        n_answered=counts.completed if counts else 0, n_failed=counts.failed if counts else 0,
        created=batch.created_at, expires=batch.expires_at, problem="; ".join(told[:3]) or None,
    )  # fmt: skip
