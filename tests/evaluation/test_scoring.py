from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support, recall_score

from fgvr_kit.evaluation.exams import Exam
from fgvr_kit.evaluation.protocols import Question
from fgvr_kit.evaluation.ranked import predictions_of
from fgvr_kit.evaluation.scoring import Marked
from fgvr_kit.types import Image, Prediction, Score

NAMES = tuple("abcdefgh")


def marked(truth: Sequence[str], groups: Sequence[str] | None = None, n_resamples: int = 300) -> Marked:
    images = [Image(n, f"{n}.png", name, "test", f"{n:064x}") for n, name in enumerate(truth)]
    exam = Exam("closed", "closed8-x", tuple(Question(image, NAMES, "") for image in images), "all")
    keys = groups or [str(n) for n in range(len(truth))]
    return Marked(exam, NAMES, dict(enumerate(keys)), n_resamples=n_resamples, seed=0)


def answers(exam: Exam, named: Sequence[str]) -> dict[int, Prediction]:
    scores = np.array([[float(name == one) for name in NAMES] for one in named])
    found = predictions_of(exam.questions, scores, {name: n for n, name in enumerate(NAMES)})
    return {prediction.image_id: prediction for prediction in found}


def scored(exam: Marked, *draws: Sequence[str]) -> dict[tuple[str, str], Score]:
    row = exam.row("x", "baseline", None, [answers(exam.exam, named) for named in draws])
    return {(score.metric, score.class_name): score for score in exam.scores(row)}


@pytest.fixture
def truth() -> list[str]:
    return [NAMES[n] for n in np.random.default_rng(1).integers(0, 7, 90)]  # none of the class h


@pytest.fixture
def named(truth: list[str]) -> list[str]:
    random = np.random.default_rng(2)
    return [name if random.random() < 0.6 else NAMES[random.integers(0, 8)] for name in truth]


def test_every_figure_is_scikit_learns(truth: list[str], named: list[str]) -> None:
    found = scored(marked(truth), named)
    present = [name for name in NAMES if name in truth]
    assert found["accuracy", ""].value == pytest.approx(accuracy_score(truth, named))
    macro = recall_score(truth, named, labels=present, average="macro")
    assert found["macro accuracy", ""].value == pytest.approx(macro)
    f1 = f1_score(truth, named, labels=present, average="macro")
    assert found["macro F1", ""].value == pytest.approx(f1)
    precision, recall, of_class, n = precision_recall_fscore_support(
        truth, named, labels=list(NAMES), zero_division=0
    )
    for c, name in enumerate(NAMES):
        if n[c]:
            assert found["recall", name].value == pytest.approx(recall[c])
            assert found["F1", name].value == pytest.approx(of_class[c])
            assert found["recall", name].n == n[c]
        assert found["precision", name].value == pytest.approx(precision[c])


def test_a_class_without_test_images_has_no_recall_and_is_in_no_mean(
    truth: list[str], named: list[str]
) -> None:
    found = scored(marked(truth), named)
    assert ("recall", "h") not in found
    assert ("precision", "h") in found  # it was named, and wrongly each time
    assert found["precision", "h"].value == 0


def test_a_perfect_classifier_has_everything_and_an_interval(truth: list[str]) -> None:
    found = scored(marked(truth), truth)
    assert all(score.value == 1 == score.high and score.low < 1 for score in found.values())
    assert found["accuracy", ""].low > 0.95
    assert found["recall", "a"].low < 0.9  # a dozen images


def test_a_constant_has_the_share_of_its_class(truth: list[str]) -> None:
    found = scored(marked(truth), ["a"] * 90)
    assert found["accuracy", ""].value == truth.count("a") / 90
    assert found["macro accuracy", ""].value == pytest.approx(1 / 7)
    assert {found["recall", name].value for name in NAMES[1:7]} == {0.0}
    assert marked(truth).chance().value == pytest.approx(1 / 8)


def test_the_truth_may_be_among_the_five_likeliest() -> None:
    exam = marked(["a", "b", "c"])
    likeliest = ["bcdeafgh", "acdefbgh", "abdefghc"]  # a is fifth, b sixth, c last
    scores = np.array([[-float(order.index(name)) for name in NAMES] for order in likeliest])
    found = predictions_of(exam.exam.questions, scores, {name: n for n, name in enumerate(NAMES)})
    row = exam.row("x", "baseline", None, [{p.image_id: p for p in found}])
    top = next(score for score in exam.scores(row) if score.metric == "top-5 accuracy")
    assert top.value == pytest.approx(1 / 3)


def test_copies_of_every_image_in_its_group_change_nothing(truth: list[str], named: list[str]) -> None:
    one = scored(marked(truth), named)
    copies = scored(marked(truth * 3, [str(n) for n in range(90)] * 3), named * 3)
    for what, score in one.items():
        assert copies[what].value == pytest.approx(score.value)
        assert (copies[what].low, copies[what].high) == pytest.approx((score.low, score.high), abs=0.03), what


def test_draws_of_one_thing_are_averaged(truth: list[str], named: list[str]) -> None:
    both = scored(marked(truth), named, truth)
    alone = scored(marked(truth), named)
    assert both["accuracy", ""].value == pytest.approx((1 + alone["accuracy", ""].value) / 2)
    assert both["accuracy", ""].n == 90


def test_a_comparison_is_of_the_same_questions(truth: list[str], named: list[str]) -> None:
    exam = marked(truth)
    rows = [
        exam.row(label, "baseline", None, [answers(exam.exam, one)])
        for label, one in (("n", named), ("t", truth))
    ]
    gain, p = exam.compared(rows[1], rows[0])
    wrong = sum(a != b for a, b in zip(truth, named, strict=True))
    assert (gain.metric, gain.value) == ("difference from n", pytest.approx(wrong / 90))
    assert gain.low > 0
    assert p.value == pytest.approx(2.0 ** (1 - wrong))
    same, p = exam.compared(rows[0], rows[0])
    assert (same.value, p.value) == (0, 1)
    assert same.low < 0 < same.high
