from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fgvr_kit.errors import BackendError, FgvrError, RequestRejected
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline import describe as module
from fgvr_kit.pipeline.describe import describe, is_seen, requests_for
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.types import GENERAL, Answer
from fgvr_kit.workspace import Workspace
from tests.ejected import ejected
from tests.pipeline.coins import (
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

NONE_OF_THEM = f"0 of {N_COINS} (0.0%)"
HALF_OF_THEM = f"3 of {N_COINS} (50.0%)"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six coins with all their answers."""
    make_workspace(tmp_path)
    with opened(tmp_path) as workspace:
        extract(workspace)
    return tmp_path


def answered(workspace: Workspace, **values: str) -> None:
    """These answers, for every image."""
    images = workspace.store.images()
    workspace.store.put_answers(
        [Answer(i.id, name, said, None) for i in images for name, said in values.items()]
    )


def test_every_image_gets_its_recorded_summary(root: Path) -> None:
    with opened(root) as workspace:
        summary = describe(workspace)
        descriptions = workspace.store.descriptions()
        assert list(descriptions) == [image.id for image in workspace.store.images()]
        assert all(text.count(".") >= 4 for text in descriptions.values())
        assert workspace.store.walk()["describe"]["fingerprint"] == module.fingerprint_of(workspace)
        again = describe(workspace)
        assert workspace.store.descriptions() == descriptions
    assert summary.done == {
        "backend": REPLAY, "asked now": N_COINS, "already stored": 0, "images": N_COINS, "descriptions": N_COINS,
        "naming their class": NONE_OF_THEM,
    }  # fmt: skip
    assert (summary.dropped, summary.notes, summary.notices) == ((), (RECORDED,), ())
    assert (again.done["asked now"], again.done["already stored"]) == (0, N_COINS)


def test_the_model_gets_the_answers_in_their_order_and_no_image(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Scripted(lambda _: ' "A  golden\n coin." ')
    use(backend, monkeypatch)
    set_attributes(root, "metal_colour", "stars", "rim")
    with opened(root, "describe.sentences=3") as workspace:
        answered(workspace, rim="ribbed", metal_colour="gold", general="A coin.", forgotten="gone")
        describe(workspace)
        assert set(workspace.store.descriptions().values()) == {"A golden coin."}
    (request,) = backend.asked  # equal answers make an equal question
    assert (request.images, request.purpose, request.max_tokens) == ((), "describe", 256)
    assert "In general: A coin.\nMetal colour: gold\nRim: ribbed\n" in request.prompt.text
    assert "3 plain sentences" in request.prompt.text
    assert "gone" not in request.prompt.text


def test_by_template_no_model_is_asked_and_what_is_not_seen_is_left_out(root: Path) -> None:
    set_attributes(root, "metal_colour", "stars", "rim")
    with opened(root, "describe.by=template", 'describe.backend=""') as workspace:
        answered(
            workspace, general="A coin on wood", metal_colour="gold.", stars="Not visible.", rim="ribbed"
        )
        n_replies = workspace.store.count("replies")
        summary = describe(workspace)
        expected = "A coin on wood. Metal colour: gold. Rim: ribbed."
        assert list(workspace.store.descriptions().values()) == [expected] * N_COINS
        assert workspace.store.count("descriptions", "source = 'template' and reply_id is null") == N_COINS
        assert workspace.store.count("replies") == n_replies
    assert summary.done == {
        "backend": "none: by template", "images": N_COINS, "descriptions": N_COINS, "naming their class": NONE_OF_THEM,
    }  # fmt: skip


def test_images_without_answers_and_without_anything_seen_are_counted(root: Path) -> None:
    set_attributes(root, "rim")
    with opened(root, "describe.by=template") as workspace:
        a, b, *_ = workspace.store.images()
        workspace.store.put_answers([Answer(a.id, "rim", "ribbed", None), Answer(b.id, "rim", "N/A", None)])
        summary = describe(workspace)
        assert workspace.store.descriptions() == {a.id: "Rim: ribbed."}
    assert summary.dropped == (
        ("descriptions", N_COINS - 2, "the image has no answers"),
        ("descriptions", 1, "nothing was visible"),
    )


def leaking(again: Said = "Surely a fine piece.") -> Scripted:
    """Says 1 euro of every coin, and something else when it is asked again. Half of the coins are 1 euro."""
    return Scripted(lambda request: again if request.turns else "Surely a 1-Euro piece.")


def told_of(workspace: Workspace) -> dict[str, list[tuple[str, str]]]:
    """class -> (text, source) of its descriptions."""
    found: dict[str, list[tuple[str, str]]] = {}
    rows = {row["image_id"]: row for row in workspace.store.db["descriptions"].rows}
    for image in workspace.store.images():
        if row := rows.get(image.id):
            found.setdefault(image.class_name, []).append((row["text"], row["source"]))
    return found


def test_a_description_that_names_its_own_class_is_written_again_without_the_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = leaking()
    use(backend, monkeypatch)
    with opened(root) as workspace:
        summary = describe(workspace)
        assert told_of(workspace) == {
            "1_euro": [("Surely a fine piece.", "model, re-asked")] * 3,
            "20_cent": [("Surely a 1-Euro piece.", "model")] * 3,
        }
        assert workspace.store.walk()["describe"]["fingerprint"] == module.fingerprint_of(workspace)
        again = describe(workspace)
        assert (again.done["asked now"], again.done["naming their class"]) == (0, HALF_OF_THEM)
    (turn,) = {request.turns for request in backend.asked if request.turns}
    assert turn[0].said == "Surely a 1-Euro piece."
    assert '"1-euro"' in turn[0].told
    assert "euro coin" in turn[0].told
    assert {k: v for k, v in summary.done.items() if "nam" in k or k in ("asked again", "redacted")} == {
        "naming their class": HALF_OF_THEM, "still naming it": NONE_OF_THEM, "asked again": 3,
        "naming another class": HALF_OF_THEM,
    }  # fmt: skip
    assert summary.notices == ()


@pytest.mark.parametrize(
    "again", ["Still a 1 euro.", cut("Surely a fi"), "I'm sorry, I can't help with that."]
)
def test_a_model_that_cannot_help_naming_it_is_redacted(
    root: Path, monkeypatch: pytest.MonkeyPatch, again: Said
) -> None:
    use(leaking(again), monkeypatch)
    with opened(root) as workspace:
        summary = describe(workspace)
        ((text, source),) = set(told_of(workspace)["1_euro"])
    is_usable = isinstance(again, str) and again.startswith("Still")
    assert text == ("Still a euro coin." if is_usable else "Surely a euro coin piece.")
    assert source == ("model, re-asked, redacted" if is_usable else "model, redacted")
    assert (summary.done["still naming it"], summary.done["redacted"]) == (NONE_OF_THEM, 3)


@pytest.mark.parametrize(
    ("leaks", "descriptions", "left"),
    [
        ("redact", {"Surely a euro coin piece.", "Surely a 1-Euro piece."}, NONE_OF_THEM),
        ("drop", {"Surely a 1-Euro piece."}, "0 of 3 (0.0%)"),
        ("keep", {"Surely a 1-Euro piece."}, HALF_OF_THEM),
    ],
)
def test_a_leak_is_redacted_dropped_or_kept_without_asking_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, leaks: str, descriptions: set[str], left: str
) -> None:
    backend = leaking()
    use(backend, monkeypatch)
    with opened(root, f"describe.leaks={leaks}") as workspace:
        summary = describe(workspace)
        assert set(workspace.store.descriptions().values()) == descriptions
        assert workspace.store.walk()["describe"]["fingerprint"] == module.fingerprint_of(workspace)
        first = workspace.store.images()[0].path
    assert not any(request.turns for request in backend.asked)
    assert (summary.done["naming their class"], summary.done["still naming it"]) == (HALF_OF_THEM, left)
    assert summary.dropped == ((("descriptions", 3, "it named its own class"),) if leaks == "drop" else ())
    if leaks == "keep":
        (notice,) = summary.notices
        assert notice.code == "description-names-class"
        assert notice.message == f"3 of {N_COINS} descriptions name their own class"  # the others are 20 cent
        assert notice.where == f"{first} ('1-euro')"
    else:
        assert summary.notices == ()


def test_by_template_and_from_a_recording_nobody_is_asked_again(root: Path) -> None:
    set_attributes(root, "rim")
    lines = [{"purpose": "describe", "text": "A 1 euro."}]
    (root / "said.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for choice in ("describe.by=template", 'describe.backend="replay:said.jsonl"'):
        with opened(root, choice) as workspace:
            answered(workspace, rim="that of 1 euro")
            n_replies = workspace.store.count("replies")
            summary = describe(workspace)
            assert workspace.store.count("replies") == n_replies + (N_COINS if "replay" in choice else 0)
            ((_, source),) = set(told_of(workspace)["1_euro"])
        assert source.endswith(", redacted")
        assert summary.done["redacted"] == 3


def test_any_name_of_the_class_is_a_leak(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "classes.csv").write_text(
        "class,display_name,synonyms,note\n1_euro,euro piece,quid; tein,\n20_cent,20 cent,,\n"
    )
    use(Scripted(lambda _: "A Quid."), monkeypatch)
    with opened(root, "describe.leaks=redact") as workspace:
        assert describe(workspace).done["redacted"] == 3
        assert set(workspace.store.descriptions().values()) == {"A euro coin.", "A Quid."}


def test_a_new_synonym_that_stands_in_a_description_makes_the_step_stale_and_others_do_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Scripted(lambda _: "A fine piece."), monkeypatch)
    with opened(root) as workspace:
        describe(workspace)
        before = module.fingerprint_of(workspace)
    for synonym, is_stale in (("quid", False), ("fine piece", True)):
        (root / "classes.csv").write_text(f"class,display_name,synonyms\n1_euro,,{synonym}\n20_cent,,\n")
        with opened(root) as workspace:
            assert (module.fingerprint_of(workspace) != before) is is_stale


def test_calls_that_are_not_allowed_leave_the_step_open(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(leaking(), monkeypatch)
    with opened(root, f"ask.max_calls={N_COINS}") as workspace:
        summary = describe(workspace)
        assert [notice.code for notice in summary.notices] == ["requests-unanswered"]
        assert "describe" not in workspace.store.walk()
        assert describe(workspace).done["asked again"] == 3
        assert "describe" in workspace.store.walk()


def test_short_is_one_sentence_and_has_a_prompt_of_its_own(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Scripted(lambda _: "A golden coin.")
    use(backend, monkeypatch)
    with opened(root, "describe.by=short") as workspace:
        describe(workspace)
        short = module.fingerprint_of(workspace)
    assert {request.prompt.name for request in backend.asked} == {"describe/short"}
    with opened(root, "describe.by=short", "describe.sentences=2") as workspace:
        assert module.fingerprint_of(workspace) == short


def test_without_leaks_the_fingerprint_is_that_of_before_there_was_a_filter(root: Path) -> None:
    with opened(root) as workspace:
        describe(workspace)
        own = {"by": "model", "backend": REPLAY, "sentences": 5, "max_tokens": 256}
        assert module.fingerprint_of(workspace) == fingerprint(
            "describe", workspace.store.digest("answers", ["image_id", "attribute", "value"]),
            [a.name for a in workspace.attributes()], {"backend": REPLAY, "by": "model", **own},
            workspace.prompts.hashes(["describe/summary"]),
        )  # fmt: skip


def test_the_requests_of_the_step_are_made_one_by_one(root: Path) -> None:
    with opened(root) as workspace:
        requests = requests_for(workspace)
        assert next(requests).subject == workspace.store.images()[0].sha256
        assert len(list(requests)) == N_COINS - 1
    with opened(root, "describe.by=template") as workspace:
        assert list(requests_for(workspace)) == []


def test_replies_that_are_no_description_are_dropped_with_their_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies: list[Said] = [
        "A coin.", cut("A coin that"), "I'm sorry, I can't describe it.", "  ", '""', "<think>so</think>A fine coin.",
    ]  # fmt: skip
    backend = Scripted(lambda r: replies[order.index(r.subject or "")])
    use(backend, monkeypatch)
    with opened(root) as workspace:
        order = [image.sha256 for image in workspace.store.images()]
        summary = describe(workspace)
        assert sorted(workspace.store.descriptions().values()) == ['""', "A coin.", "A fine coin."]
        backend.say = lambda _: "A real coin."
        again = describe(workspace, retry_failed=True)
    assert sorted(summary.dropped) == [
        ("descriptions", 1, "cut off at max_tokens"),
        ("descriptions", 1, "empty, or not in the form that was asked for"),
        ("descriptions", 1, "the model refused"),
    ]
    assert (again.done["asked now"], again.done["descriptions"]) == (3, N_COINS)


def test_what_stands_beside_the_answers_stands_beside_the_descriptions(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Scripted(lambda _: "A coin.", note="untrained toy model"), monkeypatch)
    with opened(root) as workspace:
        extract(workspace, limit=1)  # another model's trial: the answers are still the recorded ones
        assert describe(workspace).notes == (RECORDED, "untrained toy model")
    with opened(root, "describe.by=template") as workspace:
        assert describe(workspace).notes == (RECORDED,)


def test_without_answers_a_backend_or_any_reply_the_descriptions_stay(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(root) as workspace:
        describe(workspace)
        before = workspace.store.descriptions()
    with opened(root, 'describe.backend=""') as workspace, pytest.raises(FgvrError) as nobody:
        describe(workspace)
    use(Scripted(lambda _: "I'm sorry, I cannot."), monkeypatch)
    with opened(root) as workspace:
        with pytest.raises(BackendError) as silent:
            describe(workspace)
        workspace.store.put_answers([])
        with pytest.raises(FgvrError) as unanswered:
            describe(workspace)
        assert workspace.store.descriptions() == before
    codes = [error.value.code for error in (nobody, silent, unanswered)]
    assert codes == ["no-backend", "nothing-answered", "no-answers"]


def test_while_requests_are_unanswered_the_step_does_not_stand(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies: list[Said] = [RequestRejected("too long", code="request-rejected", hint="shorten it")]
    use(Scripted(lambda _: replies.pop() if replies else "A coin."), monkeypatch)
    with opened(root) as workspace:
        describe(workspace)
        assert len(workspace.store.descriptions()) == N_COINS - 1
        assert "describe" not in workspace.store.walk()
        assert describe(workspace).done["asked now"] == 1
        assert workspace.store.walk()["describe"]["fingerprint"] == module.fingerprint_of(workspace)


def test_without_its_database_a_workspace_is_to_be_initialised_again(root: Path) -> None:
    shutil.rmtree(root / ".fgvr")
    with opened(root) as workspace, pytest.raises(FgvrError) as caught:
        describe(workspace)
    assert caught.value.code == "no-images"


def test_the_step_stands_on_the_answers_and_the_words_that_are_sent(root: Path) -> None:
    def fingerprint(*overrides: str) -> str:
        with opened(root, *overrides) as workspace:
            return module.fingerprint_of(workspace)

    model, template = fingerprint(), fingerprint("describe.by=template")
    assert model != template
    assert fingerprint("describe.backend=other:model") != model
    assert fingerprint("describe.by=template", "describe.backend=other:model") == template
    assert fingerprint("describe.sentences=2") != model
    assert fingerprint("describe.by=template", "describe.sentences=2") == template
    assert fingerprint("domain.superclass=coin") != model
    prompt = ejected(root, "describe/summary")
    prompt.write_text(prompt.read_text() + "\nBe brief.")
    assert fingerprint() != model
    assert fingerprint("describe.by=template") == template
    with opened(root) as workspace:
        answers = workspace.store.answers()
        answers[1][GENERAL] = "Another coin."
        workspace.store.put_answers(
            [Answer(i, n, said, None) for i, a in answers.items() for n, said in a.items()]
        )
    assert fingerprint("describe.by=template") != template


@pytest.mark.parametrize(
    "value",
    ["not visible", "Not visible.", "not clearly visible", "It is not visible in the image", "cannot be seen",
     "can't be determined", "N/A", "n / a", "unclear", "Unknown.", "-", "?", "", " ", "...", "not applicable",
     "(not visible)", "They are not shown on this side", "not visible (obscured)", "not visible; too dark",
     "The wings are not visible", "**not visible**", "cannot tell", "unable to determine", "obscured", "N.A.",
     "I can't tell.", "hidden by a leaf", "not visible because of the angle", "unable to determine the colour",
     "not visible (the wing is obscured by a leaf)"],
)  # fmt: skip
def test_these_values_say_that_nothing_was_seen(value: str) -> None:
    assert not is_seen(value)


@pytest.mark.parametrize(
    "value",
    ["no", "none", "0", "not gold", "not visible on the left, clear on the right", "unusual", "finely notched, unclear",
     "few stars", "known motif", "clear", "not visible on the left, brown on the right", "partly visible, brown",
     "not visible (brown on the right)", "not visible, but probably brown", "too dark to be gold", "na brown",
     "The wings are brown", "hidden wings, brown"],
)  # fmt: skip
def test_these_values_are_answers(value: str) -> None:
    assert is_seen(value)
