from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Backend, Turn
from fgvr_kit.backends.openai import OpenAI
from fgvr_kit.dataset.images import pixel_sha256
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
        "model": "a-model", "max_tokens": 9, "temperature": 0.5, "seed": 0, "reasoning_effort": "low",
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


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "http://", "ftp://host/v1", "http://host:80a/v1", "http://[::1/v1"]
)
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
        (Raw(0), BackendError, "backend-failed"),
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


def test_an_image_that_changed_or_went_is_told_and_not_sent(store: Store, tmp_path: Path) -> None:
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

    image = Image.new("RGB", (400, 100))
    image.save(tmp_path / "a.png")
    ref = ImageRef(tmp_path / "a.png", pixel_sha256(image))
    with FakeServer("openai") as server:
        say(at(server, tmp_path, max_pixels=10_000), question(1, images=(ref,)))
    assert Image.open(io.BytesIO(server.calls[0].images[0])).size == (200, 50)


def test_turns_follow_the_prompt_and_its_images(tmp_path: Path) -> None:
    request = question(1, prompt=prompt("Which?", "Be brief."), sample=2, turns=(Turn("Blue.", "As JSON."),))
    with FakeServer("openai") as server:
        say(at(server, tmp_path), request)
    body = server.calls[0].body
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "Blue."}, {"role": "user", "content": "As JSON."},
    ]  # fmt: skip
    assert body["seed"] == 2


@pytest.mark.parametrize(("detail", "sent"), [("auto", {}), ("low", {"detail": "low"})])
def test_how_closely_to_look_is_sent_where_it_is_set(
    detail: str, sent: dict[str, str], tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    ref = ImageRef(tmp_path / "a.png", pixel_sha256(Image.open(tmp_path / "a.png")))
    with FakeServer("openai") as server:
        backend = at(server, tmp_path, detail=detail)
        say(backend, question(1, images=(ref,)))
    part = server.calls[0].body["messages"][0]["content"][0]["image_url"]
    assert {key: value for key, value in part.items() if key != "url"} == sent
    assert ("detail" in backend.conditions) == bool(sent)  # what was paid before stays valid


def test_what_the_server_had_read_before_is_counted(tmp_path: Path) -> None:
    usage = {"prompt_tokens_details": {"cached_tokens": 9}}
    with FakeServer("openai", lambda n, _: Say(usage=usage if n else {})) as server:
        first, second = say(at(server, tmp_path), question(1), question(2))
    assert (first.cached_tokens, second.cached_tokens, second.input_tokens) == (None, 9, 12)


def test_an_error_inside_a_200_is_an_error(store: Store, tmp_path: Path) -> None:
    body = '{"error": {"code": 429, "message": "upstream is busy"}}'
    with FakeServer("openai", lambda n, _: Raw(200, body) if n == 0 else Say()) as server:
        asked = ask(at(server, tmp_path), [question(1)], store)
    assert (asked.n_new, asked.failures, len(server.calls)) == (1, {}, 2)


def test_a_key_in_the_workspace_is_sent_and_never_shown(store: Store, tmp_path: Path) -> None:
    key = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"  # as Azure has them: like nothing else
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={key}\n")
    with FakeServer(
        "openai", lambda _, __: Raw(401, f'{{"error": {{"message": "bad key {key}"}}}}')
    ) as server:
        error = fails(at(server, tmp_path), store)
    assert server.calls[0].headers["authorization"] == f"Bearer {key}"
    assert error.why == "bad key [key]"


class TestChat:
    TOOL: ClassVar = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    CALL: ClassVar = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}

    def chat(self, server: FakeServer, folder: Path, **more: Any) -> dict[str, Any]:
        backend = at(server, folder, timeout=0.5, **more)
        assert isinstance(backend, OpenAI)

        async def talk() -> dict[str, Any]:
            try:
                return await backend.chat([{"role": "user", "content": "Look."}], [self.TOOL])
            finally:
                await backend.aclose()

        return asyncio.run(talk())

    def test_tools_that_are_called_come_back(self, tmp_path: Path) -> None:
        said = Say(fields={"content": None, "tool_calls": [self.CALL]})
        with FakeServer("openai", lambda _, __: said) as server:
            message = self.chat(server, tmp_path)
        assert server.calls[0].body["tools"] == [self.TOOL]
        assert (message["role"], message["tool_calls"]) == ("assistant", [self.CALL])

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            (Raw(401, "{}"), "backend-key"),
            (Say(seconds=1.0), "backend-timeout"),
            (Raw(500, "{}"), "backend-failed"),
        ],
    )
    def test_what_goes_wrong_has_the_same_names(self, said: Say | Raw, code: str, tmp_path: Path) -> None:
        with FakeServer("openai", lambda _, __: said) as server:
            with pytest.raises(BackendError) as caught:
                self.chat(server, tmp_path)
            assert len(server.calls) == 1
        assert caught.value.code == code
