from __future__ import annotations

import numpy as np
import pytest

from fgvr_kit.evaluation.baselines.probe import STRENGTHS, USUAL, Probe
from fgvr_kit.progress import SILENT
from tests.evaluation.baselines.planted import clouds, labelled


def test_it_is_scikit_learns_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    labels = np.random.default_rng(0).integers(0, 4, 150)
    vectors, asked = clouds(labels.tolist(), 1.0), clouds(labels[:30].tolist(), 1.0, seed=1)
    scores = Probe().fit(vectors, labels, 5, {"C": 1.0})(asked)
    expected = LogisticRegression(C=1.0, max_iter=1000).fit(vectors, labels).predict_log_proba(asked)
    assert scores[:, :4] == pytest.approx(expected, abs=1e-4)
    assert (scores[:, 4] < -20).all()  # the class that it has never seen


def test_two_classes_and_one_class() -> None:
    labels = np.array([0, 2] * 10)
    vectors = clouds(labels.tolist(), 0.1)
    assert (Probe().fit(vectors, labels, 3, {"C": 10.0})(vectors).argmax(axis=1) == labels).all()
    only = Probe().fit(vectors[:3], np.array([1, 1, 1]), 3, {"C": 1.0})(vectors)
    assert (only.argmax(axis=1) == 1).all()


def test_noise_is_penalised_more_than_clear_classes() -> None:
    labels = np.random.default_rng(1).integers(0, 3, 90).tolist()
    noisy = Probe().choose(clouds(labels, 6.0, width=64), labelled(labels), SILENT)
    clear = Probe().choose(clouds(labels, 0.5, width=64), labelled(labels), SILENT)
    assert noisy["C"] < clear["C"]
    assert {noisy["C"], clear["C"]} <= set(STRENGTHS)
    assert (clear["folds"], clear["groups"], clear["asked"]) == (5, 90, 90)
    assert clear["accuracy"] == 1.0


def test_folds_are_of_groups() -> None:
    """Pictures that mean nothing, each there three times: who may see a copy of what it is asked knows the answer."""
    labels = np.repeat(np.random.default_rng(2).integers(0, 4, 60), 3)
    vectors = np.repeat(np.random.default_rng(3).standard_normal((60, 40)).astype(np.float32), 3, axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    single = Probe().choose(vectors, labelled(labels.tolist()), SILENT)
    grouped = Probe().choose(vectors, labelled(labels.tolist(), np.repeat(np.arange(60), 3).tolist()), SILENT)
    assert single["accuracy"] > 0.8
    assert grouped["accuracy"] < 0.5


def test_validation_images_are_asked_and_never_learnt_from() -> None:
    labels = [0, 1] * 15 + [2] * 6  # class 2 has validation images only
    chosen = Probe().choose(clouds(labels, 0.1), labelled(labels, n_val=6), SILENT)
    assert (chosen["asked"], chosen["accuracy"]) == (36, round(30 / 36, 4))


def test_where_nothing_can_be_held_out_the_usual_penalty_is_taken() -> None:
    labels, groups = [0, 0, 1, 1], [0, 0, 1, 1]
    assert Probe().choose(clouds(labels, 0.1), labelled(labels, groups), SILENT) == {"C": USUAL, "folds": 0}


def test_identical_vectors_are_no_error() -> None:
    labels = [0, 1] * 6
    nothing = np.zeros((12, 4), dtype=np.float32)
    chosen = Probe().choose(nothing, labelled(labels), SILENT)
    assert np.isfinite(Probe().fit(nothing, np.array(labels), 2, chosen)(nothing)).all()
