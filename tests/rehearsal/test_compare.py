from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Backend, Request, RequestRejected
from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.pipeline.init import init
from fgvr_kit.rehearsal.compare import Compared, compare
from fgvr_kit.types import Negative
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders
from tests.pipeline.coins import Said, Scripted, set_attributes, use

CLASSES = ("ant", "bee", "moth", "wasp")
GOOD = "Look closely."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    class_folders(tmp_path / "pests", {f"train/{name}": 12 for name in CLASSES})
    class_folders(tmp_path / "pests", {f"test/{name}": 2 for name in CLASSES})
    init(tmp_path / "pests", tmp_path)
    set_attributes(tmp_path, "hue", "legs")
    return tmp_path


def draft(root: Path, name: str, text: str = GOOD) -> str:
    """A copy of a prompt with another sentence in it."""
    with Workspace(root) as workspace:
        source = workspace.prompts.file(name)
    file = root / f"{name.replace('/', '-')}.md"
    file.write_text(f"{source.read_text().rstrip()}\n{text}\n")
    return str(file)


class Knowing(Scripted):
    """Answers well to a prompt that says GOOD, and the same of everything to others."""

    def __init__(self, root: Path) -> None:
        super().__init__(self.answer)
        with Workspace(root) as workspace:
            self.class_of = {image.sha256: image.class_name for image in workspace.store.images()}

    def answer(self, request: Request) -> Said:
        name = self.class_of[request.subject or ""]
        is_good = GOOD in request.prompt.text
        if request.options:
            return name if is_good else request.options[0]
        value = f"{name} coloured" if is_good else "brown"
        return value if request.schema is None else json.dumps(dict.fromkeys(("hue", "legs"), value))


def compared(
    root: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend, *names: str, n: int = 16, seed: int = 0
) -> Compared:
    use(backend, monkeypatch)
    with Workspace(root, ["extract.backend=any:thing"]) as workspace:
        return compare(workspace, names[0], names[1], n=n, seed=seed)


def mine(root: Path) -> None:
    """All other classes are look-alikes of every image."""
    with Workspace(root) as workspace:
        train = workspace.store.images("train")
        of = {image.class_name: image.id for image in train}
        workspace.store.put_mined(
            [
                Negative(image.id, rank, of[name], name, 0.5, 0.5)
                for image in train
                for rank, name in enumerate(sorted(set(CLASSES) - {image.class_name}))
            ],
            [],
        )


@pytest.mark.parametrize("name", ["extract/question", "extract/general", "extract/joint"])
def test_the_prompt_whose_answers_tell_the_classes_apart_is_better(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    found = compared(root, monkeypatch, Knowing(root), name, draft(root, name))
    first = found.measures[0]
    assert (first.b, first.b_wins - first.a_wins) == (1.0, round(16 * first.difference))
    assert found.decision.startswith(f"{found.b.name} is better than {name}")
    assert (found.n_images, found.n_classes) == (16, 4)


def test_joint_and_single_questions_can_be_compared(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compared(root, monkeypatch, Knowing(root), "extract/question", "extract/joint")
    assert found.kind == "answers"
    assert (found.a.calls, found.b.calls) == (32, 16)
    assert found.decision.startswith("no difference that 16 images can show")


def test_a_choice_is_judged_by_its_accuracy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine(root)
    found = compared(root, monkeypatch, Knowing(root), "ask/choice", draft(root, "ask/choice"), n=40)
    assert found.measures[0].name == "accuracy"
    assert found.measures[0].b == 1.0
    assert 0 < found.measures[0].a < 0.6
    assert found.decision.startswith(found.b.name)


def test_the_right_choice_stands_at_every_letter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine(root)
    backend = Knowing(root)
    for seed in range(4):
        compared(root, monkeypatch, backend, "ask/choice", draft(root, "ask/choice"), n=4, seed=seed)
    places = Counter(r.options.index(backend.class_of[r.subject or ""]) for r in backend.asked)
    assert set(places) == {0, 1, 2, 3}
    assert max(places.values()) <= places.total() / 2


def test_a_choice_without_look_alikes_asks_for_mining(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FgvrError) as caught:
        compared(root, monkeypatch, Knowing(root), "ask/choice", draft(root, "ask/choice"))
    assert caught.value.code == "no-options"


def test_only_training_images_are_asked_about_as_many_of_each_class(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Knowing(root)
    compared(root, monkeypatch, backend, "extract/general", draft(root, "extract/general"))
    with Workspace(root) as workspace:
        of = {image.sha256: image for image in workspace.store.images()}
    asked = {request.subject or "" for request in backend.asked}
    assert {of[subject].split for subject in asked} == {"train"}
    assert set(Counter(of[subject].class_name for subject in asked).values()) == {4}


def test_the_sample_is_that_of_its_seed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = []
    for seed in (0, 0, 1):
        backend = Knowing(root)
        with Workspace(root) as workspace:
            workspace.store.db["replies"].delete_where()
        compared(root, monkeypatch, backend, "extract/general", draft(root, "extract/general"), seed=seed)
        subjects.append({request.subject for request in backend.asked})
    assert subjects[0] == subjects[1] != subjects[2]


def test_nothing_is_asked_twice_and_extract_profits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Knowing(root)
    names = "extract/question", draft(root, "extract/question")
    first = compared(root, monkeypatch, backend, *names)
    assert (first.a.asked_now, first.b.asked_now) == (32, 32)
    n = len(backend.asked)
    again = compared(root, monkeypatch, backend, *names)
    assert len(backend.asked) == n
    assert (again.a.asked_now, again.a.calls, again.measures) == (0, 32, first.measures)
    with Workspace(root, ["extract.backend=any:thing"]) as workspace:
        assert extract(workspace).done["already stored"] == 32


def test_few_classes_are_chosen_where_a_sample_cannot_hold_all(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compared(root, monkeypatch, Knowing(root), "extract/general", draft(root, "extract/general"), n=8)
    assert (found.n_images, found.n_classes) == (8, 2)


def test_images_that_lack_a_reply_are_left_out_of_both(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Knowing(root)
    lost: set[str | None] = set()

    def say(request: Request) -> Said:
        is_half = request.attribute == "legs" and GOOD in request.prompt.text
        if is_half and (len(lost) < 3 or request.subject in lost):
            lost.add(request.subject)
            return RequestRejected("no", code="rejected", hint="none")
        return good.answer(request)

    found = compared(root, monkeypatch, Scripted(say), "extract/question", draft(root, "extract/question"))
    assert found.n_images == 13
    assert [notice.code for notice in found.notices] == ["requests-unanswered"]


def test_replies_that_are_no_answers_count_against_a_prompt(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Knowing(root)

    def say(request: Request) -> Said:
        return "I am sorry, I can't help." if GOOD in request.prompt.text else good.answer(request)

    found = compared(root, monkeypatch, Scripted(say), "extract/general", draft(root, "extract/general"))
    usable = next(measure for measure in found.measures if measure.name == "usable values")
    assert (usable.a, usable.b) == (1.0, 0.0)
    assert "usable values" in found.decision


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("describe/summary", "describe/summary", "compare-kind"),
        ("discover/attributes", "extract/general", "compare-kind"),
        ("extract/hinted", "extract/general", "compare-kind"),
        ("ask/open", "ask/choice", "compare-kind"),
        ("extract/general", "extract/question", "compare-unlike"),
        ("extract/general", "extract/general", "compare-same"),
        ("extract/closed", "extract/question", "compare-unlike"),
        ("extract/nothing", "extract/general", "prompt-missing"),
    ],
)
def test_what_no_measure_fits_is_refused_before_anybody_is_asked(
    root: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str, code: str
) -> None:
    backend = Knowing(root)
    with pytest.raises(FgvrError) as caught:
        compared(root, monkeypatch, backend, first, second)
    assert caught.value.code == code
    assert backend.asked == []


def test_a_draft_is_known_by_what_it_needs_wherever_it_lies(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FgvrError) as caught:
        compared(root, monkeypatch, Knowing(root), draft(root, "ask/choice"), draft(root, "extract/general"))
    assert caught.value.code == "compare-unlike"


def test_closed_questions_need_lists_of_values(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FgvrError) as caught:
        compared(root, monkeypatch, Knowing(root), "extract/closed", draft(root, "extract/closed"))
    assert caught.value.code == "compare-attributes"
    (root / "attributes.csv").write_text("attribute,question,options\nkind,Which?,ant; bee; moth; wasp\n")
    found = compared(root, monkeypatch, Knowing(root), "extract/closed", draft(root, "extract/closed"))
    assert found.decision.startswith(found.b.name)


def test_a_prompt_that_names_a_class_is_warned_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "extract/question"
    found = compared(root, monkeypatch, Knowing(root), name, draft(root, name, f"{GOOD} A wasp is striped."))
    (notice,) = found.notices
    assert notice.code == "prompt-names-class"
    assert "wasp" in (notice.why or "")
    assert compared(root, monkeypatch, Knowing(root), name, draft(root, name)).notices == ()


def test_questions_that_name_a_class_count_only_where_they_are_sent(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "attributes.csv").write_text(
        "attribute,question\nhue,Is it as black as an ant?\nlegs,How many?\n"
    )
    codes = {}
    for name in ("extract/question", "extract/general"):
        found = compared(root, monkeypatch, Knowing(root), name, draft(root, name))
        codes[name] = [notice.code for notice in found.notices]
    assert codes == {"extract/question": ["prompt-names-class"], "extract/general": []}
