"""eval --baselines as a whole, on CLIP vectors that the test plants."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from fgvr_kit.embedding import Clip
from fgvr_kit.errors import PromptError, SettingsError
from fgvr_kit.evaluation.baselines.classifier import Classifier, ClipContender
from fgvr_kit.evaluation.baselines.knn import Knn
from fgvr_kit.evaluation.baselines.probe import Probe
from fgvr_kit.evaluation.evaluate import evaluate, told
from fgvr_kit.evaluation.language_model import LanguageModel
from fgvr_kit.evaluation.protocols import choice_questions, protocol_of
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.mine import mine
from fgvr_kit.types import ImageRef, Prediction, Score, Summary
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders

NAMES = ("a", "b", "c", "d", "e", "f")
EYES = ["CLIP zero-shot", "k-nearest neighbours", "linear probe"]
Make = Callable[..., Workspace]


def axis(name: str) -> np.ndarray:
    return np.eye(8, dtype=np.float32)[NAMES.index(name)]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """CLIP sees the class in the folder's name, and noise; its texts say nothing of c and d but each the other's."""
    noise = {"spread": 0.1}

    def rows(self: Clip, store: object, refs: Sequence[ImageRef], **_: object) -> np.ndarray:
        vectors = []
        for ref in refs:
            random = np.random.default_rng(zlib.crc32(ref.sha256.encode()))
            row = axis(ref.path.parent.name) * noise.get("signal", 1) + noise[
                "spread"
            ] * random.standard_normal(8)
            vectors.append(row / max(1e-9, np.linalg.norm(row)))
        return np.array(vectors, dtype=np.float32)

    def classes(self: Clip, store: object, texts: Sequence[Sequence[str]]) -> np.ndarray:
        swapped = {"c": "d", "d": "c"}
        return np.stack([axis(swapped.get(of[0][-1], of[0][-1])) for of in texts])

    monkeypatch.setattr(Clip, "rows", rows)
    monkeypatch.setattr(Clip, "classes", classes)
    return noise


@pytest.fixture
def make(tmp_path: Path, toy_clip_model: str, planted: dict[str, float]) -> Iterator[Make]:
    """A workspace of the classes a to f, and others of the same folder with other settings."""
    opened: list[Workspace] = []

    def one(*overrides: str, train: int = 6, test: int = 4, **counts: int) -> Workspace:
        if not (tmp_path / "fgvr.toml").exists():
            sizes = {f"train/{n}": train for n in NAMES} | {f"test/{n}": test for n in NAMES}
            sizes |= {key.replace("_", "/"): n for key, n in counts.items()}
            init(class_folders(tmp_path / "things", {k: n for k, n in sizes.items() if n}), tmp_path)
        settings = ["mine.model=toy-clip", "train.device=cpu", "evaluate.resamples=200", *overrides]
        opened.append(Workspace(tmp_path, settings))
        return opened[-1]

    yield one
    for workspace in opened:
        workspace.close()


@pytest.fixture
def not_a_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgvr_kit.embedding.clip.toy.note_of", lambda folder: None)


def run(workspace: Workspace) -> tuple[Summary, list[Score]]:
    return evaluate(workspace, [], baselines=True)


def value(
    scores: Sequence[Score], model: str, metric: str = "accuracy", name: str = "", kind: str = "closed"
) -> float:
    (found,) = [
        s.value for s in scores
        if (s.model, s.metric, s.class_name) == (model, metric, name) and s.protocol.startswith(kind)
    ]  # fmt: skip
    return found


def codes(summary: Summary) -> list[str]:
    return [notice.code for notice in summary.notices]


def test_what_can_be_learnt_is_learnt_and_zero_shot_is_the_nearest_text(make: Make) -> None:
    summary, scores = run(make())
    assert value(scores, "k-nearest neighbours") == value(scores, "linear probe") == 1.0
    assert value(scores, "CLIP zero-shot") == pytest.approx(4 / 6)  # c and d are mistaken for each other
    assert value(scores, "CLIP zero-shot", "recall", "c") == 0.0
    assert value(scores, "most frequent class") == value(scores, "chance") == pytest.approx(1 / 6)
    assert {s.protocol.split("-")[0] for s in scores} == {"closed6"}
    assert "no-options" in codes(summary)
    assert summary.notes == ("toy-clip: untrained toy model",)
    assert {s.note for s in scores if s.model in EYES} == {"toy-clip: untrained toy model"}


def test_they_answer_the_questions_that_an_mllm_sees(make: Make) -> None:
    workspace = make(*["mine.n_options=3"])
    mine(workspace)
    _, scores = run(workspace)
    questions = choice_questions(workspace)
    protocol = protocol_of(questions, workspace.settings.train.max_pixels)
    assert {s.protocol for s in scores if s.protocol.startswith("choice")} == {protocol}
    assert value(scores, "linear probe", kind="choice3") == 1.0
    assert value(scores, "CLIP zero-shot", kind="choice3") == value(scores, "CLIP zero-shot")
    keys = [r[0] for r in workspace.store.db.execute("select distinct model from predictions")]
    for key in keys:
        stored = workspace.store.predictions(key, protocol)
        assert [stored[q.image.id].options for q in questions] == [q.options for q in questions]


def test_a_second_run_computes_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first, scores = run(make("evaluate.shots=[1, 3]"))

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("computed again")

    for method in (Knn, Probe):
        monkeypatch.setattr(method, "choose", refuse)
        monkeypatch.setattr(method, "fit", refuse)
    monkeypatch.setattr(Clip, "rows", refuse)
    again, same = run(make("evaluate.shots=[1, 3]"))
    assert same == scores
    assert (first.done["answers that were new"] > 0, again.done["answers that were new"]) == (True, 0)
    unchanged = {k: v for k, v in first.done.items() if k != "answers that were new"}
    assert unchanged.items() <= again.done.items()  # what was chosen is told again


def test_killed_between_classifiers_it_goes_on_with_the_next(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[str] = []
    real = {method: method.fit for method in (Knn, Probe)}
    for method in real:

        def counting(self, *args, method=method):  # type: ignore[no-untyped-def]
            fitted.append(self.name)
            if fitted == ["k-nearest neighbours", "linear probe"]:
                raise KeyboardInterrupt
            return real[method](self, *args)

        monkeypatch.setattr(method, "fit", counting)
    with pytest.raises(KeyboardInterrupt):
        run(make())
    chosen = [r["recipe"] for r in make().store.runs()]
    monkeypatch.setattr(Knn, "choose", None)
    monkeypatch.setattr(Probe, "choose", None)  # chosen before the kill: not chosen again
    _, scores = run(make())
    assert fitted == ["k-nearest neighbours", "linear probe", "linear probe"]
    assert chosen == ["k-nearest neighbours", "linear probe"]
    assert value(scores, "linear probe") == 1.0


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("evaluate.seed=5", set()),  # of all images nothing is drawn
        ("mine.prompt='mine/other'", {"CLIP zero-shot"}),
        ("mine.precision='bf16'", set(EYES)),
    ],
)
def test_predictions_are_kept_under_all_that_decides_them(make: Make, changed: str, again: set[str]) -> None:
    workspace = make()
    other = workspace.root / "prompts" / "mine" / "other.md"
    other.parent.mkdir(parents=True)
    other.write_text('+++\nneeds = ["name"]\n+++\na drawing of {{ name }}\n')
    run(workspace)
    summary, _ = run(make(changed))
    assert summary.done["answers that were new"] == 24 * len(again)


def test_another_training_image_means_learning_again(make: Make) -> None:
    workspace = make()
    run(workspace)
    class_folders(workspace.root / "things", {"train/a": 7})
    init(workspace.root / "things", workspace.root)
    summary, _ = run(make())
    assert summary.done["answers that were new"] == 48  # zero-shot learns from none


def test_shots_are_the_mean_of_draws_and_more_of_them_help(make: Make, planted: dict[str, float]) -> None:
    planted["spread"] = 0.6
    summary, scores = run(make("evaluate.shots=[1, 4, 6, 50]", train=8, test=8))
    assert value(scores, "linear probe, 1 shot") < value(scores, "linear probe, 6 shots") <= 1.0
    assert "mean of 5 draws" in summary.done["linear probe, 4 shots"]
    assert summary.done["50 shots"].startswith("no class has more")
    n = {s.n for s in scores if s.metric == "accuracy" and s.model.startswith("linear probe")}
    assert n == {48}


def test_classes_that_cannot_be_named_or_are_not_asked_about_are_told_and_counted(make: Make) -> None:
    summary, scores = run(make(train_f=0, test_e=0))
    assert {"classes-untrained", "classes-untested"} <= set(codes(summary))
    assert value(scores, "linear probe", "recall", "f") == 0.0
    assert value(scores, "linear probe") == pytest.approx(16 / 20)
    assert value(scores, "linear probe", "macro accuracy") == pytest.approx(4 / 5)
    assert ("recall", "e") not in {(s.metric, s.class_name) for s in scores}


def test_test_images_that_were_learnt_from_are_told(make: Make) -> None:
    workspace = make()
    train, test = workspace.store.images("train")[0], workspace.store.images("test")[0]
    workspace.store.db.execute("update images set sha256 = ? where id = ?", [train.sha256, test.id])
    workspace.store.db.conn.commit()
    assert "test-leaks" in codes(run(workspace)[0])


def test_validation_images_help_to_choose_and_are_told(make: Make) -> None:
    summary, _ = run(make(val_a=3, val_b=3))
    assert "6 validation images help to choose" in summary.done["learnt from"]
    assert "of 42 images" in summary.done["linear probe"]


def test_one_vector_for_everything_is_told(make: Make, planted: dict[str, float]) -> None:
    planted |= {"signal": 0.0, "spread": 0.0}
    summary, scores = run(make())
    assert "vectors-alike" in codes(summary)
    assert value(scores, "linear probe") == pytest.approx(1 / 6)


def test_a_single_image_of_each_class_leaves_nothing_to_choose_with(make: Make) -> None:
    summary, scores = run(make(train=1))
    assert "not-chosen" in codes(summary)
    assert value(scores, "k-nearest neighbours") > 0.5


@pytest.mark.usefixtures("not_a_toy")
@pytest.mark.parametrize(("enough", "says"), [(0.8, ["baseline-enough"]), (0.99, []), (0.0, [])])
def test_a_baseline_that_is_surely_enough_is_said_to_be(make: Make, enough: float, says: list[str]) -> None:
    """24 of 24 right: Wilson's low end is 86 %."""
    summary, _ = run(make(f"evaluate.enough={enough}"))
    assert [code for code in codes(summary) if code.startswith("baseline")] == says
    if enough == 0.99:
        assert "not surely" in summary.done["accuracy that you need"]


@pytest.mark.usefixtures("not_a_toy")
def test_what_learnt_from_few_shots_is_never_said_to_be_enough(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make("evaluate.shots=[5]", "evaluate.enough=0.8")
    mine(workspace)
    run(workspace)
    answered(workspace, "z", 6)
    monkeypatch.setattr(ClipContender, "role", "rule")  # all but the shots
    shots = property(lambda self: "baseline" if self.n_shots else "rule")
    monkeypatch.setattr(Classifier, "role", shots)
    summary, _ = evaluate(workspace, [LanguageModel("zero-shot", "z")], baselines=True)
    assert not [code for code in codes(summary) if code.startswith("baseline")]


@pytest.mark.parametrize(("options", "says"), [("hard", True), ("random", False)])
def test_options_that_zero_shot_chose_itself_are_told(make: Make, options: str, says: bool) -> None:
    workspace = make(f"mine.options={options}", "mine.n_options=3")
    mine(workspace)
    assert ("zero-shot-own-options" in codes(run(workspace)[0])) == says


def test_test_images_without_options_are_told(make: Make) -> None:
    workspace = make()
    mine(workspace)
    class_folders(workspace.root / "things", {"test/a": 6})
    init(workspace.root / "things", workspace.root)
    assert [row[:2] for row in run(make())[0].dropped] == [("test images without options", 2)]


def test_a_prompt_for_clip_that_is_gone_is_no_reason_not_to_judge_an_mllm(make: Make) -> None:
    mine(make())
    gone = make("mine.prompt='mine/gone'")
    answered(gone, "z", 6)
    _, scores = evaluate(gone, [LanguageModel("zero-shot", "z")])
    assert value(scores, "zero-shot", kind="choice") == 0.25
    with pytest.raises(PromptError):
        run(gone)


def test_a_toy_is_never_said_to_be_enough(make: Make) -> None:
    summary, _ = run(make("evaluate.enough=0.5"))
    assert "baseline-enough" not in codes(summary)
    assert "toy" in summary.done["accuracy that you need"]


def answered(workspace: Workspace, key: str, n_right: int) -> None:
    """As if an MLLM had been asked, and was right about the first n."""
    questions = choice_questions(workspace)
    rows = []
    for n, q in enumerate(questions):
        wrong = next(name for name in q.options if name != q.image.class_name)
        named = q.image.class_name if n < n_right else wrong
        rows.append(Prediction(q.image.id, q.options, named, q.image.class_name, (0.0,) * len(q.options)))
    workspace.store.put_predictions(key, protocol_of(questions, workspace.settings.train.max_pixels), rows)


@pytest.mark.usefixtures("not_a_toy")
def test_mllms_and_baselines_are_rows_of_one_table_whoever_was_asked_last(make: Make) -> None:
    workspace = make()
    mine(workspace)
    run(workspace)
    models = [LanguageModel("zero-shot", "z"), LanguageModel("tuned", "t")]
    answered(workspace, "z", 6)
    answered(workspace, "t", 12)
    summary, scores = evaluate(workspace, models)
    assert "baseline-above-model" in codes(summary)  # 24 of 24 against 12
    assert value(scores, "tuned", "difference from zero-shot", kind="choice") == pytest.approx(0.25)
    assert value(scores, "linear probe", "difference from zero-shot", kind="choice") == pytest.approx(0.75)
    assert evaluate(workspace, models, baselines=True)[1] == scores
    assert told(scores).endswith("zero-shot 25.0 %; tuned 50.0 %")
    assert workspace.store.walk()["eval"]["summary"]["done"]["questions"] == 24


def test_baselines_alone_leave_the_step_to_do(make: Make) -> None:
    workspace = make()
    mine(workspace)
    run(workspace)
    assert "eval" not in workspace.store.walk()
    assert told(workspace.store.scores()).startswith("CLIP zero-shot 66.7 %")


def test_nobody_to_ask_is_an_error_that_says_what_is_missing(make: Make) -> None:
    with pytest.raises(SettingsError) as no_clip:
        run(make("mine.model=''"))
    with pytest.raises(SettingsError) as no_model:
        evaluate(make(), [])
    assert (no_clip.value.code, no_model.value.code) == ("no-mine-model", "no-train-model")
