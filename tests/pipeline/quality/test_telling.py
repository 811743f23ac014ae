from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from fgvr_kit.pipeline.quality.telling import balanced, chance_of, folds_of, held_out, information
from fgvr_kit.pipeline.quality.words import bag, words_of

N = 240


def told(
    answers: list[str], classes: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, float | None]:
    """(share, p) of answers about images of classes."""
    groups = np.arange(len(classes)) if groups is None else groups
    table = bag(map(words_of, answers), least=2, wholes=True)
    made = held_out(table, classes, folds_of(groups, classes), int(classes.max()) + 1)
    share = information(made.scores, classes)
    assert share is not None
    return share, chance_of(table, classes, groups)


@pytest.fixture
def classes() -> np.ndarray:
    return np.arange(N) % 4


def test_answers_that_name_the_class_tell_all_of_it(classes: np.ndarray) -> None:
    share, p = told([f"word{c}" for c in classes], classes)
    assert share > 0.95
    assert p == 1 / 200


def test_answers_that_part_four_classes_in_two_tell_half(classes: np.ndarray) -> None:
    share, _ = told(["low" if c < 2 else "high" for c in classes], classes)
    assert 0.4 < share < 0.6


def test_free_text_tells_through_its_words_though_no_answer_comes_twice(classes: np.ndarray) -> None:
    share, p = told([f"spot number {n} of colour{c}" for n, c in enumerate(classes)], classes)
    assert share > 0.9
    assert p == 1 / 200


def test_answers_that_are_all_different_tell_nothing(classes: np.ndarray) -> None:
    """Uncorrected, as many values as images would tell everything."""
    share, p = told([f"answer{n}" for n in range(N)], classes)
    assert share < 0.05
    assert p == 1


def test_answers_by_chance_are_rarely_taken_for_telling(classes: np.ndarray) -> None:
    draw = np.random.default_rng(0)
    found = [told([f"w{w}" for w in draw.integers(0, 6, N)], classes) for _ in range(40)]
    assert sum(p is not None and p <= 0.05 for _, p in found) <= 5
    assert np.mean([share for share, _ in found]) < 0.02


def test_words_of_a_scene_tell_nothing_on_other_scenes() -> None:
    """Each group is one photograph: its words tell which, and with it the class, but of no other photograph."""
    groups = np.arange(N) // 10
    classes = groups % 4
    answers = [f"table{group}" for group in groups]
    share, p = told(answers, classes, groups)
    assert share < 0.1
    assert p == 1
    assert told(answers, classes)[0] > 0.9


def test_groups_stay_whole_in_folds_of_about_one_size() -> None:
    groups = np.repeat(np.arange(30), np.arange(1, 31))
    folds = folds_of(groups, np.zeros(len(groups), dtype=np.intp))
    assert all(len(set(folds[groups == group])) == 1 for group in range(30))
    sizes = np.bincount(folds)
    assert len(sizes) == 10
    assert sizes.max() - sizes.min() <= 10


def test_folds_have_the_classes_in_equal_shares(classes: np.ndarray) -> None:
    folds = folds_of(np.arange(N), classes)
    assert {int(((folds == fold) & (classes == c)).sum()) for fold in range(10) for c in range(4)} == {6}


def test_one_class_holds_nothing_to_know() -> None:
    assert information(np.zeros((20, 1)), np.zeros(20, dtype=np.intp)) is None


def test_a_pair_is_told_apart_by_its_own_words_alone(classes: np.ndarray) -> None:
    answers = ["round" if c == 0 else "long" for c in classes]
    table = bag(map(words_of, answers))
    folds = folds_of(np.arange(N), classes)
    pairs = held_out(table, classes, folds, 4, [(0, 1), (2, 3)]).pairs
    assert pairs[0, 1].tolist() == [1.0] * (N // 2)
    assert pairs[2, 3].tolist() == [0.5] * (N // 2)


def test_what_all_images_share_separates_nothing_however_many_there_are_of_each() -> None:
    classes = np.repeat([0, 1, 2], [41, 23, 7])
    table = bag([words_of("six legs")] * len(classes), wholes=True)
    folds = folds_of(np.arange(len(classes)), classes)
    pairs = held_out(table, classes, folds, 3, [(0, 1), (0, 2), (1, 2)]).pairs
    assert {value for right in pairs.values() for value in right.tolist()} == {0.5}


BURSTS = {"even": [10] * 40, "few": [20] * 8, "two large": [1] * 20 + [40, 40]}


@pytest.mark.parametrize("sizes", BURSTS.values(), ids=BURSTS)
def test_answers_by_chance_about_whole_bursts_are_rarely_taken_for_telling(sizes: list[int]) -> None:
    """Each burst has one answer and one class, so that images are no evidence of their own."""
    draw, n = np.random.default_rng(1), len(sizes)
    groups, found = np.repeat(np.arange(n), sizes), []
    for _ in range(80):
        classes, answers = draw.permutation(np.arange(n) % 2)[groups], draw.integers(0, 3, n)[groups]
        table = bag([words_of(f"w{answer}") for answer in answers], least=2, wholes=True)
        found.append(chance_of(table, classes, groups, n_shuffles=59))
    assert sum(p is None or p <= 0.05 for p in found) <= 12


def test_classes_of_bursts_go_with_what_their_answers_tell() -> None:
    groups = np.repeat(np.arange(40), np.random.default_rng(0).integers(1, 20, 40))
    classes = (np.arange(40) % 2)[groups]
    _, p = told([f"word{c}" for c in classes], classes, groups)
    assert p == 1 / 200


def test_images_of_one_photograph_with_several_classes_are_told_apart() -> None:
    classes, groups = np.arange(N) % 4, np.arange(N) // 8
    assert told([f"word{c}" for c in classes], classes, groups)[1] == 1 / 200
    assert told([f"word{g}" for g in groups], classes, groups)[1] == 1


@pytest.mark.parametrize(("n_each", "is_judged"), [(1, False), (3, False), (4, True)])
def test_too_few_groups_prove_nothing(n_each: int, is_judged: bool) -> None:
    """Three groups of each of two classes can be parted in ten ways, four in thirty-five."""
    groups = np.repeat(np.arange(2 * n_each), 30)
    classes = groups % 2
    assert (told([f"word{c}" for c in classes], classes, groups)[1] is not None) == is_judged


def false_separations(n_classes: int, n_groups: int, size: int) -> int:
    """In 60 trials of answers by chance, those with a pair that is separated."""
    draw, found = np.random.default_rng(2), 0
    groups = np.repeat(np.arange(n_classes * n_groups), size)
    classes = groups % n_classes
    pairs = list(combinations(range(n_classes), 2))
    for _ in range(60):
        answers = draw.integers(0, 3, int(groups.max()) + 1)[groups]
        made = held_out(
            bag(words_of(f"w{a}") for a in answers), classes, folds_of(groups, classes), n_classes, pairs
        )
        judged = []
        for pair, right in made.pairs.items():
            here = np.isin(classes, pair)
            judged.append(balanced(right, classes[here] == pair[0], groups[here], n_tests=len(pairs)))
        found += any(one is not None and one.low > 0.5 for one in judged)
    return found


@pytest.mark.parametrize(("n_groups", "size"), [(1, 20), (2, 20), (4, 20), (6, 1), (10, 1)])
def test_answers_by_chance_rarely_separate_any_pair(n_groups: int, size: int) -> None:
    assert false_separations(4, n_groups, size) <= 9


@pytest.mark.parametrize("size", [1, 10])
def test_ten_groups_that_are_all_told_are_separated(size: int) -> None:
    groups = np.repeat(np.arange(20), size)
    found = balanced(np.ones(20 * size), groups < 10, groups, n_tests=10)
    assert found is not None
    assert found.low > 0.5


def test_balanced_accuracy_is_that_of_both_classes_alike() -> None:
    right = np.array([1.0] * 90 + [0.0] * 10)
    found = balanced(right, np.arange(100) < 90, np.arange(100))
    assert found is not None
    assert found.accuracy == 0.5
    assert found.low < 0.5


def test_a_large_group_weighs_no_more_than_a_small_one() -> None:
    sizes = [96, 1, 1, 1, 1, 25, 25, 25, 25]
    groups = np.repeat(np.arange(9), sizes)
    found = balanced((groups > 0).astype(float), groups < 5, groups)
    assert found is not None
    assert found.accuracy == pytest.approx((0.8 + 1) / 2)


def test_many_images_of_few_groups_prove_less_than_of_many() -> None:
    right = np.tile([1.0, 1, 1, 0], 50)
    first = np.arange(200) < 100
    alone = balanced(right, first, np.arange(200))
    together = balanced(right, first, np.arange(200) // 20)
    assert alone is not None
    assert together is not None
    assert alone.accuracy == together.accuracy == 0.75
    assert together.low < alone.low
    assert alone.low > 0.5


def test_a_pair_with_fewer_than_three_groups_of_a_class_is_not_judged() -> None:
    assert balanced(np.ones(5), np.ones(5, dtype=bool), np.arange(5)) is None
    groups = np.repeat(np.arange(12), 20)
    assert balanced(np.ones(240), groups < 2, groups) is None
    assert balanced(np.ones(240), groups < 3, groups) is not None
