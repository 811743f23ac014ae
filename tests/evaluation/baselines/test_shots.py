from __future__ import annotations

from collections import Counter

from fgvr_kit.evaluation.baselines.shots import drawn
from tests.evaluation.baselines.planted import labelled

LABELS = [0] * 12 + [1] * 12 + [2] * 2 + [1] * 5
GROUPS = [0] * 10 + [1, 2] + list(range(3, 22))
ALL = labelled(LABELS, GROUPS, n_val=5)


def test_each_class_gives_as_many_as_it_has_and_validation_images_none() -> None:
    part = drawn(ALL, 4, seed=0, draw=0)
    assert Counter(part.labels.tolist()) == {0: 4, 1: 4, 2: 2}
    assert part.is_train.all()


def test_every_group_gives_one_before_any_gives_a_second() -> None:
    for draw in range(5):
        part = drawn(ALL, 3, seed=0, draw=draw)
        assert set(part.groups[part.labels == 0].tolist()) == {0, 1, 2}


def test_draws_differ_are_repeatable_and_nested() -> None:
    def chosen(n: int, seed: int, draw: int) -> set[str]:
        return {image.sha256 for image in drawn(ALL, n, seed=seed, draw=draw).images}

    assert chosen(2, 0, 0) == chosen(2, 0, 0)
    assert len({frozenset(chosen(2, seed, draw)) for seed in range(2) for draw in range(5)}) > 5
    assert chosen(1, 0, 3) < chosen(4, 0, 3) < chosen(9, 0, 3)


def test_the_digest_tells_pixels_labels_and_groups_apart() -> None:
    digests = {
        labelled(labels, groups, n_classes=3, n_val=n_val).digest
        for labels, groups, n_val in (
            ([0, 1, 2], [0, 1, 2], 0),
            ([0, 1, 1], [0, 1, 2], 0),
            ([0, 1, 2], [0, 1, 1], 0),
            ([0, 1, 2], [0, 1, 2], 1),
            ([0, 1], [0, 1], 0),
        )
    }
    assert len(digests) == 5
    assert labelled([0, 1, 2], [7, 8, 9]).digest == labelled([0, 1, 2], [0, 1, 2]).digest
