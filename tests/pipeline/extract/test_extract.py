from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.errors import BackendError, FgvrError, RequestRejected
from fgvr_kit.pipeline import extract as module
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.types import GENERAL
from tests.ejected import ejected
from tests.pipeline.coins import (
    CLASSES,
    EXAMPLE,
    N_COINS,
    RECORDED,
    REPLAY,
    Said,
    Scripted,
    cut,
    make_workspace,
    opened,
    set_attributes,
    use,
)

N_ALL = N_COINS * 14


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


def plain(request: Request) -> Said:
    return f"{request.attribute} seen"


def test_every_image_gets_its_recorded_answers(root: Path) -> None:
    recorded = {
        line["image"]: line["answers"]
        for line in map(json.loads, (EXAMPLE / "replies.jsonl").read_text(encoding="utf-8").splitlines())
        if line["purpose"] == "extract"
    }
    with opened(root) as workspace:
        summary = extract(workspace)
        answers = workspace.store.answers()
        images = workspace.store.images()
        assert answers == {image.id: recorded[image.sha256] for image in images}
        assert workspace.store.walk()["extract"]["fingerprint"] == module.fingerprint_of(workspace)
        replies = {row["id"]: row for row in workspace.store.all_replies()}
        assert {row["note"] for row in replies.values()} == {RECORDED}
    assert summary.done == {
        "backend": REPLAY, "images": N_COINS, "attributes": 13, "answers": N_ALL, "of": N_ALL,
        "asked now": N_ALL, "already stored": 0,
    }  # fmt: skip
    assert (summary.dropped, summary.notes, summary.notices) == ((), (RECORDED,), ())


def test_running_again_asks_nothing_and_changes_nothing(root: Path) -> None:
    with opened(root) as workspace:
        extract(workspace)
        before = workspace.store.digest("answers", ["image_id", "attribute", "value", "reply_id"])
        summary = extract(workspace)
        assert (summary.done["asked now"], summary.done["already stored"]) == (0, N_ALL)
        assert workspace.store.digest("answers", ["image_id", "attribute", "value", "reply_id"]) == before


@pytest.mark.parametrize("ask", ["single", "joint"])
def test_the_class_never_reaches_a_prompt(root: Path, monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    backend = Scripted(plain)
    use(backend, monkeypatch)
    with opened(root, f"extract.ask={ask}", "domain.notes='on a table'") as workspace:
        extract(workspace)
        names = finder(workspace.classes().values())
    asked = [r for r in backend.asked if not r.turns]  # without the turns that mend a reply
    sent = [json.dumps([r.prompt.system, r.prompt.text, r.schema, r.attribute]) for r in asked]
    assert len(sent) == N_COINS * (14 if ask == "single" else 2)
    assert [text for text in sent if names.find(text)] == []
    assert all("euro coin" in text and "on a table" in text for text in sent)
    assert names.find(f"a {CLASSES[0]}")  # the search itself finds what it looks for


def test_clip_is_given_a_line_for_each_value_and_weighs_them(root: Path, toy_clip_model: str) -> None:
    (root / "attributes.csv").write_text("attribute,question,options\nmetal_colour,Which?,gold; copper\n")
    with opened(root, "extract.closed_by=clip:toy-clip") as workspace:
        before = module.fingerprint_of(workspace)
        summary = extract(workspace)
        row = next(row for row in workspace.store.all_replies() if row["attribute"] == "metal_colour")
        values = {answers["metal_colour"] for answers in workspace.store.answers().values()}
    assert row["prompt"].splitlines()[:2] == [
        "a photo of one euro coin with metal colour: gold", "a photo of one euro coin with metal colour: copper",
    ]  # fmt: skip
    assert values <= {"gold", "copper"}
    assert any("CLIP" in note for note in summary.notes)
    prompt = ejected(root, "extract/clip")
    prompt.write_text(prompt.read_text().replace("a photo", "a close photo"))
    with opened(root, "extract.closed_by=clip:toy-clip") as workspace:
        assert module.fingerprint_of(workspace) != before


def test_each_request_carries_its_image_and_its_tokens(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Scripted(plain)
    use(backend, monkeypatch)
    set_attributes(root, "rim")
    with opened(root, "extract.max_tokens=10") as workspace:
        extract(workspace)
        image = workspace.store.images()[0]
        path = workspace.ref_of(image).path
    of_first = [r for r in backend.asked if r.subject == image.sha256]
    assert [(r.attribute, r.max_tokens, r.purpose, r.schema) for r in of_first] == [
        (GENERAL, 40, "extract", None), ("rim", 10, "extract", None),
    ]  # fmt: skip
    assert {(ref.path, ref.sha256) for r in of_first for ref in r.images} == {(path, image.sha256)}
    assert "What of the rim?" in of_first[1].prompt.text


def test_joint_is_one_json_request_an_image_and_the_free_description(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(request: Request) -> Said:
        if request.attribute == GENERAL:
            return "A coin."
        return 'Here: ```json\n{"rim": " fine  ribs ", "stars": null, "Metal-Colour": "gold.",}\n```'

    backend = Scripted(say)
    use(backend, monkeypatch)
    set_attributes(root, "rim", "stars", "metal_colour")
    with opened(root, "extract.ask=joint", "extract.max_tokens=10") as workspace:
        summary = extract(workspace)
        expected = {GENERAL: "A coin.", "rim": "fine ribs", "metal_colour": "gold."}
        assert list(workspace.store.answers().values()) == [expected] * N_COINS
        outcomes = {(row["attribute"], row["outcome"]) for row in workspace.store.all_replies()}
    assert outcomes == {(GENERAL, "ok"), (None, "repaired")}
    assert summary.dropped == (("answers", N_COINS, "left out by the model"),)
    whole = next(r for r in backend.asked if r.attribute is None)
    text = {"type": "string", "maxLength": 200}
    assert whole.schema == {
        "type": "object", "properties": {"rim": text, "stars": text, "metal_colour": text},
        "required": ["rim", "stars", "metal_colour"], "additionalProperties": False,
    }  # fmt: skip
    assert whole.max_tokens == 40
    assert '- "rim": What of the rim?' in whole.prompt.text


def test_answers_that_break_off_in_json_are_not_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, whole = '{"rim": "fine", "stars": "ring o', '{"rim": "fine", "stars": "none"}\n\n\n'
    texts = iter([broken, whole, *[broken] * N_COINS])
    use(Scripted(lambda r: "A coin." if r.attribute else cut(next(texts))), monkeypatch)
    set_attributes(root, "rim", "stars")
    with opened(root, "extract.ask=joint") as workspace:
        summary = extract(workspace)
        assert sum(len(answers) for answers in workspace.store.answers().values()) == N_COINS + 2
    assert summary.dropped == (("answers", 2 * (N_COINS - 1), "cut off at max_tokens"),)


def test_equal_pixels_are_asked_once_and_answered_for_each_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph = sorted((root / "coins" / CLASSES[0]).iterdir())[0]
    shutil.copy(photograph, photograph.with_name("again.jpg"))
    init(root / "coins", root)
    backend = Scripted(plain)
    use(backend, monkeypatch)
    set_attributes(root, "rim")
    with opened(root) as workspace:
        summary = extract(workspace)
        assert len(workspace.store.answers()) == N_COINS + 1
    assert len(backend.asked) == N_COINS * 2
    assert (summary.done["answers"], summary.done["asked now"]) == ((N_COINS + 1) * 2, N_COINS * 2)


def test_a_new_attribute_asks_only_for_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Scripted(plain)
    use(backend, monkeypatch)
    set_attributes(root, "rim")
    with opened(root) as workspace:
        extract(workspace)
    backend.asked.clear()
    set_attributes(root, "rim", "stars")
    with opened(root) as workspace:
        summary = extract(workspace)
    assert [r.attribute for r in backend.asked] == ["stars"] * N_COINS
    assert (summary.done["asked now"], summary.done["already stored"]) == (N_COINS, N_COINS * 2)


def test_an_attribute_that_is_gone_has_no_answers(root: Path) -> None:
    with opened(root) as workspace:
        extract(workspace)
    set_attributes(root, "stars")
    with opened(root) as workspace:
        extract(workspace)
        assert {tuple(answers) for answers in workspace.store.answers().values()} == {(GENERAL, "stars")}


def test_with_a_limit_the_first_images_are_tried_and_the_step_does_not_stand(root: Path) -> None:
    with opened(root) as workspace:
        summary = extract(workspace, limit=2)
        assert summary.done["images"] == f"the first 2 of {N_COINS}"
        assert [n.code for n in summary.notices] == ["extract-limited"]
        assert list(workspace.store.answers()) == [i.id for i in workspace.store.images()[:2]]
        assert "extract" not in workspace.store.walk()
        assert extract(workspace).done["asked now"] == N_ALL - 2 * 14


def test_a_limited_try_of_another_model_leaves_complete_answers_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(root) as workspace:
        extract(workspace)
        before = workspace.store.answers()
        use(Scripted(plain), monkeypatch)
        summary = extract(workspace, limit=1)
        assert (summary.done["answers"], summary.done["asked now"]) == (14, 14)
        assert [n.why for n in summary.notices] == ["the answers of the last complete run stay in force"]
        assert workspace.store.answers() == before


def test_what_is_no_answer_is_dropped_with_its_reason(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(request: Request) -> Said:
        if request.attribute == "gone":
            return RequestRejected(
                "no such picture", code="image-unreadable", hint="run init again", where="x.jpg"
            )
        said: dict[str | None, Said] = {
            "refused": "I'm sorry, I can't help with that.", "cut": cut("a rather long"), "empty": "  ", "bare": '""',
        }  # fmt: skip
        return said.get(request.attribute, " as\n it   is. ")

    use(Scripted(say), monkeypatch)
    set_attributes(root, "refused", "cut", "empty", "gone", "rim")
    with opened(root) as workspace:
        summary = extract(workspace)
        expected = {GENERAL: "as it is.", "rim": "as it is."}
        assert list(workspace.store.answers().values()) == [expected] * N_COINS
    assert sorted(summary.dropped) == [
        ("answers", N_COINS, "cut off at max_tokens"),
        ("answers", N_COINS, "empty, or not in the form that was asked for"),
        ("answers", N_COINS, "image unreadable"),
        ("answers", N_COINS, "the model refused"),
    ]
    unanswered, unusable = summary.notices
    assert (unanswered.code, unanswered.where, unanswered.why) == (
        "requests-unanswered",
        "x.jpg",
        "no such picture",
    )
    assert unanswered.message == f"{N_COINS} requests got no reply: image unreadable"
    assert (unusable.code, unusable.message) == ("replies-unusable", f"{3 * N_COINS} replies hold no answer")
    assert "--retry-failed" in unusable.hint


def test_failed_replies_are_asked_again_on_request_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_attributes(root, "rim")
    backend = Scripted(lambda r: cut("so") if r.attribute == "rim" else "A coin.")
    use(backend, monkeypatch)
    with opened(root) as workspace:
        (notice,) = extract(workspace).notices
        assert (notice.why, notice.hint) == (
            f"{N_COINS} times cut off at max_tokens",
            "a larger max_tokens asks these anew, and only these",
        )
        backend.say = lambda _: "ribbed"
        assert extract(workspace).done["asked now"] == 0
        summary = extract(workspace, retry_failed=True)
        assert (summary.done["asked now"], summary.dropped) == (N_COINS, ())
        assert [a["rim"] for a in workspace.store.answers().values()] == ["ribbed"] * N_COINS


def test_an_attribute_without_recorded_replies_is_told(root: Path) -> None:
    set_attributes(root, "stars", "smell")
    with opened(root) as workspace:
        summary = extract(workspace)
    assert summary.dropped == (("answers", N_COINS, "no recorded reply"),)
    assert summary.done["answers"] == N_COINS * 2


@pytest.mark.parametrize(
    "said", ["I'm sorry, I cannot help.", RequestRejected("not so", code="no-such", hint="do otherwise")]
)
def test_when_nothing_is_answered_the_earlier_answers_stay(
    root: Path, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    with opened(root) as workspace:
        extract(workspace)
        before = workspace.store.answers()
        use(Scripted(lambda _: said), monkeypatch)
        with pytest.raises(BackendError) as caught:
            extract(workspace)
        assert caught.value.code == "nothing-answered"
        assert caught.value.message == f"scripted:model answered none of {N_ALL} requests"
        assert caught.value.hint == (
            said.hint
            if isinstance(said, BackendError)
            else "try another model, a larger max_tokens, or --retry-failed"
        )
        assert workspace.store.answers() == before


def test_without_attributes_or_a_backend_it_says_what_to_do(root: Path) -> None:
    with opened(root, 'extract.backend=""') as workspace, pytest.raises(FgvrError) as nobody:
        extract(workspace)
    (root / "attributes.csv").unlink()
    with opened(root) as workspace, pytest.raises(FgvrError) as nothing:
        extract(workspace)
    assert (nobody.value.code, nothing.value.code) == ("no-backend", "no-attributes")


def test_while_requests_are_unanswered_the_step_does_not_stand(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(request: Request) -> Said:
        if request.attribute == "stars":
            return RequestRejected("too large", code="request-rejected", hint="shrink it")
        return plain(request)

    set_attributes(root, "rim", "stars")
    with opened(root) as workspace:
        use(Scripted(say), monkeypatch)
        extract(workspace)
        assert workspace.store.count("answers") == 2 * N_COINS
        assert "extract" not in workspace.store.walk()
        use(Scripted(plain), monkeypatch)
        assert extract(workspace).done["asked now"] == N_COINS
        assert workspace.store.walk()["extract"]["fingerprint"] == module.fingerprint_of(workspace)


def test_attributes_edited_while_the_model_answers_make_the_step_stale(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit_and_answer(request: Request) -> Said:
        set_attributes(root, "rim", "stars")
        return plain(request)

    set_attributes(root, "rim")
    use(Scripted(edit_and_answer), monkeypatch)
    with opened(root) as workspace:
        extract(workspace)
        assert workspace.store.walk()["extract"]["fingerprint"] != module.fingerprint_of(workspace)


def test_without_its_database_a_workspace_is_to_be_initialised_again(root: Path) -> None:
    shutil.rmtree(root / ".fgvr")
    with opened(root) as workspace, pytest.raises(FgvrError) as caught:
        extract(workspace)
    assert caught.value.code == "no-images"
    assert caught.value.hint == f"fgvr-kit init {root / 'coins'}"


def test_the_step_stands_on_what_is_asked_and_on_who_answers(root: Path) -> None:
    with opened(root) as workspace:
        before = module.fingerprint_of(workspace)
    same = ["describe.backend=other:model", "domain.template=birds", "describe.sentences=2"]
    other = [
        "extract.backend=other:model",
        "extract.ask=joint",
        "extract.max_tokens=7",
        "domain.superclass=coin",
        "domain.notes=blurred",
        "domain.unit=coin",
        "domain.language=de",
    ]
    found = []
    for override in (*same, *other):
        with opened(root, override) as workspace:
            found.append(module.fingerprint_of(workspace) == before)
    assert found == [True] * len(same) + [False] * len(other)
    (root / "attributes.csv").write_text("attribute,question,note\nstars,How many stars?,\n")
    with opened(root) as workspace:
        assert module.fingerprint_of(workspace) != before


@pytest.mark.parametrize(
    ("ask", "prompt", "matters"),
    [
        ("single", "general", True), ("single", "question", True), ("single", "joint", False),
        ("joint", "general", True), ("joint", "question", False), ("joint", "joint", True),
    ],
)  # fmt: skip
def test_an_edited_prompt_makes_the_step_stale_when_it_is_sent(
    root: Path, ask: str, prompt: str, matters: bool
) -> None:
    with opened(root, f"extract.ask={ask}") as workspace:
        before = module.fingerprint_of(workspace)
    file = ejected(root, f"extract/{prompt}")
    file.write_text(file.read_text() + "\nBe brief.")
    with opened(root, f"extract.ask={ask}") as workspace:
        assert (module.fingerprint_of(workspace) != before) is matters
