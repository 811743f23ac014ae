from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Backend
from fgvr_kit.backends.replay import export_replies, prompt_sha256
from fgvr_kit.errors import RequestRejected, SettingsError, UsageError
from fgvr_kit.store import Store
from tests.asking.scripted import Scripted, said
from tests.backends.contract import SCHEMA, opened, prompt, question, say

IMAGE = "5" * 64  # the subject of question()
HASH = prompt_sha256("", "Question 1?")


def recorded(folder: Path, *lines: dict[str, Any]) -> Backend:
    (folder / "said.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return opened("replay:said.jsonl", folder)


def test_the_prompt_hash_is_that_of_system_message_and_prompt_in_a_row() -> None:
    # printf 'Be brief.Which?' | sha256sum
    assert prompt_sha256("Be brief.", "Which?") == (
        "fd65516248f0294ec0b995b04373be3bf01f7b9e1ff4824bb823dd1fab2f07b1"
    )


@pytest.mark.parametrize(
    ("lesser", "better"),
    [
        ({}, {"purpose": "extract"}),
        ({"purpose": "extract"}, {"prompt": HASH}),
        ({"prompt": HASH}, {"attribute": "attribute 1"}),
        ({"attribute": "attribute 1"}, {"image": IMAGE}),
        ({"image": IMAGE}, {"purpose": "extract", "prompt": HASH}),
        ({"image": IMAGE}, {"image": IMAGE, "attribute": "attribute 1"}),
        ({"attribute": "attribute 1", "prompt": HASH, "purpose": "extract"},
         {"image": IMAGE, "attribute": "attribute 1", "prompt": HASH, "purpose": "extract"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("better_first", [True, False])
def test_the_line_that_names_most_wins_wherever_it_stands(
    lesser: dict[str, str], better: dict[str, str], better_first: bool, tmp_path: Path
) -> None:
    lines = [{**lesser, "text": "lesser"}, {**better, "text": "better"}]
    backend = recorded(tmp_path, *(reversed(lines) if better_first else lines))
    assert say(backend, question(1))[0].text == "better"


def test_of_lines_that_name_the_same_the_later_wins(tmp_path: Path) -> None:
    backend = recorded(tmp_path, {"image": IMAGE, "text": "old"}, {"image": IMAGE, "text": "new"})
    assert say(backend, question(1))[0].text == "new"


@pytest.mark.parametrize("name", ["image", "attribute", "prompt", "purpose"])
def test_a_line_answers_nothing_that_differs_in_what_it_names(
    name: str, tmp_path: Path, store: Store
) -> None:
    backend = recorded(tmp_path, {name: "another", "text": "wrong"})
    requests = [question(1), replace(question(2), subject=None, attribute=None)]
    asked = ask(backend, requests, store)
    assert asked.failures == {"no recorded reply": 2}
    caught = asked.errors["no recorded reply"]
    assert isinstance(caught, RequestRejected)
    assert caught.message == (
        "said.jsonl holds no reply for image 555555555555, attribute attribute 1, "
        f"prompt {HASH[:12]}, purpose extract"
    )


def test_the_short_form_is_one_line_an_attribute(tmp_path: Path) -> None:
    answers = {"attribute 1": "brown", "attribute 2": "long"}
    backend = recorded(tmp_path, {"purpose": "extract", "image": IMAGE, "answers": answers, "model": "m-1"})
    replies = say(backend, question(2), question(1))
    assert [(r.text, r.model, r.note) for r in replies] == [
        ("long", "m-1", "recorded replies of m-1"), ("brown", "m-1", "recorded replies of m-1"),
    ]  # fmt: skip


def test_without_a_model_the_file_is_named(tmp_path: Path) -> None:
    reply = say(recorded(tmp_path, {"text": "brown"}), question(1))[0]
    assert (reply.model, reply.note, reply.finish_reason) == ("said.jsonl", "recorded replies", "stop")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": "brown"', "not JSON"),
        ('["brown"]', "not a JSON object"),
        ('{"image": "5"}', 'needs either "text" or "answers"'),
        ('{"text": "a", "answers": {}}', 'needs either "text" or "answers"'),
        ('{"imagee": "5", "text": "a"}', "unknown key 'imagee'"),
        ('{"text": 3}', "'text' must be a text"),
        ('{"image": null, "text": "a"}', "'image' must be a text"),
        ('{"answers": ["a"]}', '"answers" must be an object of texts'),
        ('{"answers": {"a": 1}}', '"answers" must be an object of texts'),
        ('{"attribute": "a", "answers": {"a": "b"}}', 'leave "attribute" out'),
    ],
)
def test_a_malformed_line_is_named_by_its_number(line: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_text(f'{{"text": "good"}}\n\n{line}\n', encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        opened("replay:said.jsonl", tmp_path)
    assert caught.value.code == "replay-line"
    assert caught.value.message.startswith("line 3 of said.jsonl: ")
    assert problem in caught.value.message
    assert caught.value.where == f"{tmp_path / 'said.jsonl'}:3"


def test_a_byte_that_is_no_text_is_a_malformed_line(tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(SettingsError, match=r"line 1 of said\.jsonl: not JSON"):
        opened("replay:said.jsonl", tmp_path)


def test_line_separators_inside_a_text_do_not_part_lines(tmp_path: Path) -> None:
    text = "one\u2028two\u0085three"
    (tmp_path / "said.jsonl").write_text(json.dumps({"text": text}, ensure_ascii=False), encoding="utf-8")
    assert say(opened("replay:said.jsonl", tmp_path), question(1))[0].text == text


def test_a_file_is_found_from_the_workspace_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / "said.jsonl").write_text('{"text": "from here"}', encoding="utf-8")
    assert say(opened("replay:said.jsonl", tmp_path), question(1))[0].text == "from here"
    (tmp_path / "said.jsonl").write_text('{"text": "from the workspace"}', encoding="utf-8")
    assert say(opened("replay:said.jsonl", tmp_path), question(1))[0].text == "from the workspace"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        opened("replay:nowhere.jsonl", tmp_path)
    assert (caught.value.code, caught.value.where) == ("replay-missing", str(tmp_path))
    assert "'nowhere.jsonl'" in caught.value.message


def test_an_edited_recording_is_asked_again(tmp_path: Path, store: Store) -> None:
    ask(recorded(tmp_path, {"text": "old"}), [question(1)], store)
    row = ask(recorded(tmp_path, {"text": "new"}), [question(1)], store).row(question(1))
    assert row is not None
    assert row["text"] == "new"


def test_exported_replies_answer_the_same_requests_elsewhere(tmp_path: Path, store: Store) -> None:
    requests = [
        question(1),
        question(2, prompt=prompt("Which?", "Be brief.")),
        question(1, subject="6" * 64),
        question(3, subject=None, attribute=None, schema=SCHEMA),
        replace(question(4), purpose="describe", attribute=None),
    ]
    backend = Scripted(
        lambda r: said(f"{r.purpose} {r.subject} {r.prompt.text} \u2028ä", note="untrained toy model")
    )
    backend.per_subject = True
    backend.spec = "replay:first.jsonl"  # its replies belong to the image, whatever the words
    before = ask(backend, requests, store)
    ask(Scripted(lambda _: said("")), [question(9)], store)  # no answer: not exported
    assert export_replies(store, tmp_path / "out" / "replies.jsonl") == 5
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["replies.jsonl"]
    with Store(tmp_path / "other" / "fgvr.db") as other:
        after = ask(opened("replay:out/replies.jsonl", tmp_path), requests, other)
        for request in requests:
            old, new = before.row(request), after.row(request)
            assert old is not None
            assert new is not None
            same = ("text", "model", "purpose", "subject", "attribute", "prompt", "system", "outcome")
            assert [old[column] for column in same] == [new[column] for column in same]
            assert new["note"] == "recorded replies of m-1; untrained toy model"
        # What was replayed is recorded as what it is: notes do not pile up.
        assert export_replies(other, tmp_path / "again.jsonl") == 5
    first, again = (
        [json.loads(line) for line in file.read_bytes().splitlines()]
        for file in (tmp_path / "out" / "replies.jsonl", tmp_path / "again.jsonl")
    )
    assert [{**line, "note": "recorded replies of m-1; untrained toy model"} for line in first] == again
    reply = say(opened("replay:again.jsonl", tmp_path), question(1))[0]
    assert reply.note == "recorded replies of m-1; untrained toy model"


def test_a_reply_that_saw_no_image_is_exported_for_whoever_asks_in_these_words(
    tmp_path: Path, store: Store
) -> None:
    """Two images with equal answers share one description: the recording must serve both."""
    one, two = (
        replace(question(1), purpose="describe", subject=s * 64, attribute=None, images=()) for s in "ab"
    )
    ask(Scripted(lambda _: said("A red bee.")), [one, two], store)
    assert export_replies(store, tmp_path / "r.jsonl") == 1
    with Store(tmp_path / "other" / "fgvr.db") as other:
        after = ask(opened("replay:r.jsonl", tmp_path), [one, two], other)
        assert [after.row(request)["text"] for request in (one, two)] == ["A red bee."] * 2  # type: ignore[index]


def test_a_place_that_is_no_file_is_refused(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").write_text("x")
    for target in (tmp_path, tmp_path / "file" / "r.jsonl"):
        with pytest.raises(UsageError) as caught:
            export_replies(store, target)
        assert caught.value.code == "export-target"
