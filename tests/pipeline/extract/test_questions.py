from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request, Response
from fgvr_kit.dataset.attributes import write_attributes
from fgvr_kit.pipeline import init
from fgvr_kit.pipeline.extract import HINTED, extract, fingerprint_of, rows_of
from fgvr_kit.pipeline.extract.answers import Answers
from fgvr_kit.pipeline.extract.questions import Questions
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.types import GENERAL, NOT_VISIBLE, Attribute
from tests.pipeline.coins import CLASSES, N_COINS, Said, Scripted, make_workspace, opened, set_attributes, use

COLOUR = Attribute("colour", "Which colour?", ("gold", "silver"))
RIM = Attribute("rim", "How is the rim?")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


def weighing(request: Request) -> Said:
    """Weighs closed questions, as a model in this process does."""
    if not request.options:
        return "seen"
    scores = tuple(0.8 if option == "silver" else 0.1 for option in request.options)
    return Response("silver", "m", "stop", 9, 1, scores=scores)


# --- closed lists -----------------------------------------------------------------------------------------------


def test_a_closed_attribute_is_asked_with_its_options_and_keeps_their_probabilities(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_attributes(root / "attributes.csv", [COLOUR, RIM])
    backend = Scripted(weighing)
    use(backend, monkeypatch)
    with opened(root) as workspace:
        extract(workspace)
        answers = list(workspace.store.db["answers"].rows_where("attribute = 'colour'"))
        scores = {row["scores"] for row in workspace.store.all_replies() if row["attribute"] == "colour"}
    closed = [r for r in backend.asked if r.options]
    assert {r.options for r in closed} == {("gold", "silver", NOT_VISIBLE)}
    assert "A. gold\nB. silver\nC. not visible" in closed[0].prompt.text
    assert {(a["value"], a["confidence"], a["source"]) for a in answers} == {("silver", 0.8, "options")}
    assert scores == {json.dumps({"gold": 0.1, "silver": 0.8, NOT_VISIBLE: 0.1})}


@pytest.mark.parametrize(("said", "value"), [("B", "silver"), ("it is Gold.", "gold"), ("C.", NOT_VISIBLE)])
def test_a_server_that_only_writes_may_name_the_letter_or_the_words(
    root: Path, monkeypatch: pytest.MonkeyPatch, said: str, value: str
) -> None:
    write_attributes(root / "attributes.csv", [COLOUR])
    use(Scripted(lambda r: said if r.options else "seen"), monkeypatch)
    with opened(root) as workspace:
        extract(workspace)
        assert {a["colour"] for a in workspace.store.answers().values()} == {value}


def test_what_names_no_option_gets_one_turn_and_then_is_no_answer(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_attributes(root / "attributes.csv", [COLOUR])
    backend = Scripted(lambda r: "green" if r.options else "seen")
    use(backend, monkeypatch)
    with opened(root) as workspace:
        summary = extract(workspace)
    assert Counter(len(r.turns) for r in backend.asked if r.options) == {0: N_COINS, 1: N_COINS}
    assert "none of the options" in backend.asked[-1].turns[0].told
    assert summary.dropped == (("answers", N_COINS, "empty, or not in the form that was asked for"),)


def test_closed_attributes_may_be_answered_by_another_backend(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_attributes(root / "attributes.csv", [COLOUR, RIM])
    writer, weigher = Scripted(lambda _: "seen"), Scripted(weighing)
    weigher.spec = "scripted:weigher"
    monkeypatch.setattr(
        "fgvr_kit.pipeline.extract.open_backend",
        lambda *_, key: weigher if key == "extract.closed_by" else writer,
    )
    with opened(root, "extract.closed_by='clip:x'", "extract.ask=joint") as workspace:
        summary = extract(workspace)
        answers = workspace.store.answers()
    assert {r.attribute for r in writer.asked} == {GENERAL, None}
    assert {r.attribute for r in weigher.asked} == {"colour"}
    assert {a["colour"] for a in answers.values()} == {"silver"}
    assert summary.done["backend"] == "scripted:model and scripted:weigher"


def test_joint_asks_for_one_of_the_options(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_attributes(root / "attributes.csv", [COLOUR, RIM])
    backend = Scripted(lambda r: json.dumps({"colour": "gold", "rim": "thin"}) if r.schema else "seen")
    use(backend, monkeypatch)
    with opened(root, "extract.ask=joint") as workspace:
        extract(workspace)
        assert {(a["colour"], a["rim"]) for a in workspace.store.answers().values()} == {("gold", "thin")}
    schema = next(r.schema for r in backend.asked if r.schema)
    assert schema["properties"]["colour"] == {"type": "string", "enum": ["gold", "silver", NOT_VISIBLE]}


def test_a_joint_value_that_is_no_option_is_no_answer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_attributes(root / "attributes.csv", [COLOUR, RIM])
    use(
        Scripted(lambda r: json.dumps({"colour": "green", "rim": "thin"}) if r.schema else "seen"),
        monkeypatch,
    )
    with opened(root, "extract.ask=joint") as workspace:
        summary = extract(workspace)
        assert {tuple(sorted(a)) for a in workspace.store.answers().values()} == {(GENERAL, "rim")}
    assert summary.dropped == (("answers", N_COINS, "left out by the model"),)


# --- superclasses, samples, hints ---------------------------------------------------------------------------------


def set_parents(root: Path, parents: dict[str, str]) -> None:
    lines = [f"{name},{name.replace('_', ' ')},{parents[name]}" for name in CLASSES]
    (root / "classes.csv").write_text("\n".join(["class,display_name,parent", *lines]) + "\n")


def test_attributes_of_one_superclass_are_asked_of_its_classes_only(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_parents(root, {"1_euro": "bimetallic coin", "20_cent": "brass coin"})
    ring = Attribute("ring", "What of the ring?", superclass="bimetallic coin")
    write_attributes(root / "attributes.csv", [RIM, ring])
    backend = Scripted(lambda _: "seen")
    use(backend, monkeypatch)
    with opened(root) as workspace:
        summary = extract(workspace)
        by_class = {i.class_name: set(workspace.store.answers()[i.id]) for i in workspace.store.images()}
        fingerprint = fingerprint_of(workspace)
    assert by_class == {"1_euro": {GENERAL, "rim", "ring"}, "20_cent": {GENERAL, "rim"}}
    assert (summary.done["of"], summary.dropped) == (N_COINS * 2 + N_COINS // 2, ())
    set_parents(root, {"1_euro": "bimetallic coin", "20_cent": "bimetallic coin"})
    with opened(root) as workspace:
        assert fingerprint_of(workspace) != fingerprint


def test_a_second_sample_is_asked_for_and_is_no_answer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_attributes(root, "rim")
    backend = Scripted(lambda r: "first" if r.sample == 0 else "second")
    use(backend, monkeypatch)
    with opened(root, "extract.samples=2", "extract.temperature=0.9") as workspace:
        extract(workspace)
        assert {a["rim"] for a in workspace.store.answers().values()} == {"first"}
        questions = Questions(workspace, workspace.attributes())
        rows = {r.sample: (r.temperature, workspace) for r in backend.asked}
        assert sorted((sample, temperature) for sample, (temperature, _) in rows.items()) == [
            (0, 0.0),
            (1, 0.9),
        ]
        again = Answers(questions, rows_of(workspace, {None: backend}), "no reply")
        assert {a.value for a in again.of(workspace.store.images(), sample=1)} == {"second"}


def test_no_class_reaches_a_prompt_unless_it_is_asked_for_and_then_every_number_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_attributes(root, "rim")
    for hinted in ("false", "true"):
        backend = Scripted(lambda _: "seen")
        use(backend, monkeypatch)
        with opened(root, f"extract.hinted={hinted}") as workspace:
            names = finder(workspace.classes().values())
            summary = extract(workspace)
        told = {r.attribute for r in backend.asked if names.find(r.prompt.text)}
        assert told == ({GENERAL} if hinted == "true" else set())
        assert (HINTED in summary.notes) is (hinted == "true")


def test_a_class_that_is_planted_in_a_question_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_attributes(root / "attributes.csv", [Attribute("size", "Is it as large as a 20 cent coin?")])
    use(Scripted(lambda _: "seen"), monkeypatch)
    with opened(root) as workspace:
        (notice,) = extract(workspace).notices
    assert (notice.code, "20 cent" in (notice.why or "")) == ("prompt-names-class", True)


def two_classes_of_the_same_pictures(root: Path) -> None:
    for photograph in (root / "coins" / CLASSES[0]).glob("*.jpg"):
        shutil.copy(photograph, root / "coins" / CLASSES[1] / f"copy-{photograph.name}")
    with opened(root) as workspace:
        init.init(root / "coins", root, [])
        assert len({i.sha256 for i in workspace.store.images()}) < len(workspace.store.images())


@pytest.mark.parametrize("ask", ["single", "joint"])
@pytest.mark.parametrize("hinted", ["true", "false"])
def test_equal_pictures_of_two_classes_are_asked_what_their_classes_are_asked(
    root: Path, monkeypatch: pytest.MonkeyPatch, ask: str, hinted: str
) -> None:
    two_classes_of_the_same_pictures(root)
    set_parents(root, {"1_euro": "Bimetallic coin", "20_cent": "brass coin"})
    ring = Attribute("ring", "What of the ring?", superclass="bimetallic coin")
    edge = Attribute("edge", "What of the edge?", superclass="brass coin")
    write_attributes(root / "attributes.csv", [RIM, ring, edge])
    backend = Scripted(
        lambda r: json.dumps(dict.fromkeys(r.schema["properties"], "seen")) if r.schema else r.prompt.text
    )
    use(backend, monkeypatch)
    with opened(root, f"extract.ask={ask}", f"extract.hinted={hinted}") as workspace:
        summary = extract(workspace)
        answers, images = workspace.store.answers(), workspace.store.images()
    assert summary.dropped == ()
    own = {"1_euro": {GENERAL, "rim", "ring"}, "20_cent": {GENERAL, "rim", "edge"}}
    assert all(set(answers[i.id]) == own[i.class_name] for i in images)
    if hinted == "true":
        assert all(i.class_name.replace("_", " ") in answers[i.id][GENERAL] for i in images)


def test_a_superclass_that_no_class_has_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_attributes(root / "attributes.csv", [RIM, Attribute("ring", "What?", superclass="bimetalic")])
    use(Scripted(lambda _: "seen"), monkeypatch)
    with opened(root) as workspace:
        assert [n.code for n in extract(workspace).notices] == ["superclass-unknown"]


# --- what people correct --------------------------------------------------------------------------------------


def test_what_a_person_wrote_stands_whatever_a_model_says(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_attributes(root, "rim")
    use(Scripted(lambda _: "smooth"), monkeypatch)
    with opened(root) as workspace:
        extract(workspace)
        image = workspace.store.images()[0]
        before = fingerprint_of(workspace)
        workspace.store.put_correction(image.sha256, "rim", "notched", "me")
        assert workspace.store.answers()[image.id]["rim"] == "notched"
        assert fingerprint_of(workspace) == before  # table `answers` has followed already
    use(Scripted(lambda _: "ribbed"), monkeypatch)
    with opened(root, "extract.max_tokens=99", "domain.notes=other") as workspace:
        extract(workspace)
        (row,) = workspace.store.db["answers"].rows_where("image_id = ? and attribute = 'rim'", [image.id])
        assert (row["value"], row["source"], row["machine"]) == ("notched", "human", "ribbed")
        workspace.store.put_correction(image.sha256, "rim", None)
        assert workspace.store.answers()[image.id]["rim"] == "ribbed"


def test_a_weighed_answer_that_is_taken_back_is_weighed_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_attributes(root / "attributes.csv", [COLOUR])
    use(Scripted(weighing), monkeypatch)
    with opened(root) as workspace:
        extract(workspace)
        image = workspace.store.images()[0]
        where = ("image_id = ? and attribute = 'colour'", [image.id])
        (before,) = workspace.store.db["answers"].rows_where(*where)
        workspace.store.put_correction(image.sha256, "colour", "gold")
        (corrected,) = workspace.store.db["answers"].rows_where(*where)
        workspace.store.put_correction(image.sha256, "colour", None)
        (after,) = workspace.store.db["answers"].rows_where(*where)
    assert (corrected["value"], corrected["machine"], corrected["confidence"]) == ("gold", "silver", None)
    assert after == before


def test_a_correction_fills_in_where_the_model_had_no_answer(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_attributes(root, "rim")
    use(
        Scripted(lambda r: "I'm sorry, I can't help with that." if r.attribute == "rim" else "seen"),
        monkeypatch,
    )
    with opened(root) as workspace:
        image = workspace.store.images()[0]
        workspace.store.put_correction(image.sha256, "rim", "notched")
        summary = extract(workspace)
        assert workspace.store.answers()[image.id]["rim"] == "notched"
    assert summary.dropped == (("answers", N_COINS - 1, "the model refused"),)
