from __future__ import annotations

import json
import math
import time
from collections import Counter
from pathlib import Path

import pytest

from fgvr_kit.asking.engine import ask
from fgvr_kit.store import Store
from tests.backends.contract import SCHEMA, question, say
from tests.backends.servers import Call, FakeServer, Raw, Say
from tests.backends.test_openai import at


class TestWhatAServerRefuses:
    """It is asked otherwise, and that is remembered for the run."""

    LLAMA = Raw(500, json.dumps({"error": {"message": (
        "1 validation error:\\n {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), "
        "'msg': \"Input should be 'text' or 'json_object'\", 'input': 'json_schema'}"
    )}}))  # fmt: skip
    OTHERS = Raw(400, '{"error": {"message": "This response_format type is unavailable now"}}')

    @pytest.mark.parametrize("refusal", [LLAMA, OTHERS])
    def test_a_schema_is_sent_in_simpler_ways(self, refusal: Raw, store: Store, tmp_path: Path) -> None:
        def plan(_: int, call: Call) -> Say | Raw:
            kind = call.body.get("response_format", {}).get("type")
            return refusal if kind == "json_schema" else Say('{"colour": "brown"}')

        requests = [question(n, schema=SCHEMA) for n in range(3)]
        with FakeServer("openai", plan) as server:
            asked = ask(at(server, tmp_path), requests, store)
        forms = [call.body["response_format"] for call in server.calls]
        assert [form["type"] for form in forms] == ["json_schema", *["json_object"] * 3]
        assert forms[1]["schema"] == SCHEMA
        rows = [row for request in requests if (row := asked.row(request))]
        assert {row["note"] for row in rows} == {"the server takes no json_schema"}
        assert len(rows) == 3

    def test_in_the_end_it_is_left_to_the_words(self, store: Store, tmp_path: Path) -> None:
        def plan(_: int, call: Call) -> Say | Raw:
            return self.OTHERS if "response_format" in call.body else Say("brown")

        with FakeServer("openai", plan) as server:
            asked = ask(at(server, tmp_path), [question(n, schema=SCHEMA) for n in range(2)], store)
        sent = [call.body.get("response_format", {}).get("type") for call in server.calls]
        assert sent == ["json_schema", "json_object", None, None]
        assert asked.n_new == 2

    def test_many_at_once_learn_it_once(self, store: Store, tmp_path: Path) -> None:
        def plan(_: int, call: Call) -> Say | Raw:
            is_schema = call.body.get("response_format", {}).get("type") == "json_schema"
            time.sleep(0.05)
            return self.LLAMA if is_schema else Say('{"colour": "brown"}')

        requests = [question(n, schema=SCHEMA) for n in range(8)]
        with FakeServer("openai", plan) as server:
            asked = ask(at(server, tmp_path, concurrency=8), requests, store)
        assert asked.n_new == 8
        kinds = Counter(call.body["response_format"]["type"] for call in server.calls)
        assert kinds == {"json_schema": 8, "json_object": 8}  # nobody was sent without

    @pytest.mark.parametrize(
        "refusal",
        [
            Raw(400, '{"error": {"message": "no", "param": "seed", "code": "unsupported_parameter"}}'),
            Raw(422, '{"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}'),
        ],
    )
    def test_a_seed_is_left_out(self, refusal: Raw, store: Store, tmp_path: Path) -> None:
        requests = [question(n, temperature=0.5) for n in range(2)]
        plan = lambda _, call: refusal if "seed" in call.body else Say()  # noqa: E731
        with FakeServer("openai", plan) as server:
            asked = ask(at(server, tmp_path), requests, store)
        assert ["seed" in call.body for call in server.calls] == [True, False, False]
        row = asked.row(requests[1])
        assert row is not None
        assert row["note"] == "the server takes no seed"

    def test_a_server_that_fails_is_not_taken_to_refuse(self, store: Store, tmp_path: Path) -> None:
        plan = [Raw(500, '{"error": {"message": "CUDA out of memory"}}'), Say('{"colour": "brown"}')]
        with FakeServer("openai", lambda n, _: plan[n]) as server:
            row = ask(at(server, tmp_path), [question(1, schema=SCHEMA)], store).row(
                question(1, schema=SCHEMA)
            )
        assert [call.body["response_format"]["type"] for call in server.calls] == ["json_schema"] * 2
        assert row is not None
        assert row["note"] is None


class TestOptions:
    def test_they_are_held_to_by_a_schema(self, tmp_path: Path) -> None:
        with FakeServer("openai", lambda _, __: Say('{"answer": "dark brown"}')) as server:
            reply = say(at(server, tmp_path), question(1, options=("brown", "dark brown")))[0]
        shape = server.calls[0].body["response_format"]["json_schema"]
        assert shape["strict"] is True
        assert shape["schema"]["properties"]["answer"]["enum"] == ["brown", "dark brown"]
        assert (reply.text, reply.scores) == ("dark brown", None)

    def test_a_bare_demand_for_json_would_not_say_which(self, tmp_path: Path) -> None:
        with FakeServer("openai", lambda _, __: Say("Brown.")) as server:
            reply = say(
                at(server, tmp_path, structured="json_object"), question(1, options=("brown", "red"))
            )[0]
        assert "response_format" not in server.calls[0].body
        assert reply.text == "brown"

    def test_what_is_none_of_them_stays_as_it_was_said(self, tmp_path: Path) -> None:
        with FakeServer("openai", lambda _, __: Say("I would say beige.")) as server:
            reply = say(at(server, tmp_path, structured="none"), question(1, options=("brown", "red")))[0]
        assert "response_format" not in server.calls[0].body
        assert reply.text == "I would say beige."

    def test_letters_are_weighed_when_that_is_wanted(self, store: Store, tmp_path: Path) -> None:
        top = [{"token": "A", "logprob": math.log(0.6)}, {"token": "C", "logprob": math.log(0.2)}]
        told = {"content": [{"token": "A", "logprob": math.log(0.6), "top_logprobs": top}]}
        request = question(1, options=("A", "B", "C"))
        with FakeServer("openai", lambda _, __: Say("A", choice={"logprobs": told})) as server:
            row = ask(at(server, tmp_path, logprobs=True), [request], store).row(request)
        body = server.calls[0].body
        assert (body["logprobs"], body["top_logprobs"], "response_format" in body) == (True, 20, False)
        assert row is not None
        assert json.loads(row["scores"]) == {"A": 0.75, "B": 0.0, "C": 0.25}

    def test_a_model_without_probabilities_is_held_to_the_letters(self, store: Store, tmp_path: Path) -> None:
        refusal = Raw(400, '{"error": {"message": "no", "param": "top_logprobs", "code": "unsupported"}}')
        plan = lambda _, call: refusal if "logprobs" in call.body else Say('{"answer": "B"}')  # noqa: E731
        request = question(1, options=("A", "B"))
        with FakeServer("openai", plan) as server:
            row = ask(at(server, tmp_path, logprobs=True), [request], store).row(request)
        assert len(server.calls) == 2
        assert row is not None
        assert (row["text"], row["scores"]) == ("B", None)
