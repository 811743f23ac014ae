from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request
from fgvr_kit.edited import write_csv
from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.quality import AttributeReport, Measured, Quality, Separation, report
from fgvr_kit.pipeline.quality.judgement import judge
from fgvr_kit.pipeline.quality.resampled import agreement
from fgvr_kit.pipeline.quality.words import words_of
from fgvr_kit.types import Answer, Negative, Side
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders
from tests.pipeline.coins import Scripted, set_attributes, use

CLASSES = ("ant", "bee", "moth", "wasp")
EACH = 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four classes of thirty images; nothing is answered yet."""
    class_folders(tmp_path / "pests", {f"train/{name}": EACH for name in CLASSES})
    class_folders(tmp_path / "pests", {f"test/{name}": 5 for name in CLASSES})
    init(tmp_path / "pests", tmp_path)
    return tmp_path


Say = Callable[[str, int], str | None]
"""(class, number of the image in it) -> its answer."""


def reported(root: Path, **say: Say) -> Quality:
    """The report on attributes that are answered so."""
    set_attributes(root, *say)
    with Workspace(root) as workspace:
        answer(workspace, say)
        return report(workspace)


def answer(workspace: Workspace, say: dict[str, Say]) -> None:
    seen: dict[str, int] = {}
    made = []
    for image in workspace.store.images():
        n = seen[image.class_name] = seen.get(image.class_name, -1) + 1
        for name, of in say.items():
            if (value := of(image.class_name, n)) is not None:
                made.append(Answer(image.id, name, value, None))
    workspace.store.put_answers(made)


def one(found: Quality, name: str) -> AttributeReport:
    return next(each for each in found.attributes if each.measured.name == name)


def test_each_kind_of_attribute_is_judged_for_what_it_is(root: Path) -> None:
    found = reported(
        root,
        wings=lambda name, n: f"{name} wings, spot {n}",
        legs=lambda name, n: "six",
        feelers=lambda name, n: "long" if n % 10 == 7 else "not visible",
        light=lambda name, n: ("soft", "hard", "dim")[n % 3],
        never=lambda name, n: None,
    )
    assert {each.measured.name: each.suggestion for each in found.attributes} == {
        "wings": "keep", "legs": "drop", "feelers": "drop", "light": "drop", "never": "keep",
    }  # fmt: skip
    assert list(found.suggested) == ["legs", "feelers", "light"]
    wings, legs, feelers = (one(found, name).measured for name in ("wings", "legs", "feelers"))
    assert wings.information is not None
    assert wings.information > 0.7
    assert (legs.n_values, legs.constancy, legs.most_frequent) == (1, 1.0, "six")
    assert feelers.not_visible == pytest.approx(0.9)
    assert feelers.n_values == 1
    assert one(found, "never").measured.coverage == 0


def test_only_training_images_are_looked_at(root: Path) -> None:
    set_attributes(root, "wings")
    with Workspace(root) as workspace:
        answer(workspace, {"wings": lambda name, n: name})
        before = report(workspace)
        test = {image.id for image in workspace.store.images("test")}
        kept = [
            Answer(image_id, "wings", said["wings"], None)
            for image_id, said in workspace.store.answers().items()
            if image_id not in test
        ]
        workspace.store.put_answers(kept)
        assert report(workspace) == before
        assert before.n_images == EACH * len(CLASSES)


def test_what_is_learned_from_one_photograph_is_not_held_for_more(root: Path) -> None:
    """Answers that tell the photograph tell the class of its crops, and of no others."""
    set_attributes(root, "table")
    found = []
    for crops in (1, 6):
        with Workspace(root) as workspace:
            answer(workspace, {"table": lambda name, n: f"{name}{n // 6}"})
            number = dict.fromkeys(CLASSES, -1)
            sides = {}
            for image in workspace.store.images():
                n = number[image.class_name] = number[image.class_name] + 1
                sides[image.sha256] = Side(image.split, f"{image.class_name}{n // crops}", "draw")
            workspace.store.put_sides(sides)
            found.append(report(workspace))
    single, together = (each.attributes[0] for each in found)
    assert single.measured.information is not None
    assert together.measured.information is not None
    assert single.measured.information > 0.5
    assert together.measured.information < 0.1
    assert found[1].n_groups < found[0].n_groups


def test_pairs_are_those_that_were_mined(root: Path) -> None:
    set_attributes(root, "wings")
    with Workspace(root) as workspace:
        answer(workspace, {"wings": lambda name, n: "clear" if name in ("ant", "bee") else "dusty"})
        train = workspace.store.images("train")
        ant = next(image for image in train if image.class_name == "ant")
        others = {image.class_name: image.id for image in train}
        mined = [Negative(ant.id, n, others[name], name, 0.5, 0.5) for n, name in enumerate(("wasp", "bee"))]
        workspace.store.put_mined(mined, [])
        found = report(workspace)
    assert set(found.pairs) == {("ant", "wasp"), ("ant", "bee")}
    by_pair = {(s.first, s.second): s for s in found.attributes[0].measured.separations}
    assert by_pair["ant", "wasp"].is_separated
    assert by_pair["ant", "wasp"].accuracy == 1
    assert not by_pair["ant", "bee"].is_separated
    assert by_pair["ant", "bee"].accuracy == 0.5


def test_without_mining_the_pairs_are_those_with_the_most_alike_answers(root: Path) -> None:
    found = reported(
        root, wings=lambda name, n: "yellow stripes" if name in ("bee", "wasp") else f"{name} brown"
    )
    assert found.pairs[0] == ("bee", "wasp")


def test_an_attribute_of_a_superclass_is_measured_on_its_own_images(root: Path) -> None:
    with Workspace(root) as workspace:
        names = [c.name for c in workspace.class_rows()]
    rows = [[name, name, "", "", "", "stinging" if name in ("bee", "wasp") else "other"] for name in names]
    write_csv(
        root / "classes.csv", ["class", "display_name", "synonyms", "scientific", "common", "parent"], rows
    )
    (root / "attributes.csv").write_text(
        "attribute,question,superclass\nsting,Where?,stinging\nhue,Which?,\n"
    )
    with Workspace(root) as workspace:
        answer(workspace, {"sting": lambda name, n: name, "hue": lambda name, n: name})
        found = report(workspace)
    assert one(found, "sting").measured.n_asked == 2 * EACH
    assert one(found, "sting").measured.coverage == 1


def test_an_attribute_that_repeats_another_is_to_be_merged(root: Path) -> None:
    found = reported(
        root,
        wings=lambda name, n: f"{name} brown",
        wing_colour=lambda name, n: f"Brown ({name})" if n else "grey",
        body=lambda name, n: name,
    )
    assert one(found, "wing_colour").suggestion == "merge"
    assert one(found, "wing_colour").measured.same_as == "wings"
    assert one(found, "wings").suggestion == one(found, "body").suggestion == "keep"


def test_two_samples_are_compared_from_stored_replies(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(request: Request) -> str:
        steady = f"hue {request.subject[:4] if request.subject else ''}"
        return steady if request.attribute != "mood" else f"{steady} again{request.sample}{request.subject}"

    backend = Scripted(say)
    use(backend, monkeypatch)
    set_attributes(root, "hue", "mood")
    with Workspace(root, ["extract.samples=2", "extract.backend=any:thing"]) as workspace:
        extract(workspace)
        asked = len(backend.asked)
        found = report(workspace)
        assert len(backend.asked) == asked
    hue, mood = (one(found, name).measured for name in ("hue", "mood"))
    assert (hue.agreement, hue.agreement_beyond_chance) == (1.0, 1.0)
    assert mood.agreement is not None
    assert mood.agreement < 0.6


def test_one_sample_agrees_with_nothing(root: Path) -> None:
    found = reported(root, wings=lambda name, n: name)
    assert found.attributes[0].measured.agreement is None


def test_agreement_counts_what_chance_gives_away() -> None:
    same = [words_of("yes")] * 19 + [words_of("no")]
    turned = [words_of("no"), *[words_of("yes")] * 19]
    found = agreement(same, turned, is_closed=True)
    assert found is not None
    assert found.share == 0.9
    assert found.beyond_chance == pytest.approx(-1 / 19, abs=0.01)


def test_without_answers_there_is_nothing_to_report(root: Path) -> None:
    set_attributes(root, "wings")
    with Workspace(root) as workspace, pytest.raises(FgvrError) as caught:
        report(workspace)
    assert caught.value.code == "no-answers"


def test_few_answers_are_never_a_reason_to_drop() -> None:
    few = Measured("a", 20, 1.0, 0.0, 1, 1.0, "x", None, None, 0.0, 1.0)
    assert judge(few)[1] == "keep"
    assert judge(Measured("a", 200, 1.0, 0.0, 1, 1.0, "x", None, None, 0.0, 1.0))[1] == "drop"


def test_what_separates_a_pair_by_chance_is_not_kept_for_it() -> None:
    lucky = Separation("ant", "bee", 0.8, 0.6, 60, True)
    by_chance = Measured("a", 200, 1.0, 0.0, 3, 0.4, "x", None, None, 0.1, 0.3, (lucky,))
    assert judge(by_chance)[1] == "drop"
    assert judge(replace(by_chance, p=0.01)) == ("separates ant from bee (80 %)", "keep")


def test_too_few_groups_are_never_a_reason_to_drop() -> None:
    unknown = Measured("a", 200, 1.0, 0.0, 1, 1.0, "x", None, None, 0.0, None)
    judgement, suggestion = judge(unknown)
    assert suggestion == "keep"
    assert "groups" in judgement


def test_an_attribute_that_no_class_is_asked_about_is_not_waiting_for_answers() -> None:
    nobody = Measured("a", 0, 0.0, 0.0, 0, 0.0, "not visible", None, None, None, None)
    waiting = replace(nobody, n_asked=90)
    assert judge(nobody)[1] == judge(waiting)[1] == "keep"
    assert "superclass" in judge(nobody)[0]
    assert "superclass" not in judge(waiting)[0]


def test_pairs_of_few_bursts_are_said_not_to_be_judged(root: Path) -> None:
    set_attributes(root, "wings")
    with Workspace(root) as workspace:
        answer(workspace, {"wings": lambda name, n: name})
        images = workspace.store.images()
        workspace.store.put_sides(
            {i.sha256: Side(i.split, f"{i.class_name}{i.id % 2}", "draw") for i in images}
        )
        found = report(workspace)
    wings = found.attributes[0]
    assert wings.measured.separations == ()
    assert wings.measured.p is not None
    assert any("6 of 6 pairs" in note for note in found.notes)


def test_unreliable_answers_are_pointed_out_and_kept() -> None:
    shaky = Measured("a", 200, 1.0, 0.0, 9, 0.2, "x", 0.3, 0.1, 0.4, 0.005)
    judgement, suggestion = judge(shaky)
    assert suggestion == "keep"
    assert "agree" in judgement


def test_the_report_can_be_printed_as_json(root: Path) -> None:
    from dataclasses import asdict

    found = reported(root, wings=lambda name, n: name, legs=lambda name, n: "six")
    assert json.loads(json.dumps(asdict(found)))["n_classes"] == 4
