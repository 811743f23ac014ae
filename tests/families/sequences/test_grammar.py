"""JSON that an untrained model cannot break, rows that need none beside it, and what is said where it fails."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.families.sequences.grammar import Vocabulary
from tests.families.contract import photo

SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["dark brown", "grün", 'a "quoted" one']},
        "spots": {"type": "integer", "minimum": 0, "maximum": 9},
        "parts": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
    },
    "required": ["colour", "spots", "parts"],
    "additionalProperties": False,
}  # fmt: skip


@pytest.mark.parametrize("temperature", [0.0, 3.0])
def test_an_untrained_model_writes_json_of_the_schema(vlm: Vlm, temperature: float) -> None:
    asks = [Ask(f"Look {n}.", (photo(n),), schema=SCHEMA, temperature=temperature, seed=n) for n in range(6)]
    for said in vlm.generate(asks, max_new_tokens=120):
        found = json.loads(said.text)
        assert list(found) == ["colour", "spots", "parts"]
        assert found["colour"] in SCHEMA["properties"]["colour"]["enum"]  # type: ignore[index]
        assert 0 <= found["spots"] <= 9
        assert len(found["parts"]) <= 2
        assert all(len(part) <= 4 for part in found["parts"])
        assert (said.finish_reason, said.note) == ("stop", None)


def test_rows_of_different_schemas_and_of_none_stand_together(vlm: Vlm) -> None:
    free = Ask("Describe it.")
    list_of_one = {"type": "array", "items": {"const": 1}, "minItems": 3, "maxItems": 3}
    asks = [free, Ask("A", schema=SCHEMA), Ask("B", schema=list_of_one), Ask("C", among=("left", "right"))]
    said = vlm.generate(asks, max_new_tokens=[5, 120, 40, 40])
    assert said[0] == vlm.generate([free], max_new_tokens=5)[0]
    assert set(json.loads(said[1].text)) == {"colour", "spots", "parts"}
    assert said[2].text == "[1, 1, 1]"
    assert said[3].text in {"left", "right"}
    assert {one.finish_reason for one in said[1:]} == {"stop"}


def test_a_limit_holds_where_the_json_is_longer(vlm: Vlm) -> None:
    said = vlm.generate([Ask("A", schema=SCHEMA)], max_new_tokens=4)[0]
    assert (said.finish_reason, said.output_tokens) == ("length", 4)


def test_a_schema_it_cannot_enforce_is_told_and_answered_in_plain_text(vlm: Vlm) -> None:
    refused = {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True}
    plain, said = vlm.generate([Ask("Which?"), Ask("Which?", schema=refused)], max_new_tokens=5)
    assert said.text == plain.text
    assert plain.note is None
    assert str(said.note).startswith("schema not enforced: ")
    assert "uniqueItems" in str(said.note)


def test_a_missing_package_is_told_and_answered_in_plain_text(
    vlm: Vlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    monkeypatch.delitem(vlm.__dict__, "vocabulary", raising=False)
    said = vlm.generate([Ask("Which?", schema=SCHEMA)], max_new_tokens=5)[0]
    assert said.text == vlm.generate([Ask("Which?")], max_new_tokens=5)[0].text
    assert said.note == "schema not enforced: llguidance is not installed"
    del vlm.__dict__["vocabulary"]


def test_a_tokenizer_it_cannot_take_is_told(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        pass

    monkeypatch.setattr(Vlm, "tokenizer", Slow())
    monkeypatch.setattr(Vlm, "stop", {1})
    matcher, note = Vocabulary(vlm).matcher(Ask("Which?", schema=SCHEMA))
    assert matcher is None
    assert str(note).startswith("schema not enforced: llguidance cannot read this tokenizer")


def test_the_schemas_of_two_calls_do_not_mix(vlm: Vlm) -> None:
    ask = Ask("C", among=("left", "right"))
    said: list[Any] = [vlm.generate([ask], max_new_tokens=9) for _ in range(2)]
    assert said[0] == said[1]
