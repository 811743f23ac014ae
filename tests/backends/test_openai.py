from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.backends.base import Backend
from fgvr_kit.backends.engine import ask
from fgvr_kit.backends.openai import _retry_after
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected, SettingsError
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.backends.contract import SCHEMA, opened, prompt, question, say
from tests.backends.servers import FakeServer, Raw, Say


def at(server: FakeServer, folder: Path, **more: Any) -> Backend:
    return opened("openai:a-model", folder, openai={"base_url": server.url, "concurrency": 1, **more})


def fails(backend: Backend, store: Store) -> BackendError:
    """The error that one request ends with, raised or counted."""
    try:
        asked = ask(backend, [question(1)], store)
    except BackendError as error:
        return error
    return next(iter(asked.errors.values()))


def test_what_is_sent(tmp_path: Path) -> None:
    request = question(1, prompt=prompt("Which?", "Be brief."), max_tokens=9, temperature=0.5)
    with FakeServer("openai") as server:
        say(at(server, tmp_path, extra_body={"reasoning_effort": "low"}), request)
    call = server.calls[0]
    assert call.path == "/v1/chat/completions"
    assert call.body == {
        "model": "a-model", "max_tokens": 9, "temperature": 0.5, "reasoning_effort": "low",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}],
    }  # fmt: skip


@pytest.mark.parametrize(("key", "sent"), [("", "Bearer none"), ("abc", "Bearer abc")])
def test_a_server_of_ones_own_needs_no_key(
    key: str, sent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with FakeServer("openai") as server:
        say(at(server, tmp_path, api_key_env="MY_KEY"), question(1))
    assert server.calls[0].headers["authorization"] == sent


def test_openai_itself_needs_a_key(store: Store, tmp_path: Path) -> None:
    error = fails(opened("openai:gpt-4o-mini", tmp_path), store)
    assert isinstance(error, BackendRefused)
    assert error.code == "backend-key-missing"
    assert error.hint.startswith("export OPENAI_API_KEY=")


@pytest.mark.parametrize("url", ["localhost:8000/v1", "http://", "ftp://host/v1"])
def test_an_address_that_is_none_is_told_before_anything_is_asked(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        opened("openai:m", tmp_path, openai={"base_url": url})
    assert caught.value.code == "backend-address"
    assert repr(url) in caught.value.message


@pytest.mark.parametrize(
    ("raw", "kind", "code"),
    [
        (Raw(200, "<html>Welcome</html>", content_type="text/html"), BackendRefused, "backend-not-an-api"),
        (Raw(200, "not json"), BackendRefused, "backend-not-an-api"),
        (Raw(200, '{"hello": 1}'), BackendRefused, "backend-not-an-api"),
        (Raw(200, '{"choices": [], "model": "m", "id": "x"}'), BackendError, "backend-failed"),
        (Raw(400, '{"error": {"message": "too long", "code": null}}'), RequestRejected, "request-rejected"),
        (Raw(401, "{}"), BackendRefused, "backend-key"),
        (Raw(402, "{}"), BackendRefused, "backend-quota"),
        (Raw(403, "{}"), BackendRefused, "backend-key"),
        (Raw(404, '{"error": {"message": "no such model"}}'), BackendRefused, "backend-model"),
        (Raw(408, "{}"), BackendError, "backend-failed"),
        (Raw(413, "too large"), RequestRejected, "request-rejected"),
        (Raw(429, "{}"), BackendError, "rate-limited"),
        (Raw(429, '{"error": {"code": "insufficient_quota"}}'), BackendRefused, "backend-quota"),
        (Raw(500, "<html>oops</html>"), BackendError, "backend-failed"),
        (Raw(529, "{}"), BackendError, "backend-failed"),
        (Raw(0), BackendError, "backend-unreachable"),
    ],
)  # fmt: skip
def test_what_a_server_does_wrong_has_a_name(
    raw: Raw, kind: type[BackendError], code: str, store: Store, tmp_path: Path
) -> None:
    with FakeServer("openai", lambda _, __: raw) as server:
        error = fails(at(server, tmp_path), store)
    assert (type(error), error.code) == (kind, code)
    assert server.host in error.message
    assert error.hint
    assert "<" not in (error.why or "")
    if '"message"' in raw.body:
        assert error.why == json.loads(raw.body)["error"]["message"]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (Say("", fields={"content": None, "refusal": "I will not."}), "I will not."),
        (Say("partly", finish="content_filter"), "partly"),
        (Raw(400, '{"error": {"message": "flagged", "code": "content_policy_violation"}}'), "flagged"),
    ],
)
def test_refusals_are_replies(said: Say | Raw, text: str, store: Store, tmp_path: Path) -> None:
    with FakeServer("openai", lambda _, __: said) as server:
        row = ask(at(server, tmp_path), [question(1)], store).row(question(1))
    assert row is not None
    assert (row["outcome"], row["text"]) == ("refused", text)


def test_parameters_that_a_model_refuses_are_called_otherwise_or_left_out(
    store: Store, tmp_path: Path
) -> None:
    def refused(param: str) -> Raw:
        message = f"Unsupported: '{param}' does not go with this model."
        return Raw(400, json.dumps({"error": {"message": message, "param": param, "code": "unsupported"}}))

    plan = [refused("max_tokens"), refused("temperature"), Say(), Say()]
    with FakeServer("openai", lambda n, _: plan[n]) as server:
        asked = ask(at(server, tmp_path), [question(1), question(2)], store)
    assert [sorted(set(call.body) - {"messages", "model"}) for call in server.calls] == [
        ["max_tokens", "temperature"], ["max_completion_tokens", "temperature"],
        ["max_completion_tokens"], ["max_completion_tokens"],
    ]  # fmt: skip
    row = asked.row(question(1))
    assert row is not None
    assert (asked.n_new, row["note"]) == (2, "temperature was left to the model")


def test_a_parameter_that_stays_refused_is_an_error(store: Store, tmp_path: Path) -> None:
    body = json.dumps({"error": {"message": "no", "param": "temperature", "code": "unsupported"}})
    with FakeServer("openai", lambda _, __: Raw(400, body)) as server:
        assert fails(at(server, tmp_path), store).code == "request-rejected"
        assert len(server.calls) == 2


@pytest.mark.parametrize(("structured", "sent"), [("json_object", {"type": "json_object"}), ("none", None)])
def test_servers_that_follow_no_schema_can_be_spared_it(
    structured: str, sent: dict[str, str] | None, tmp_path: Path
) -> None:
    with FakeServer("openai") as server:
        say(at(server, tmp_path, structured=structured), question(1, schema=SCHEMA))
    assert server.calls[0].body.get("response_format") == sent


def test_a_server_that_is_too_slow_is_given_up_by_the_wall_clock(store: Store, tmp_path: Path) -> None:
    with FakeServer("openai", lambda _, __: Say(seconds=0.6)) as server:
        started = time.monotonic()
        error = fails(at(server, tmp_path, timeout=0.1), store)
        assert time.monotonic() - started < 0.6
    assert error.code == "backend-timeout"
    assert "did not answer within 0.1 s" in error.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon"}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert _retry_after(headers) == seconds


def test_an_image_that_changed_or_went_is_told_and_not_sent(store: Store, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    requests = [
        question(1, images=(ImageRef(tmp_path / "a.png", "7" * 64),)),
        question(2, images=(ImageRef(tmp_path / "gone.png", "8" * 64),)),
        question(3),
    ]
    with FakeServer("openai") as server:
        asked = ask(at(server, tmp_path), requests, store)
    assert asked.failures == {"image changed": 1, "image unreadable": 1}
    assert (asked.n_new, len(server.calls)) == (1, 1)


def test_large_photographs_are_shrunk(tmp_path: Path) -> None:
    import io

    from PIL import Image

    from fgvr_kit.dataset.images import pixel_sha256

    image = Image.new("RGB", (400, 100))
    image.save(tmp_path / "a.png")
    ref = ImageRef(tmp_path / "a.png", pixel_sha256(image))
    with FakeServer("openai") as server:
        say(at(server, tmp_path, max_pixels=10_000), question(1, images=(ref,)))
    assert Image.open(io.BytesIO(server.calls[0].images[0])).size == (200, 50)
