"""Replies as models write them: values, JSON, attribute lists, outcomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.asking import parse
from fgvr_kit.backends.base import Request
from fgvr_kit.prompts import Prompt
from fgvr_kit.types import Attribute, Outcome

REAL = Path(__file__).parents[1] / "data" / "llm-replies"
MESSY: list[dict[str, Any]] = [
    json.loads(line) for line in (REAL / "messy_replies.jsonl").read_text(encoding="utf-8").splitlines()
]
LISTS: dict[str, dict[str, Any]] = json.loads((REAL / "attribute_lists.json").read_text(encoding="utf-8"))
WITH_JSON = [row for row in MESSY if "no-json" not in row["tags"]]
WITHOUT_JSON = [row for row in MESSY if "no-json" in row["tags"]]


def _id(row: dict[str, Any]) -> str:
    return f"{row['id']}-{'-'.join(row['tags'])}"


def _strings(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        for key, said in found.items():
            yield from (key, *_strings(said))
    elif isinstance(found, list):
        for item in found:
            yield from _strings(item)


def _request(purpose: str = "extract", *, schema: dict[str, Any] | None = None) -> Request:
    return Request(purpose, Prompt("p", "text", "", "0"), schema=schema)


# --- JSON objects -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", WITH_JSON, ids=_id)
def test_the_object_in_a_real_reply_is_found_and_nothing_is_added(row: dict[str, Any]) -> None:
    found = parse.json_object(row["text"])
    assert found is not None
    text = row["text"].replace('\\"', '"')
    assert [s for s in _strings(found) if s not in text] == []
    assert len(next(iter(found.values()))) >= 4  # the first guess has its sentences


@pytest.mark.parametrize("row", WITHOUT_JSON, ids=_id)
def test_a_real_reply_without_json_gives_none(row: dict[str, Any]) -> None:
    assert parse.json_object(row["text"]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"rim": "smooth"}', {"rim": "smooth"}),
        ('Here you are:\n```json\n{"rim": "smooth"}\n```\nAnything else?', {"rim": "smooth"}),
        ('{"rim": "smooth", "stars": "none",}', {"rim": "smooth", "stars": "none"}),
        ("{'rim': 'smooth', 'seen': True}", {"rim": "smooth", "seen": True}),
        ('{"rim": "smooth", "stars": "ring of', {"rim": "smooth", "stars": "ring of"}),
        ('<think>{"rim": "ribbed"}</think>{"rim": "smooth"}', {"rim": "smooth"}),
        ('Output JSON:\n"rim": "smooth",\n"stars": "none"', {"rim": "smooth", "stars": "none"}),
        ('{"value": "a [sic] note"}', {"value": "a [sic] note"}),
        ("smooth", None),
        ("", None),
        ("{}", None),
    ],
)
def test_an_object_is_read_through_what_stands_around_it(text: str, expected: dict[str, Any] | None) -> None:
    assert parse.json_object(text) == expected


@pytest.mark.parametrize("text", ["[" * 5000, "{" * 5000, '{"a":' * 3000, "[1," * 20000])
def test_a_model_in_a_loop_gives_nothing_and_breaks_nothing(text: str) -> None:
    assert parse.json_object(text) is None
    assert parse.attribute_list(text) == []
    schema = {"type": "object"}
    assert parse.judge(_request(schema=schema), text) == ("invalid", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"rim": " smooth\\n edge ", "stars": ""}', {"rim": "smooth edge"}),
        ('{"Rim": "smooth", "metal colour": "gold"}', {"rim": "smooth", "metal_colour": "gold"}),
        ('{"answers": {"rim": "smooth"}}', {"rim": "smooth"}),
        ('{"rim": ["fine", null, "worn"], "stars": 12}', {"rim": "fine, worn", "stars": "12"}),
        ('{"rim": true, "stars": false, "metal_colour": null}', {"rim": "yes", "stars": "no"}),
        ('{"motif": "lion"}', {}),
        ("nothing", {}),
    ],
)
def test_answers_are_matched_to_the_attributes_that_were_asked_for(
    text: str, expected: dict[str, str]
) -> None:
    assert parse.answers(text, ["metal_colour", "rim", "stars"]) == expected


# --- attribute lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_real_list_gives_each_name_also_where_a_comma_is_missing(name: str) -> None:
    names = [attribute.name for attribute in parse.attribute_list(LISTS[name]["raw"])]
    glued = [item for item in LISTS[name]["parsed"] if item not in names]
    assert "".join(names) == "".join(LISTS[name]["parsed"])
    assert len(names) == len(LISTS[name]["parsed"]) + len(glued)  # each glued pair is two names here


BOTH = [Attribute("rim", "How is the rim?"), Attribute("stars", "")]


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "rim", "question": "How is the rim?"}, "stars"]',
        '{"attributes": [{"name": "rim", "question": "How is the rim?"}, {"name": "stars"}]}',
        '{"rim": "How is the rim?", "stars": ""}',
        "['rim: How is the rim?', 'stars']",
        "[{'attribute': 'rim', 'description': 'How is the rim?'}, {'attribute': 'stars'},]",
        'Sure! ```json\n[{"rim": "How is the rim?"}, {"stars": ""}]\n``` Good luck.',
        '[{"name": "rim", "question": "How is the rim?"}, {"name": "stars"',
        "The best ones:\n1. **rim**: How is the rim?\n2. stars\n\nTell me if you need more.",
        "- rim: How is the rim?\n- stars",
    ],
)
def test_an_attribute_list_is_read_in_every_shape(text: str) -> None:
    assert parse.attribute_list(text) == BOTH


@pytest.mark.parametrize("text", ["", "I like coins.", "[]", "[1, 2]", '{"n": 3}', "null"])
def test_a_reply_without_a_list_has_no_attributes(text: str) -> None:
    assert parse.attribute_list(text) == []


# --- values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  bright\n gold. ", "bright gold."),
        ('"bright gold"', "bright gold"),
        ("**bright gold**", "bright gold"),
        ("Answer: bright gold", "bright gold"),
        ("<think>Is it gold?</think> gold", "gold"),
        ("<think>Is it gold? The", ""),
        ("it's 'gold'", "it's 'gold'"),
        ("'gold' or 'brass'", "'gold' or 'brass'"),
    ],
)
def test_a_value_is_one_line_without_wrapping(text: str, expected: str) -> None:
    assert parse.value(text) == expected


# --- outcomes ---------------------------------------------------------------------------------------------

LIST = '[{"name": "rim", "question": "How is the rim?"}]'


@pytest.mark.parametrize(
    ("purpose", "schema", "text", "expected"),
    [
        ("extract", False, "gold", "ok"),
        ("extract", False, "<think>hm</think>", "invalid"),
        ("extract", False, "I'm sorry, but I can't help with that.", "refused"),
        ("extract", False, "Sorry, I cannot identify people.", "refused"),
        ("extract", False, "As an AI, I'm unable to look at images.", "refused"),
        ("extract", False, "It cannot be seen.", "ok"),
        ("extract", False, "I cannot see a rim", "ok"),
        ("extract", True, '{"rim": "smooth"}', "ok"),
        ("extract", True, '```json\n{"rim": "smooth"}\n```', "repaired"),
        ("extract", True, '{"rim": "smooth", "stars": "none",}', "repaired"),
        ("extract", True, "The rim is smooth.", "invalid"),
        ("extract", True, '{"rim": "smooth", "stars": "ring of', "invalid"),
        ("discover", True, LIST, "ok"),
        ("discover", True, f"Here: {LIST}", "repaired"),
        ("discover", True, "1. rim\n2. stars", "repaired"),
        ("discover", True, '[{"name": "rim"}, {"na', "invalid"),
        ("discover", True, "I have none.", "invalid"),
        ("describe", False, "A golden coin.", "ok"),
    ],
)
def test_a_reply_is_judged_and_kept_as_it_came(
    purpose: str, schema: bool, text: str, expected: Outcome
) -> None:
    assert parse.judge(_request(purpose, schema={"type": "object"} if schema else None), text) == (
        expected,
        text,
    )


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("B", "dark red"), ("b.", "dark red"), ("(B) dark red", "dark red"), ("B: dark red", "dark red"),
        ("Option C", "blue"), ("Dark red.", "dark red"), ("**blue**", "blue"), ('"Red"', "red"),
        ("The wing is dark red", "dark red"), ("It is red.", "red"), ("not visible", "not visible"),
        ("Answer: A", "red"), ("a blue one", "blue"), ("A blue one", "blue"),
        ("red or blue", None), ("E", None), ("B. blue", None), ("green", None), ("", None), ("reddish", None),
    ],
)  # fmt: skip
def test_an_option_is_named_by_its_letter_or_its_words(said: str, wanted: str | None) -> None:
    assert parse.option(said, ["red", "dark red", "blue", "not visible"]) == wanted


def test_labels_beyond_the_capitals_are_small_letters_and_then_numbers() -> None:
    thirty, sixty = ([f"colour {i}" for i in range(n)] for n in (30, 60))
    assert (parse.option("a", thirty), parse.option("A.", thirty)) == ("colour 26", "colour 0")
    assert (parse.option("60", sixty), parse.option("1. colour 0", sixty)) == ("colour 59", "colour 0")


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ('[{"name": "rim", "options": ["plain", " ribbed "]}]', ("plain", "ribbed")),
        ('[{"name": "rim", "values": "plain; ribbed"}]', ("plain", "ribbed")),
        ('[{"name": "rim", "choices": ["plain", null, 3, {"a": 1}]}]', ("plain", "3")),
        ('[{"name": "rim", "options": []}]', ()),
        ('[{"name": "rim", "options": "plain"}]', ("plain",)),
    ],
)
def test_the_values_of_a_closed_attribute_are_read(said: str, options: tuple[str, ...]) -> None:
    (attribute,) = parse.attribute_list(said)
    assert (attribute.name, attribute.options) == ("rim", options)


JOINT = {
    "type": "object", "additionalProperties": False, "required": ["rim", "side"],
    "properties": {"rim": {"type": "string", "maxLength": 20}, "side": {"type": "string", "enum": ["a", "b"]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ('{"rim": "thin", "side": "a"}', "ok"),
        ('{"rim": "", "side": "a"}', "ok"),
        ('{"rim": "thin", "side": "c"}', "repaired"),
        ('{"rim": "thin"}', "repaired"),
        ('{"rim": "thin", "side": "a", "more": 1}', "repaired"),
        ('{"rim": "thin and long and more than that", "side": "a"}', "repaired"),
        ('```json\n{"rim": "thin", "side": "a"}\n```', "repaired"),
        ('{"edge": "thin"}', "invalid"),
        ("{}", "invalid"),
    ],
)
def test_a_reply_is_held_to_its_schema_whatever_the_server_promised(said: str, outcome: str) -> None:
    request = Request("extract", Prompt("p", "?", "", ""), schema=JOINT)
    assert parse.judge(request, said)[0] == outcome


@pytest.mark.parametrize(
    ("said", "options", "wanted"),
    [
        ("1.5 mm", ["1.5 mm", "15 mm"], "1.5 mm"),
        ("15 mm", ["1.5 mm", "15 mm"], "15 mm"),
        ("it measures 1.5 mm", ["1.5 mm", "15 mm"], "1.5 mm"),
        ("C++", ["C", "C++"], "C++"),
        ("+", ["+", "-"], "+"),
        ("It is not red", ["red", "blue"], None),
        ("not red", ["red", "blue", "not visible"], None),
        ("it is not visible here", ["red", "not visible"], "not visible"),
        ("no stripes", ["stripes", "no stripes"], "no stripes"),
    ],
)
def test_options_that_are_nearly_alike_are_told_apart(
    said: str, options: list[str], wanted: str | None
) -> None:
    assert parse.option(said, options) == wanted
