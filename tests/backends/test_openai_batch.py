from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.backends import openai_batch
from fgvr_kit.backends.base import Request, Response
from fgvr_kit.backends.openai import OpenAI
from fgvr_kit.backends.openai_batch import Batches
from fgvr_kit.errors import BackendError, BackendRefused, RequestRejected
from fgvr_kit.types import ImageRef
from tests.backends.batch_server import BatchServer, answered, failed, undone
from tests.backends.contract import SCHEMA, opened, question

ITEMS = [(f"key-{n}", question(n)) for n in range(5)]


def at(server: BatchServer, folder: Path, **more: Any) -> Batches:
    backend = opened("openai:gpt-x", folder, openai={"base_url": server.url, **more})
    assert isinstance(backend, OpenAI)
    return Batches(backend)


def code_of(caught: pytest.ExceptionInfo[BackendError]) -> str:
    return caught.value.code


def test_a_batch_is_sent_as_openai_wants_it(tmp_path: Path) -> None:
    requests = [("a", question(1, schema=SCHEMA)), ("b", question(2, temperature=0.5, sample=3))]
    with BatchServer() as server:
        batches = at(server, tmp_path, extra_body={"reasoning_effort": "low"})
        sent = list(batches.submit(requests))
        lines = server.lines(sent[0].id)
        state = batches.state(sent[0].id)
    assert [(s.id, s.keys) for s in sent] == [("batch_0", ("a", "b"))]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert [line["custom_id"] for line in lines] == ["a", "b"]
    assert lines[0]["body"]["response_format"]["json_schema"]["schema"] == SCHEMA
    assert lines[1]["body"] == {
        "model": "gpt-x", "messages": [{"role": "user", "content": "Question 2?"}], "max_tokens": 6,
        "temperature": 0.5, "seed": 3, "reasoning_effort": "low",
    }  # fmt: skip
    assert (state.status, state.is_over, state.problem) == ("validating", False, None)


def test_replies_find_their_requests_whatever_their_order(tmp_path: Path) -> None:
    # Characters that part lines for str.splitlines() part none here.
    texts = {f"key-{n}": f"answer {n}\u2028\x85 – \u0085 and more" for n in range(5)}
    with BatchServer() as server:
        batches = at(server, tmp_path)
        (sent,) = batches.submit(ITEMS)
        lines = server.lines(sent.id)
        server.finish(sent.id, [answered(line, texts[line["custom_id"]]) for line in lines], [])
        found = list(batches.collect(sent.id))
    assert [key for key, _ in found] == [f"key-{n}" for n in (4, 3, 2, 1, 0)]
    assert {key: reply.text for key, reply in found if isinstance(reply, Response)} == texts
    reply = found[0][1]
    assert isinstance(reply, Response)
    assert (reply.model, reply.finish_reason, reply.input_tokens, reply.output_tokens) == (
        "gpt-x",
        "stop",
        12,
        3,
    )


def test_another_process_collects_days_later(tmp_path: Path) -> None:
    with BatchServer() as server:
        (sent,) = at(server, tmp_path).submit(ITEMS)
        server.finish(sent.id, [answered(line, line["custom_id"]) for line in server.lines(sent.id)], [])
        code = (
            "import sys; from pathlib import Path; from tests.backends.contract import opened\n"
            "from fgvr_kit.backends.openai_batch import Batches\n"
            "backend = opened('openai:gpt-x', Path(sys.argv[1]), openai={'base_url': sys.argv[2]})\n"
            "print(sorted(f'{key}={reply.text}' for key, reply in Batches(backend).collect(sys.argv[3])))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path), server.url, sent.id],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
    assert done.stdout.strip() == str([f"key-{n}=key-{n}" for n in range(5)])


def test_what_failed_alone_fails_alone(tmp_path: Path) -> None:
    with BatchServer() as server:
        batches = at(server, tmp_path)
        (sent,) = batches.submit(ITEMS)
        one, two, three, four, five = server.lines(sent.id)
        output = [
            answered(one, "brown"),
            failed(two, 400, code="content_policy_violation", message="flagged"),
        ]
        errors = [
            failed(three, 400, message="image too large", code=None), failed(four, 500, message="crashed"),
            failed(five, 429, message="no credit", code="insufficient_quota"),
        ]  # fmt: skip
        server.finish(sent.id, output, errors)
        found = dict(batches.collect(sent.id))
    assert {key: type(reply) for key, reply in found.items()} == {
        "key-0": Response, "key-1": Response, "key-2": RequestRejected, "key-3": BackendError,
        "key-4": BackendRefused,
    }  # fmt: skip
    codes = {key: reply.code for key, reply in found.items() if isinstance(reply, BackendError)}
    assert codes == {"key-2": "request-rejected", "key-3": "backend-failed", "key-4": "backend-quota"}
    refused = found["key-1"]
    assert isinstance(refused, Response)
    assert (refused.finish_reason, refused.text) == ("refused", "flagged")


@pytest.mark.parametrize(("status", "code"), [("expired", "batch_expired"), ("cancelled", "batch_cancelled")])
def test_what_was_left_undone_may_be_asked_again(status: str, code: str, tmp_path: Path) -> None:
    with BatchServer() as server:
        batches = at(server, tmp_path)
        (sent,) = batches.submit(ITEMS)
        lines = server.lines(sent.id)
        server.finish(
            sent.id, [answered(lines[0], "brown")], [undone(line, code) for line in lines[1:]], status
        )
        state = batches.state(sent.id)
        found = dict(batches.collect(sent.id))
    assert (state.is_over, state.n_requests, state.n_answered, state.n_failed) == (True, 5, 1, 4)
    assert isinstance(found["key-0"], Response)
    left = [reply for reply in found.values() if isinstance(reply, BackendError)]
    assert {(reply.code, reply.transient) for reply in left} == {(code.replace("_", "-"), True)}
    assert len(left) == 4


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("token_limit_exceeded", BackendError, "batch-queue-full"),
        ("invalid_json_line", BackendRefused, "batch-failed"),
    ],
)
def test_a_batch_that_failed_as_a_whole_tells_why(
    error: str, kind: type[BackendError], code: str, tmp_path: Path
) -> None:
    with BatchServer() as server:
        batches = at(server, tmp_path)
        (sent,) = batches.submit(ITEMS)
        server.finish(sent.id, [], [], "failed")
        server.batches[sent.id]["errors"] = {"data": [{"code": error, "message": "Too many.", "line": 1}]}
        with pytest.raises(BackendError) as caught:
            list(batches.collect(sent.id))
    assert (type(caught.value), code_of(caught)) == (kind, code)
    assert caught.value.why == f"{error}: Too many."


def test_a_batch_under_way_is_left_alone(tmp_path: Path) -> None:
    with BatchServer() as server:
        batches = at(server, tmp_path)
        (sent,) = batches.submit(ITEMS)
        with pytest.raises(BackendError) as caught:
            list(batches.collect(sent.id))
        assert code_of(caught) == "batch-running"
        assert batches.cancel(sent.id).status == "cancelling"
        with pytest.raises(BackendError) as caught:
            batches.state("batch_9")
    assert code_of(caught) == "batch-unknown"


def test_large_ones_are_parted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_batch, "MOST_REQUESTS", 2)
    with BatchServer() as server:
        sent = list(at(server, tmp_path).submit([*ITEMS, ITEMS[0]]))
    assert [batch.keys for batch in sent] == [("key-0", "key-1"), ("key-2", "key-3"), ("key-4",)]
    size = len(json.dumps(server.lines("batch_0")[0])) + 1
    monkeypatch.setattr(openai_batch, "MOST_REQUESTS", 50_000)
    monkeypatch.setattr(openai_batch, "MOST_BYTES", 3 * size)
    with BatchServer() as server:
        sent = list(at(server, tmp_path).submit(ITEMS))
        assert all(len(content) <= 3 * size for content in server.files.values())
    assert [len(batch.keys) for batch in sent] == [3, 2]


def test_the_same_requests_are_not_paid_twice(tmp_path: Path) -> None:
    with BatchServer() as server:
        server.loses = True  # the batch is there, and nobody was told its id
        with pytest.raises(BackendError) as caught:
            list(at(server, tmp_path).submit(ITEMS))
        assert code_of(caught) == "backend-failed"
        server.loses = False
        (sent,) = at(server, tmp_path).submit(ITEMS)
        assert (sent.id, list(server.batches)) == ("batch_0", ["batch_0"])
        lines = server.lines(sent.id)
        server.finish(sent.id, [answered(line, "brown") for line in lines], [])
        assert [batch.id for batch in at(server, tmp_path).submit(ITEMS)] == ["batch_0"]
        # Where some failed, asking again is asking again.
        server.finish(sent.id, [answered(line, "brown") for line in lines[1:]], [undone(lines[0], "x")])
        assert [batch.id for batch in at(server, tmp_path).submit(ITEMS)] == ["batch_1"]
        assert [batch.id for batch in at(server, tmp_path).submit(ITEMS[1:])] == ["batch_2"]


def test_an_image_that_went_keeps_back_its_request_alone(tmp_path: Path) -> None:
    gone = question(9, images=(ImageRef(tmp_path / "gone.png", "7" * 64),))
    with BatchServer() as server:
        unable: dict[str, RequestRejected] = {}
        (sent,) = at(server, tmp_path).submit([("gone", gone), *ITEMS], unable=unable)
        assert len(sent.keys) == 5
        assert {key: error.code for key, error in unable.items()} == {"gone": "image-unreadable"}
        with pytest.raises(RequestRejected):
            list(at(server, tmp_path).submit([("gone", gone)]))
        assert list(at(server, tmp_path).submit([("gone", gone)], unable=unable)) == []


def test_results_that_break_off_are_not_taken_for_whole(tmp_path: Path) -> None:
    with BatchServer() as server:
        batches = at(server, tmp_path)
        (sent,) = batches.submit(ITEMS)
        server.finish(sent.id, [answered(line, "brown") for line in server.lines(sent.id)], [])
        server.cuts = 700
        with pytest.raises(BackendError) as caught:
            next(batches.collect(sent.id))
        assert (code_of(caught), caught.value.transient) == ("backend-failed", True)
        server.cuts = None
        assert len(list(batches.collect(sent.id))) == 5


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, {"detail": "Not Found"}, "batch-unsupported"), (401, {}, "backend-key"),
        (429, {"error": {"code": "insufficient_quota"}}, "backend-quota"), (200, {}, "backend-not-an-api"),
    ],
)  # fmt: skip
def test_a_server_without_batches_is_told_before_anything_is_sent(
    status: int, body: dict[str, Any], code: str, tmp_path: Path
) -> None:
    with BatchServer() as server:
        server.refuses = (status, body)
        with pytest.raises(BackendError) as caught:
            list(at(server, tmp_path).submit(ITEMS))
        assert "/files" not in [path for _, path in server.calls]
    assert code_of(caught) == code


def test_options_are_read_where_the_requests_are_known(tmp_path: Path) -> None:
    request: Request = question(1, options=("brown", "dark brown"))
    with BatchServer() as server:
        batches = at(server, tmp_path)
        (sent,) = batches.submit([("k", request)])
        (line,) = server.lines(sent.id)
        shape = line["body"]["response_format"]["json_schema"]["schema"]["properties"]
        assert shape == {"answer": {"type": "string", "enum": ["brown", "dark brown"]}}
        server.finish(
            sent.id,
            [answered(line, '{"answer": "dark brown"}', prompt_tokens_details={"cached_tokens": 8})],
            [],
        )
        ((_, reply),) = batches.collect(sent.id, {"k": request})
    assert isinstance(reply, Response)
    assert (reply.text, reply.cached_tokens) == ("dark brown", 8)
