from __future__ import annotations

import numpy as np
import pytest

from fgvr_kit.evaluation.baselines.knn import CANDIDATES, TEMPERATURE, Knn
from fgvr_kit.progress import SILENT
from tests.evaluation.baselines.planted import clouds, labelled


def votes(asked: np.ndarray, vectors: np.ndarray, labels: np.ndarray, k: int, n_classes: int) -> np.ndarray:
    """One image after the other, sorted whole."""
    found = np.zeros((len(asked), n_classes))
    for row, one in enumerate(asked):
        cosines = vectors @ one
        for n in sorted(range(len(vectors)), key=lambda n: -cosines[n])[:k]:
            found[row, labels[n]] += np.exp(cosines[n] / TEMPERATURE)
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 3, 10, 100, 200])
def test_the_votes_are_those_of_a_plain_search(k: int) -> None:
    labels = np.random.default_rng(0).integers(0, 5, 200)
    vectors, asked = clouds(labels.tolist(), 1.5), clouds(labels[:40].tolist(), 1.5, seed=1)
    scores = Knn().fit(vectors, labels, 6, {"k": k})(asked)
    expected = votes(asked, vectors, labels, k, 6)
    assert np.exp(scores) == pytest.approx(expected, abs=1e-5)
    assert (scores.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert np.isfinite(scores).all()


def test_among_classes_without_a_neighbour_the_most_similar_image_decides() -> None:
    """A question may offer only classes that are not among the k nearest."""
    labels = np.array([0, 0, 0, 1, 2])
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    (scores,) = Knn().fit(vectors, labels, 4, {"k": 1})(np.array([[1.0, 0.0]], dtype=np.float32))
    assert np.argsort(-scores).tolist() == [0, 2, 1, 3]


def best_k(vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> int:
    right = {}
    for k in (k for k in CANDIDATES if k < len(labels)):
        right[k] = 0
        for n in range(len(labels)):
            others = groups != groups[n]
            named = votes(vectors[n : n + 1], vectors[others], labels[others], k, labels.max() + 1)
            right[k] += named.argmax() == labels[n]
    return max(right, key=lambda k: (right[k], -k))


def test_k_is_the_best_of_those_tried_where_no_image_sees_its_group() -> None:
    labels = np.random.default_rng(3).integers(0, 4, 120)
    groups = np.arange(120) // 3
    vectors = clouds(labels.tolist(), 2.5)
    chosen = Knn().choose(vectors, labelled(labels.tolist(), groups.tolist()), SILENT)
    assert chosen["k"] == best_k(vectors, labels, groups)
    assert chosen["asked"] == 120


def test_copies_of_an_image_in_its_group_do_not_make_one_neighbour_look_good() -> None:
    labels = np.random.default_rng(4).integers(0, 4, 100)
    vectors = np.repeat(clouds(labels.tolist(), 4.0), 2, axis=0)
    twice, groups = np.repeat(labels, 2).tolist(), np.repeat(np.arange(100), 2).tolist()
    assert Knn().choose(vectors, labelled(twice), SILENT)["accuracy"] == 1.0  # each finds its own copy
    assert Knn().choose(vectors, labelled(twice, groups), SILENT)["accuracy"] < 0.7


def test_validation_images_ask_and_are_no_neighbours() -> None:
    labels = [0, 1] * 10 + [0, 1]
    vectors = clouds(labels, 0.1)
    vectors[-2:] = vectors[[1, 0]]  # labelled the wrong way round
    chosen = Knn().choose(vectors, labelled(labels, n_val=2), SILENT)
    assert (chosen["asked"], chosen["accuracy"]) == (22, round(20 / 22, 4))


def test_where_nothing_can_be_held_out_the_nearest_image_decides() -> None:
    assert Knn().choose(clouds([0, 1, 2], 0.1), labelled([0, 1, 2]), SILENT) == {"k": 1, "asked": 0}
