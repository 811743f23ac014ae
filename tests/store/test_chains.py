from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.store import Store
from fgvr_kit.types import Answer
from tests.store.test_store import reply, scanned


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two images of a class; the first has an answer and a second sample."""
    store = Store(tmp_path / ".fgvr" / "fgvr.db")
    store.put_images([scanned("bee/1"), scanned("bee/2")], [])
    about = {"subject": "bee/1", "attribute": "colour", "sampling": '{"options": ["red", "blue"]}'}
    store.put_replies([
        reply("a", **about),
        reply("b", "blue", sample=1, **about),
        reply("c", "", sample=2, outcome="invalid", **about),
        reply("d", "else", sample=1, **{**about, "prompt": "another question"}),
        reply("e", "else", sample=1, **{**about, "backend": "another"}),
        reply("f", "else", sample=1, **{**about, "subject": "bee/2"}),
    ])  # fmt: skip
    store.put_answers([Answer(1, "colour", "red", 1)])
    return store


def test_samples_are_those_of_the_same_question_to_the_same_model(store: Store) -> None:
    (row,) = store.samples()
    assert (row["image_id"], row["attribute"], row["value"], row["text"]) == (1, "colour", "red", "blue")
    assert (row["options"], row["is_joint"]) == (("red", "blue"), 0)
    assert list(store.samples(1)) == [row]
    assert list(store.samples(2)) == []


def test_a_person_does_not_hide_what_the_machine_said_twice(store: Store) -> None:
    store.put_correction("bee/1", "colour", "green", "anna")
    (row,) = store.samples()
    assert row["value"] == "red"


def test_an_answer_is_joined_with_its_reply_and_its_correction(store: Store) -> None:
    store.put_correction("bee/1", "colour", "green", "anna")
    store.put_correction("bee/1", "rim", "smooth", "otto")  # no model was asked
    colour, rim = store.chain_of_answers(1)
    assert (colour["value"], colour["machine"], colour["author"], colour["said"]) == (
        "green",
        "red",
        "anna",
        "red",
    )
    assert (rim["value"], rim["written"], rim["machine"], rim["reply_id"]) == ("smooth", "smooth", None, None)
    assert store.chain_of_answers(2) == []


def test_what_is_unusable_has_a_row_for_each_image_it_is_about(store: Store) -> None:
    store.put_images([scanned("bee/1"), scanned("bee/2"), scanned("wasp/again", "bee/1")], [])
    failure = {"backend": "fake:x", "purpose": "extract", "subject": "gone", "attribute": "rim", "code": "x",
               "message": "m", "why": None, "hint": "h"}  # fmt: skip
    store.put_failures([failure | {"key": "z"}])
    rows = [(row["kind"], row["reason"], row["image"], row["attribute"]) for row in store.unusable()]
    assert rows == [
        ("reply", "invalid", "bee/1", "colour"),
        ("reply", "invalid", "wasp/again", "colour"),
        ("request", "x", None, "rim"),
    ]
    assert [row["kind"] for row in store.unusable("extract", "rim")] == ["request"]
    assert store.unusable("describe") == []


def test_frequent_values_come_first(store: Store) -> None:
    values = ["blue", "red", "red", "green"]
    store.put_images([scanned(f"bee/{n}") for n in range(4)], [])
    store.put_answers([Answer(i.id, "colour", v, None) for i, v in zip(store.images(), values, strict=True)])
    assert store.frequent_values("colour", 2) == ["red", "blue"]


def test_paths_begin_as_they_are_written(store: Store) -> None:
    store.put_images([scanned(path) for path in ("b%e/1", "bee/1", "bee/2", "Bee/3")], [])
    assert store.paths_from("bee/", 9) == ["bee/1", "bee/2"]
    assert store.paths_from("b%", 9) == ["b%e/1"]
    assert store.paths_from("", 2) == ["Bee/3", "b%e/1"]
