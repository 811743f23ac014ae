from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.asking.engine import ask
from fgvr_kit.asking.keys import reply_key
from fgvr_kit.asking.limits import HELD_BACK, Limits
from fgvr_kit.backends.base import Response, Turn
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.asking.scripted import Bar, Scripted, said
from tests.backends.contract import SCHEMA, prompt, question

ROOT = Path(__file__).parents[2]


# --- nothing is asked twice -----------------------------------------------------------------------------------


def test_equal_requests_share_one_call(store: Store) -> None:
    backend = Scripted(lambda _: said())
    first, twin = question(1), question(1, subject="6" * 64, attribute="another")
    asked = ask(backend, [first, first, twin], store)
    assert backend.batches == [["Question 1?"]]
    row = asked.row(first)
    assert row is not None
    assert row == asked.row(twin)
    assert row["subject"] == first.subject
    assert (asked.n_new, asked.n_stored) == (1, 0)


def test_batches_are_contiguous_and_hold_only_what_is_missing(store: Store) -> None:
    backend = Scripted(lambda _: said())
    ask(backend, [question(2)], store)
    backend.batches.clear()
    backend.batch_size = 3
    bar = Bar()
    ask(backend, [question(n) for n in range(6)], store, progress=bar, what="describe")
    assert backend.batches == [[f"Question {n}?" for n in (0, 1, 3)], [f"Question {n}?" for n in (4, 5)]]
    assert (bar.seen, bar.n) == (("describe", 6, 1), 5)
    assert backend.n_closed == 2


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": prompt("Question 2?")},
        {"prompt": prompt("Question 1?", "Be brief.")},
        {"images": (ImageRef(Path("a.jpg"), "7" * 64),)},
        {"schema": SCHEMA},
        {"options": ("red", "blue")},
        {"sample": 1},
        {"turns": (Turn("a", "b"),)},
        {"temperature": 0.5},
    ],
)
def test_whatever_changes_the_reply_changes_its_key(change: dict[str, Any]) -> None:
    backend = Scripted(lambda _: said())
    assert reply_key(backend, replace(question(1), **change)) != reply_key(backend, question(1))


def test_model_and_conditions_of_the_backend_are_in_the_key() -> None:
    one, other = Scripted(lambda _: said()), Scripted(lambda _: said())
    keys = [reply_key(one, question(1))]
    other.model = "n"
    keys.append(reply_key(other, question(1)))
    one.conditions = {"num_ctx": 512}
    keys.append(reply_key(one, question(1)))
    assert len(set(keys)) == 3


def test_where_an_image_lies_is_not_in_the_key_and_its_subject_only_when_the_backend_looks_at_it() -> None:
    backend = Scripted(lambda _: said())
    here, there = (question(1, images=(ImageRef(Path(p), "7" * 64),)) for p in ("a.jpg", "b/c.jpg"))
    assert reply_key(backend, here) == reply_key(backend, there)
    other = replace(here, subject="8" * 64)
    assert reply_key(backend, here) == reply_key(backend, other)
    backend.per_subject = True
    assert reply_key(backend, here) != reply_key(backend, other)


# --- outcomes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "outcome", "text"),
    [
        (said(" brown\n"), "ok", "brown"),
        (said(""), "invalid", ""),
        (said("The wing is", "length"), "cut_off", "The wing is"),
        (said("", "length"), "cut_off", ""),
        (said("I cannot help with that.", "refused"), "refused", "I cannot help with that."),
        (said("half \ud83d a pair, and \0"), "ok", "half ? a pair, and"),
    ],
)
def test_what_becomes_of_a_reply_without_a_judge(
    store: Store, reply: Response, outcome: str, text: str
) -> None:
    row = ask(Scripted(lambda _: reply), [question(1)], store).row(question(1))
    assert row is not None
    assert (row["outcome"], row["text"]) == (outcome, text)


def test_a_judge_saves_a_cut_off_reply_only_where_a_schema_was_asked_for(store: Store) -> None:
    requests = [question(1), question(1, schema=SCHEMA)]
    backend = Scripted(lambda _: said('{"colour": "brown"', "length"))
    asked = ask(backend, requests, store, judge=lambda _, __: ("repaired", '{"colour": "brown"}'))
    assert [row["outcome"] for r in requests if (row := asked.row(r))] == ["cut_off", "repaired"]


def test_only_so_many_new_replies_are_asked_for_and_the_next_call_goes_on(store: Store) -> None:
    backend = Scripted(lambda _: said())
    requests = [question(n) for n in range(7)]
    first = ask(backend, requests, store, limits=Limits(max_calls=3))
    assert (first.n_new, first.n_stored, first.failures) == (3, 0, {HELD_BACK: 4})
    assert first.errors[HELD_BACK].code == "max-calls"
    assert [first.row(r) is None for r in requests] == [False] * 3 + [True] * 4
    second = ask(backend, requests, store, limits=Limits(max_calls=3))
    assert (second.n_new, second.n_stored, second.failures) == (3, 3, {HELD_BACK: 1})
    third = ask(backend, requests, store, limits=Limits(max_calls=3))
    assert (third.n_new, third.n_stored, third.failures) == (1, 6, {})


def test_a_row_tells_all_about_its_reply(store: Store) -> None:
    request = question(1, prompt=prompt("Which?", "Look."), images=(ImageRef(Path("a.jpg"), "7" * 64),))
    backend = Scripted(lambda _: said(note="untrained toy model"))
    backend.conditions = {"num_ctx": 512}
    row = ask(backend, [request], store).row(request)
    assert row is not None
    assert row.pop("seconds") > 0
    assert row.pop("created")
    assert row == {
        "id": 1, "key": reply_key(backend, request), "backend": "scripted:m", "model": "m-1", "purpose": "extract",
        "subject": "5" * 64, "attribute": "attribute 1", "prompt_id": 1, "prompt_name": "extract/question",
        "template_hash": "0123456789abcdef", "system": "Look.", "prompt": "Which?", "images": f'["{"7" * 64}"]',
        "sampling": '{"max_tokens": 6, "temperature": 0.0, "num_ctx": 512}', "text": "brown", "outcome": "ok",
        "finish_reason": "stop", "input_tokens": 5, "output_tokens": 2, "note": "untrained toy model",
        "cost": None, "max_tokens": 6, "calls": 1, "rejected": None, "sample": 0, "scores": None,
    }  # fmt: skip


def test_failed_replies_are_asked_again_only_on_request_and_keep_their_id(store: Store) -> None:
    requests = [question(1), question(2)]
    ask(Scripted(lambda r: said("" if r == requests[0] else "brown")), requests, store)
    backend = Scripted(lambda _: said("green"))
    asked = ask(backend, requests, store)
    assert (backend.batches, asked.n_new, asked.n_stored) == ([], 0, 2)
    assert [row["outcome"] for r in requests if (row := asked.row(r))] == ["invalid", "ok"]
    asked = ask(backend, requests, store, retry_failed=True)
    assert (backend.batches, asked.n_new, asked.n_stored) == ([["Question 1?"]], 1, 1)
    assert [(row["id"], row["text"]) for r in requests if (row := asked.row(r))] == [
        (1, "green"),
        (2, "brown"),
    ]


def test_a_cut_off_reply_is_asked_again_when_more_tokens_are_allowed_and_no_other(store: Store) -> None:
    short = [question(n, max_tokens=6) for n in range(3)]
    ask(Scripted(lambda r: said("so", "length" if r == short[1] else "stop")), short, store)
    backend = Scripted(lambda _: said("so it is"))
    longer = [replace(request, max_tokens=12) for request in short]
    asked = ask(backend, longer, store)
    assert backend.batches == [["Question 1?"]]
    assert [row["text"] for _, row in asked.rows(longer) if row] == ["so", "so it is", "so"]
    fewer = [replace(request, max_tokens=3) for request in short]
    assert ask(backend, fewer, store).n_new == 0
