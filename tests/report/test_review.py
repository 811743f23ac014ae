from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image as Pictures

from fgvr_kit.backends.base import Request, Response
from fgvr_kit.errors import ImageError, UsageError, WorkspaceError
from fgvr_kit.pipeline import extract as extract_module
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.pipeline.init import init
from fgvr_kit.report import review as module
from fgvr_kit.report.review import Conflict, Review, Sitting
from fgvr_kit.report.review_filters import Filters, differ
from fgvr_kit.status import steps
from fgvr_kit.types import GENERAL, NOT_VISIBLE, Finding
from fgvr_kit.workspace import Workspace
from fgvr_kit.workspace import busy as lock
from tests.pipeline.coins import Said, Scripted, opened, use
from tests.report.reviewing import AUTHOR, answered, review_of, scripted, twice


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return review_of(answered(tmp_path))


def first(review: Review) -> int:
    return review.listed(Filters())["ids"][0]


def value_of(review: Review, image: int, name: str) -> dict[str, object]:
    return next(answer for answer in review.shown(image)["answers"] if answer["name"] == name)


# --- corrections ----------------------------------------------------------------------------------------------


def test_a_persons_value_stands_whatever_a_model_says_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """End to end: corrected on the page, extracted again by another model, with other questions."""
    workspace = answered(tmp_path)
    image = workspace.store.images()[0]
    with workspace:
        review_of(workspace).write(image.id, {"rim_edge": "smooth"}, {})

    use(Scripted(lambda request: f"another {request.attribute}"), monkeypatch)
    (tmp_path / "attributes.csv").write_text("attribute,question\nrim_edge,And the rim?\nmotif,What motif?\n")
    with opened(tmp_path) as again:
        extract(again)
        assert again.store.answers()[image.id] == {
            GENERAL: "another general", "rim_edge": "smooth", "motif": "another motif",
        }  # fmt: skip
        row = value_of(review_of(again), image.id, "rim_edge")
        assert (row["written"], row["machine"], row["author"]) == ("smooth", "another rim_edge", AUTHOR)
        review_of(again).write(image.id, {"rim_edge": None}, {})
        assert again.store.answers()[image.id]["rim_edge"] == "another rim_edge"


def test_extraction_stays_done_and_descriptions_become_stale(tmp_path: Path) -> None:
    with answered(tmp_path) as workspace:
        review = review_of(workspace)
        review.write(first(review), {"rim_edge": "smooth"}, {})
        assert {step.name: step.state for step in steps(workspace)}["extract"] == "done"
        before = workspace.store.answers()
        assert extract(workspace).done["asked now"] == 0
        assert workspace.store.answers() == before


def test_an_extraction_that_was_stale_stays_stale(tmp_path: Path) -> None:
    answered(tmp_path).close()
    with opened(tmp_path, "extract.max_tokens=65") as workspace:
        review = review_of(workspace)
        review.write(first(review), {"rim_edge": "smooth"}, {})
        stood = workspace.store.walk()["extract"]["fingerprint"]
        assert stood != extract_module.fingerprint_of(workspace)


def test_all_changes_of_one_call_are_written_or_none(review: Review) -> None:
    with pytest.raises(UsageError) as caught:
        review.write(first(review), {"rim_edge": "smooth", "no_such": "x"}, {})
    assert caught.value.code == "review-filter"
    assert review.workspace.store.corrections() == {}


def test_a_value_is_one_line_and_an_empty_one_takes_back(review: Review) -> None:
    image = first(review)
    machine = value_of(review, image, "rim_edge")["value"]
    review.write(image, {"rim_edge": "  very\n smooth "}, {})
    assert value_of(review, image, "rim_edge")["value"] == "very smooth"
    told = review.write(image, {"rim_edge": "  "}, {"rim_edge": "very smooth"})
    assert next(a for a in told["image"]["answers"] if a["name"] == "rim_edge")["value"] == machine
    assert review.workspace.store.corrections() == {}


@pytest.mark.parametrize("value", ["x" * 401, "a\0b", "half \ud83d of a pair"])
def test_what_cannot_be_kept_is_refused(review: Review, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        review.write(first(review), {"rim_edge": value}, {})
    assert caught.value.code == "review-value"
    assert review.workspace.store.corrections() == {}


def test_a_closed_list_stays_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def weighed(request: Request) -> Said:
        return Response("red", "m", "stop", 1, 1, scores=(0.6, 0.3, 0.1)) if request.options else "a coin"

    with scripted(tmp_path, monkeypatch, weighed, table="colour,Which?,red; blue") as workspace:
        review = review_of(workspace)
        image = first(review)
        with pytest.raises(UsageError):
            review.write(image, {"colour": "green"}, {})
        review.write(image, {"colour": NOT_VISIBLE}, {})
        shown = value_of(review, image, "colour")
        assert (shown["value"], shown["machine"]) == (NOT_VISIBLE, "red")
        fields = {field["name"]: field["options"] for field in review.page()["attributes"]}
        assert fields == {GENERAL: [], "colour": ["red", "blue", NOT_VISIBLE]}


def test_a_change_that_rests_on_an_old_value_is_told(review: Review) -> None:
    """Two tabs: the second one must not overwrite what it has never shown."""
    image = first(review)
    seen = value_of(review, image, "rim_edge")["value"]
    review.write(image, {"rim_edge": "smooth"}, {"rim_edge": seen})
    with pytest.raises(Conflict) as caught:
        review.write(image, {"rim_edge": "ribbed", "motif": "a map"}, {"rim_edge": seen})
    assert caught.value.names == ["rim_edge"]
    assert list(review.workspace.store.corrections().values()) == ["smooth"]


def test_files_of_the_same_pixels_are_corrected_together(tmp_path: Path) -> None:
    answered(tmp_path).close()
    twice(tmp_path)
    init(tmp_path / "coins", tmp_path)
    with opened(tmp_path) as workspace:
        extract(workspace)
        review = review_of(workspace)
        image = next(i for i in review.images.values() if i.path.endswith("zz_again.jpg"))
        told = review.write(image.id, {"rim_edge": "smooth"}, {})
        assert len(told["ids"]) == 2
        assert {workspace.store.answers()[number]["rim_edge"] for number in told["ids"]} == {"smooth"}
        assert told["image"]["copies"] == 1


def test_another_process_at_work_is_waited_for_and_then_told(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    image = first(review)
    with lock(review.workspace.root):
        with pytest.raises(WorkspaceError) as caught:
            review.write(image, {"rim_edge": "smooth"}, {})
        assert caught.value.code == "workspace-busy"
        assert review.shown(image)  # reading needs no lock
    review.write(image, {"rim_edge": "smooth"}, {})
    with lock(review.workspace.root):  # taken only while writing
        pass


def test_a_kill_after_the_reply_loses_nothing(review: Review) -> None:
    """What was acknowledged is in the file, also for a process that opens it while this one is still there."""
    review.write(first(review), {"rim_edge": "smooth"}, {})
    with Workspace(review.workspace.root) as other:
        assert list(other.store.corrections().values()) == ["smooth"]
        assert other.store.answers()[first(review)]["rim_edge"] == "smooth"


# --- what was done --------------------------------------------------------------------------------------------


def test_a_sitting_counts_against_what_stood_before(review: Review) -> None:
    one, two = review.listed(Filters())["ids"][:2]
    review.write(one, {"rim_edge": "smooth"}, {})
    again = review_of(review.workspace)
    machine = {a["name"]: a["value"] for a in again.shown(two)["answers"] if a["name"] != GENERAL}
    for name, value in machine.items():
        again.write(two, {name: value}, {})
    again.write(two, {"motif": "a head"}, {})
    again.write(one, {"rim_edge": None}, {})
    again.write(one, {"motif": "a map"}, {})
    again.write(one, {"motif": None}, {})  # written and taken back: nothing was done
    assert again.sitting() == Sitting(reviewed=1, corrected=1, confirmed=len(machine) - 1, taken_back=1)


def test_an_image_is_reviewed_when_every_attribute_has_a_persons_value(review: Review) -> None:
    image = first(review)
    values = {a["name"]: a["value"] for a in review.shown(image)["answers"] if a["name"] != GENERAL}
    last, others = values.popitem(), values
    assert not review.write(image, others, {})["reviewed"]
    assert review.write(image, {last[0]: None}, {}, within="motif")["reviewed"]  # of one attribute alone
    assert review.write(image, dict([last]), {})["reviewed"]
    assert review.listed(Filters())["reviewed"] == [image]


# --- filters --------------------------------------------------------------------------------------------------


def test_samples_that_disagree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(request: Request) -> Said:
        is_odd = request.sample and request.attribute == "rim" and request.subject in odd
        return "another rim" if is_odd else f"The {request.attribute}" + "." * request.sample

    odd: list[str] = []
    with scripted(tmp_path / "all", monkeypatch, say, "extract.samples=2") as workspace:
        assert review_of(workspace).listed(Filters(doubt="disagree"))["ids"] == []
        odd.append(workspace.store.images()[2].sha256)
    with scripted(tmp_path / "one", monkeypatch, say, "extract.samples=2") as workspace:
        review = review_of(workspace)
        image = workspace.store.images()[2].id
        assert review.page()["has_samples"]
        assert review.listed(Filters(doubt="disagree"))["ids"] == [image]
        assert review.listed(Filters(doubt="disagree", attribute="colour"))["ids"] == []
        rim = value_of(review, image, "rim")
        assert (rim["others"], rim["disagree"]) == (["another rim"], True)
        assert value_of(review, image, "colour")["disagree"] is False
        review.write(image, {"rim": "another rim"}, {})  # the machine has still said two things
        assert review.listed(Filters(doubt="disagree"))["ids"] == [image]


def test_samples_of_joint_replies_are_compared_value_by_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(request: Request) -> Said:
        if request.attribute == GENERAL:
            return "a coin"
        return f'{{"colour": "gold", "rim": "rim {request.sample}"}}'

    with scripted(tmp_path, monkeypatch, say, "extract.samples=2", "extract.ask=joint") as workspace:
        review = review_of(workspace)
        assert len(review.listed(Filters(doubt="disagree", attribute="rim"))["ids"]) == 6
        assert review.listed(Filters(doubt="disagree", attribute="colour"))["ids"] == []


def test_low_confidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sure = iter([0.9, 0.5, 0.9, 0.9, 0.3, 0.9])

    def say(request: Request) -> Said:
        if not request.options:
            return "a coin"
        top = next(sure)
        return Response("red", "m", "stop", 1, 1, scores=(top, 1 - top, 0.0))

    with scripted(tmp_path, monkeypatch, say, table="colour,Which?,red; blue") as workspace:
        review = review_of(workspace)
        assert review.page()["has_confidence"]
        unsure = review.listed(Filters(doubt="unsure"))["ids"]
        assert len(unsure) == 2
        assert len(review.listed(Filters(doubt="unsure", below=0.4))["ids"]) == 1
        review.write(unsure[0], {"colour": "blue"}, {})  # a person is sure
        assert review.listed(Filters(doubt="unsure"))["ids"] == unsure[1:]


def test_one_class_one_finding_and_random_order(review: Review) -> None:
    ids = review.listed(Filters())["ids"]
    euros = [i.id for i in review.workspace.store.images() if i.class_name == "1_euro"]
    assert review.listed(Filters(class_name="1_euro"))["ids"] == euros
    paths = [i.path for i in review.workspace.store.images()]
    review.workspace.store.put_findings([Finding("odd", "note", "x", paths[3], paths[1])])
    assert review.page()["kinds"] == ["odd"]
    assert review.listed(Filters(finding="odd"))["ids"] == [ids[1], ids[3]]
    drawn = [review.listed(Filters(seed=str(seed)))["ids"] for seed in range(5)]
    assert all(sorted(order) == sorted(ids) for order in drawn)
    assert len({tuple(order) for order in drawn}) > 1
    assert drawn[3] == review.listed(Filters(seed="3"))["ids"]
    with pytest.raises(UsageError):
        review.listed(Filters(attribute="no_such"))


# --- what is shown --------------------------------------------------------------------------------------------


def test_reviewing_is_blind_unless_the_class_is_asked_for(review: Review) -> None:
    image = first(review)
    assert "1_euro" not in str(review.shown(image))
    shown = review.shown(image, with_class=True)
    assert (shown["class"], shown["split"]) == ("1_euro", review.images[image].split)


def test_a_field_offers_the_frequent_values(review: Review) -> None:
    field = next(f for f in review.page()["attributes"] if f["name"] == "bimetallic")
    counted = [answers["bimetallic"] for answers in review.workspace.store.answers().values()]
    assert set(field["values"]) == set(counted) - {NOT_VISIBLE}
    how_often = [counted.count(value) for value in field["values"]]
    assert how_often == sorted(how_often, reverse=True)
    assert field["words"] == "bimetallic"


def test_a_picture_is_scaled_and_tells_nothing_else(review: Review, tmp_path: Path) -> None:
    from io import BytesIO

    with Pictures.open(BytesIO(review.picture(first(review)))) as picture:
        assert picture.format == "JPEG"
        assert not picture.getexif()
        assert picture.width * picture.height <= module.MOST_PIXELS


def test_a_picture_that_is_another_by_now_is_not_shown(review: Review) -> None:
    one, two = list(review.images.values())[:2]
    shutil.copy(review.workspace.ref_of(two).path, review.workspace.ref_of(one).path)
    with pytest.raises(ImageError) as caught:
        review.picture(one.id)
    assert caught.value.code == "image-changed"


@pytest.mark.parametrize(
    ("one", "other", "is_other"),
    [("Red.", "red", False), ("a  b", "A b", False), ("red", "dark red", True), ("yes", "no", True)],
)
def test_when_values_differ(one: str, other: str, is_other: bool) -> None:
    assert differ(one, other) is is_other
