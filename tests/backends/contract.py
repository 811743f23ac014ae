"""Ten things that every backend does. `Contract` is inherited once and runs for each plug-in of the room.

A Case brings one backend: it opens it, makes it say things, and counts what reaches it.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Backend, Request, Response, open_backend
from fgvr_kit.backends.replay import export_replies
from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.errors import FgvrError
from fgvr_kit.prompts import Prompt
from fgvr_kit.settings import Settings
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef

SECRET = "key-0f3b9c71-keep-me-out"
SCHEMA = {
    "type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"],
    "additionalProperties": False,
}  # fmt: skip


def prompt(text: str, system: str = "") -> Prompt:
    return Prompt("extract/question", text, system, "0123456789abcdef")


def question(number: int, **fields: Any) -> Request:
    request = Request("extract", prompt(f"Question {number}?"), subject="5" * 64, max_tokens=6)
    return replace(request, **{"attribute": f"attribute {number}", **fields})


class Case(ABC):
    """One backend under contract. folder: the workspace of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def saying(self, pairs: Sequence[tuple[Request, str]]) -> Backend:
        """The backend, made to say these texts; a model that cannot be told says its own."""

    def fit(self, request: Request) -> Request:
        """The request as this backend can take it."""
        return request

    def expected(self, request: Request, text: str) -> str:
        """What it says to this request when it is asked alone."""
        return text

    @abstractmethod
    def n_calls(self) -> int:
        """Calls that reached whoever answers."""

    @abstractmethod
    def check_upright(self, turned: Request, upright: Request) -> None:
        """Assert that the picture of `turned` is seen as that of `upright`."""

    @abstractmethod
    def cut_off(self) -> tuple[Backend, Request] | None:
        """A backend and a request whose reply is cut off; None when its replies are always whole."""

    @abstractmethod
    def silent(self, request: Request, monkeypatch: pytest.MonkeyPatch) -> Backend:
        """The backend, made to answer with nothing but white space."""

    @abstractmethod
    def nobody(self) -> Backend:
        """A backend of which there is no server, model or file; may raise already."""

    def indiscreet(self, request: Request) -> tuple[Backend, Backend | None]:
        """Opened with SECRET in the environment: one that answers, and one whose refusal quotes the key."""
        return self.saying([(request, "brown")]), None


def opened(spec: str, folder: Path, **sections: dict[str, Any]) -> Backend:
    return open_backend(spec, Settings(plugins=sections), folder, key="extract.backend")


def say(backend: Backend, *requests: Request) -> list[Response]:
    async def replies() -> list[Any]:
        try:
            return await backend.reply(requests)
        finally:
            await backend.aclose()

    found = asyncio.run(replies())
    for reply in found:
        assert isinstance(reply, Response), reply
    return found


class Contract:
    """Fixture: case."""

    def test_a_request_without_an_image_is_answered(self, case: Case, store: Store) -> None:
        request = case.fit(Request("discover", prompt("Name a colour.", "Be brief."), max_tokens=6))
        backend = case.saying([(request, "brown")])
        row = ask(backend, [request], store).row(request)
        assert row is not None
        assert row["text"] == case.expected(request, "brown") != ""
        assert (row["backend"], row["purpose"], row["prompt"]) == (backend.spec, "discover", "Name a colour.")
        assert (row["system"], json.loads(row["images"])) == ("Be brief.", [i.sha256 for i in request.images])

    def test_a_turned_photograph_reaches_it_upright_and_rgb(self, case: Case) -> None:
        upright = Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 4, 3), dtype=np.uint8))
        upright = upright.resize((80, 120), Image.Resampling.NEAREST)
        upright.save(case.folder / "upright.png")
        exif = Image.Exif()
        exif[0x0112] = 6  # turn it clockwise to see it
        turned = upright.transpose(Image.Transpose.ROTATE_90).convert("RGBA")
        turned.save(case.folder / "turned.png", exif=exif)
        requests = []
        for name in ("turned.png", "upright.png"):
            sha256 = pixel_sha256(open_image(case.folder / name))
            ref = ImageRef(case.folder / name, sha256)
            requests.append(case.fit(question(0, images=(ref,), subject=sha256)))
        assert requests[0].subject == requests[1].subject
        case.check_upright(*requests)

    def test_replies_come_in_the_order_of_requests_over_several_batches(
        self, case: Case, store: Store
    ) -> None:
        pairs = [(case.fit(question(n)), f"answer {n}") for n in range(7)]
        backend = case.saying(pairs)
        backend.batch_size, backend.concurrency = min(backend.batch_size, 3), 2
        asked = ask(backend, [request for request, _ in pairs], store)
        texts = [row["text"] for request, _ in pairs if (row := asked.row(request))]
        assert texts == [case.expected(request, text) for request, text in pairs]
        assert (asked.n_new, asked.n_stored, asked.failures) == (7, 0, {})

    def test_tokens_are_counted_or_unknown(self, case: Case) -> None:
        request = case.fit(question(1))
        reply = say(case.saying([(request, "brown")]), request)[0]
        for n in (reply.input_tokens, reply.output_tokens):
            assert n is None or (type(n) is int and n > 0)

    def test_a_reply_that_was_cut_off_is_no_answer(self, case: Case, store: Store) -> None:
        if (cut := case.cut_off()) is None:
            self.check_that_only_whole_replies_are_recorded(case, store)
            return
        backend, request = cut
        assert [reply.finish_reason for reply in say(backend, request)] == ["length"]
        row = ask(backend, [request], store).row(request)
        assert row is not None
        assert (row["outcome"], row["finish_reason"]) == ("cut_off", "length")

    @staticmethod
    def check_that_only_whole_replies_are_recorded(case: Case, store: Store) -> None:
        request = case.fit(question(1))
        ask(case.saying([(request, "brown")]), [request], store)
        row = next(store.all_replies())
        store.put_replies([{**row, "outcome": "cut_off"}])
        assert export_replies(store, case.folder / "recorded.jsonl") == 0

    def test_a_request_with_a_schema_gives_text(self, case: Case, store: Store) -> None:
        request = case.fit(question(1, schema=SCHEMA))
        backend = case.saying([(request, '{"colour": "brown"}')])
        row = ask(backend, [request], store, judge=lambda _, text: ("repaired", text)).row(request)
        assert row is not None
        assert row["text"] == case.expected(request, '{"colour": "brown"}')
        assert row["outcome"] == "repaired"

    def test_an_empty_reply_is_never_an_answer(
        self, case: Case, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request = case.fit(question(1))
        backend = case.silent(request, monkeypatch)
        row = ask(backend, [request], store, judge=lambda _, text: ("ok", text)).row(request)
        assert row is not None
        assert (row["outcome"], row["text"]) == ("invalid", "")

    def test_nobody_there_is_told_with_the_next_move(self, case: Case, store: Store) -> None:
        with pytest.raises(FgvrError) as caught:
            ask(case.nobody(), [case.fit(question(1))], store)
        assert caught.value.code
        assert caught.value.hint
        assert list(store.all_replies()) == []

    def test_what_was_answered_is_not_asked_again(self, case: Case, store: Store) -> None:
        pairs = [(case.fit(question(n)), f"answer {n}") for n in range(3)]
        requests = [request for request, _ in pairs]
        first = ask(case.saying(pairs), requests, store)
        n = case.n_calls()
        assert n > 0
        again = ask(case.saying(pairs), requests, store)
        assert case.n_calls() == n
        assert (again.n_new, again.n_stored) == (0, 3)
        assert list(again.rows(requests)) == list(first.rows(requests))

    def test_no_secret_is_shown_or_stored(
        self, case: Case, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OPENAI_API_KEY", "OLLAMA_API_KEY"):
            monkeypatch.setenv(name, SECRET)
        request = case.fit(question(1))
        answering, refusing = case.indiscreet(request)
        assert ask(answering, [request], store).row(request) is not None
        assert SECRET not in json.dumps(list(store.all_replies()))
        assert SECRET not in repr(vars(answering)["conditions"])
        if refusing is not None:
            with pytest.raises(FgvrError) as caught:
                ask(refusing, [case.fit(question(2))], store)
            told = [*caught.value.lines(), str(caught.value.__cause__), str(caught.value.__context__)]
            assert "[key]" in repr(told)
            assert SECRET not in repr(told)
