from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from fgvr_kit.pipeline.mine import neighbours
from fgvr_kit.pipeline.mine.guards import Suspects
from fgvr_kit.pipeline.mine.negatives import find_negatives
from fgvr_kit.pipeline.mine.texts import ClassTexts
from fgvr_kit.settings import MineSettings
from fgvr_kit.types import Negative
from tests.pipeline.mine.made import brute_force, images, unit


def rows(negatives: list[Negative]) -> list[tuple[int, int, str, int]]:
    return [(n.image_id, n.rank, n.class_name, n.negative_id) for n in negatives]


class World:
    """Random images of some classes that share a part of their vectors, as those of one domain do; some are copies of
    others under another label, some labels are suspected, some classes are related."""

    def __init__(self, seed: int, n: int = 60, n_classes: int = 7, width: int = 12) -> None:
        random = np.random.default_rng(seed)
        self.names = [f"class {c}" for c in range(n_classes)]
        labels = random.integers(0, n_classes - 1, n)  # the last class has no images
        shared = 2 * random.normal(size=width)
        raw = random.normal(size=(n, width)) + shared
        copies = random.permutation(n)[: n // 4 * 2].reshape(2, -1)
        raw[copies[0]] = raw[copies[1]] + 0.02 * random.normal(size=(copies.shape[1], width))
        shas = [f"pixels {i}" for i in range(n)]
        for a, b in copies.T[:3].tolist():
            raw[a], shas[a] = raw[b], shas[b]
        told = copies.T[3:9].tolist()
        self.images = images([self.names[c] for c in labels], shas)
        self.vectors, self.text = unit(raw), unit(random.normal(size=(n_classes, width)) + shared)
        self.duplicates = [(shas[a], shas[b], 0.9) for a, b in told]
        self.duplicates += [(shas[a[0]], shas[b[0]], 0.9) for a, b in pairwise(told[:3])]
        others = random.permutation(n)[:8].tolist()
        self.suspects = {
            self.images[i].path: random.choice([*self.names, ""]) if i % 2 else "" for i in others
        }
        self.related = {self.names[0]: [self.names[1]], self.names[1]: [self.names[0]]}

    def mined(self, settings: MineSettings) -> list[tuple[int, int, str, int]]:
        why: dict[str, Any] = {name: dict.fromkeys(some, "synonym") for name, some in self.related.items()}
        texts = ClassTexts(self.names, self.text, why)
        found = find_negatives(
            self.images, self.vectors, texts, settings, duplicates=self.duplicates,
            suspects=Suspects(self.suspects, True),
        )  # fmt: skip
        return rows(found.negatives)

    def expected(self, settings: MineSettings) -> list[tuple[int, int, str, int]]:
        return brute_force(
            self.images, self.vectors, self.names, self.text, settings, duplicates=self.duplicates,
            suspects=self.suspects, related=self.related,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "by", "pick"),
    [*product(["hard"], ["text", "centroid", "image"], ["nearest", "random"]), ("random", "text", "nearest")],
)
@pytest.mark.parametrize("near_copy", [0.95, 0.3, 1.0])
def test_mining_equals_plain_loops_over_all_images(kind: Any, by: Any, pick: Any, near_copy: float) -> None:
    settings = MineSettings(kind=kind, by=by, pick=pick, near_copy=near_copy, seed=4)
    for seed in range(2):
        world = World(seed, 45)
        assert world.mined(settings) == world.expected(settings)


@example_settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 9), st.integers(1, 12),
    st.sampled_from([0.05, 0.5, 0.95]), st.sampled_from(["text", "centroid", "image"]),
)  # fmt: skip
def test_whatever_the_guards_leave_is_found(
    seed: int, n: int, n_classes: int, n_negatives: int, near_copy: float, by: Any
) -> None:
    """Also where whole classes are guarded away, there are more negatives wanted than classes, or one image."""
    settings = MineSettings(by=by, near_copy=near_copy, n_negatives=n_negatives)
    world = World(seed, n, n_classes)
    assert world.mined(settings) == world.expected(settings)


@pytest.mark.parametrize("by", ["text", "centroid", "image"])
def test_the_size_of_blocks_changes_nothing(by: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, world = MineSettings(by=by, near_copy=0.4), World(5)
    whole = world.mined(settings)
    monkeypatch.setattr(neighbours, "CELLS", 50)
    assert world.mined(settings) == whole


def test_negatives_are_the_nearest_images_of_the_most_similar_wrong_classes() -> None:
    members = images(["a", "b", "b", "c"])
    text = unit([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]])
    vectors = unit([[1, 0.1, 0], [0.5, 1, 0], [1, 0.3, 0], [0, 0.1, 1]])
    found = find_negatives(members, vectors, ClassTexts("abc", text), MineSettings(n_negatives=2)).negatives
    # The text of b is nearer to image 1 than that of c; inside b, image 3 is nearer than 2.
    assert rows(found)[:2] == [(1, 0, "b", 3), (1, 1, "c", 4)]
    assert found[0].image_similarity == pytest.approx(float(vectors[0] @ vectors[2]), abs=1e-6)
    assert found[0].class_similarity == pytest.approx(float(vectors[0] @ text[1]), abs=1e-6)


def test_more_images_change_no_draw_that_they_do_not_win() -> None:
    settings = MineSettings(kind="random", near_copy=1, seed=1)
    random = np.random.default_rng(0)
    names = ["a", "b", "c", "d", "e"]
    labels = [names[c] for c in random.integers(0, 5, 60)]
    vectors, texts = unit(random.normal(size=(60, 8))), ClassTexts(names, unit(random.normal(size=(5, 8))))
    after = rows(find_negatives(images(labels), vectors, texts, settings).negatives)
    before = rows(find_negatives(images(labels[:50]), vectors[:50], texts, settings).negatives)
    changed = [(old, new) for old, new in zip(before, after, strict=False) if old != new]
    assert changed
    assert all(new[3] > 50 and old[:3] == new[:3] for old, new in changed)
    assert len(changed) < len(before) / 2
    reseeded = find_negatives(
        images(labels), vectors, texts, settings.model_copy(update={"seed": 2})
    ).negatives
    assert rows(reseeded) != after


def test_draws_are_fair() -> None:
    keys = neighbours.keys_of(map(str, range(4000)))
    drawn = neighbours.drawn(0, keys, neighbours.keys_of("abcd"))
    assert (drawn >= 0).all()
    assert (drawn < 1).all()
    assert np.abs(np.bincount(drawn.argmax(axis=1)) - 1000).max() < 110  # 4 deviations
    assert np.abs(np.histogram(drawn, 10, (0, 1))[0] - 1600).max() < 160


def test_what_is_told_is_counted_in_the_images() -> None:
    world = World(3)
    texts = ClassTexts(world.names, world.text)
    found = find_negatives(world.images, world.vectors, texts, MineSettings())
    cosines = world.vectors @ world.text[:-1].T  # the last class has no images
    own = [world.names.index(image.class_name) for image in world.images]
    truths = cosines[range(60), own]
    assert found.own_class is not None
    assert found.own_class.mean == pytest.approx(float(truths.mean()), abs=1e-5)
    assert found.own_class.n == 60
    assert found.n_strays == int((cosines.max(axis=1) > truths).sum())
    first = {n.image_id: n.class_name for n in found.negatives if n.rank == 0}
    for pair in found.look_alikes:
        both = ((pair.first, pair.second, pair.n_first), (pair.second, pair.first, pair.n_second))
        for one, other, n in both:
            choices = [first[i.id] for i in world.images if i.class_name == one]
            assert choices.count(other) == n == max(map(choices.count, choices))


def test_each_others_look_alikes_are_named() -> None:
    members = images(["a", "a", "b", "c"])
    text = unit([[1, 0, 0.1], [0.9, 0.4, 0.1], [0, 0.2, 1]])
    vectors = unit([[1, 0.1, 0], [0.9, 0.3, 0], [0.8, 0.5, 0.3], [0, 0.1, 1]])
    (pair,) = find_negatives(members, vectors, ClassTexts("abc", text), MineSettings()).look_alikes
    assert (pair.first, pair.second, pair.n_first, pair.n_of_first, pair.n_second) == ("a", "b", 2, 2, 1)
