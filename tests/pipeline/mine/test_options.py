from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from fgvr_kit.pipeline.mine.options import find_options, placed
from fgvr_kit.pipeline.mine.texts import ClassTexts
from fgvr_kit.types import Image, Option
from tests.pipeline.mine.made import images, unit


def world(n: int = 40, n_classes: int = 9, seed: int = 1) -> tuple[list[Image], np.ndarray, ClassTexts]:
    random = np.random.default_rng(seed)
    names = [f"class {c}" for c in range(n_classes)]
    members = images([names[c] for c in random.integers(0, n_classes, n)], split="test")
    return (
        members,
        unit(random.normal(size=(n, 8))),
        ClassTexts(names, unit(random.normal(size=(n_classes, 8)))),
    )


def of_image(options: list[Option], image_id: int) -> list[str]:
    return [o.class_name for o in options if o.image_id == image_id]


def focis_choice(similarities: np.ndarray, truth: int, k: int) -> list[int]:
    """What FOCI's miner chooses for one image, as its paper's code is described: the last k of the classes by rising
    similarity; where the truth is not among them, it takes the place of the first. The truth stands first."""
    last = np.argsort(similarities, kind="stable")[-k:].tolist()
    wrong = [c for c in last if c != truth] if truth in last else last[1:]
    return [truth, *wrong]


@example_settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 6), st.booleans())
def test_options_are_those_of_focis_miner(seed: int, n_classes: int, k: int, has_ties: bool) -> None:
    members, vectors, texts = world(12, n_classes, seed)
    if has_ties:  # as its sort leaves them where it is stable
        vectors, grid = np.eye(8, dtype=np.float32)[np.arange(12) % 8], np.random.default_rng(seed)
        texts = ClassTexts(texts.names, grid.integers(0, 3, (n_classes, 8)).astype(np.float32) / 4)
    found = find_options(members, vectors, texts, n=k)
    for row, image in enumerate(members):
        chosen = focis_choice(
            vectors[row] @ texts.vectors.T, texts.names.index(image.class_name), min(k, n_classes)
        )
        truth, *wrong = of_image(found, image.id)
        assert [truth, *reversed(wrong)] == [texts.names[c] for c in chosen]


def test_fewer_classes_than_options_gives_all_classes() -> None:
    found = find_options(images(["a"]), unit([[1, 0]]), ClassTexts("ab", unit([[1, 0], [0, 1]])), n=4)
    assert [o.class_name for o in found] == ["a", "b"]
    assert sorted(o.position for o in found) == [0, 1]


@pytest.mark.parametrize("kind", ["hard", "random", "mixed"])
def test_classes_that_are_right_too_are_not_offered(kind: Any) -> None:
    members, vectors, texts = world(40, 5)
    related: Any = {"class 0": {"class 1": "synonym", "class 3": "parent class"}}
    found = find_options(members, vectors, ClassTexts(texts.names, texts.vectors, related), n=5, kind=kind)
    sizes = {i.class_name: len(of_image(found, i.id)) for i in members}
    assert sizes == {"class 0": 3, **{f"class {c}": 5 for c in range(1, 5)}}
    assert not any(
        {"class 1", "class 3"} & set(of_image(found, i.id)) for i in members if i.class_name == "class 0"
    )


@pytest.mark.parametrize(("n", "n_hard"), [(2, 1), (4, 2), (5, 2), (6, 3)])
def test_of_mixed_options_the_first_half_is_hard_and_the_others_are_drawn(n: int, n_hard: int) -> None:
    members, vectors, texts = world(300, 30)
    hard, mixed = (find_options(members, vectors, texts, n=n, kind=kind) for kind in ("hard", "mixed"))
    drawn: Counter[str] = Counter()
    for image in members:
        first, both = of_image(hard, image.id)[1 : n_hard + 1], of_image(mixed, image.id)
        assert set(first) <= set(both)
        assert len(set(both)) == n
        drawn.update(set(both) - {image.class_name, *first})
    if n > 2:
        assert len(drawn) == 30


def test_random_options_hang_on_the_seed_and_rank_by_likeness() -> None:
    members, vectors, texts = world(200, 30)
    first, again, other = (
        find_options(members, vectors, texts, n=4, kind="random", seed=s) for s in (0, 0, 1)
    )
    assert first == again
    assert first != other
    for image in members:
        wrong = [o.similarity for o in first if o.image_id == image.id][1:]
        assert wrong == sorted(wrong, reverse=True)
    counts = Counter(o.class_name for o in first if o.rank)
    assert max(counts.values()) < 45  # 20 each would be even


# --- places ---------------------------------------------------------------------------------------------------


def placed_images(n: int, k: int = 4, seed: int = 0, first: int = 0) -> dict[str, list[int]]:
    """Pixel hash -> place of each rank."""
    members = [Image(i, f"{i}.jpg", "c0", "test", f"sha {i}") for i in range(first, n)]
    found = placed(members, [[(f"c{r}", 0.0) for r in range(k)]] * len(members), seed=seed)
    places: dict[str, list[int]] = {}
    for option in found:
        places.setdefault(f"sha {option.image_id}", []).append(option.position)
    return places


@example_settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(2, 7), st.integers(0, 5))
def test_the_truth_is_equally_often_at_each_place(n: int, k: int, seed: int) -> None:
    places = placed_images(n, k, seed)
    assert all(sorted(of_image) == list(range(k)) for of_image in places.values())
    counts = Counter(of_image[0] for of_image in places.values())
    assert {counts[p] for p in range(k)} <= {n // k, -(-n // k)}


def test_the_truth_is_equally_often_at_each_place_among_questions_of_each_size() -> None:
    members = [Image(i, f"{i}.jpg", "c0", "test", f"sha {i}") for i in range(60)]
    found = placed(members, [[(f"c{r}", 0.0) for r in range(3 + i % 2)] for i in range(60)], seed=0)
    for size in (3, 4):
        of_size = [o for o in found if o.image_id % 2 == size - 3 and o.rank == 0]
        assert set(Counter(o.position for o in of_size).values()) <= {30 // size, -(-30 // size)}


def test_no_rank_has_a_place_that_it_likes() -> None:
    counts = Counter((rank, place) for one in placed_images(4000).values() for rank, place in enumerate(one))
    assert max(abs(n - 1000) for n in counts.values()) < 130  # 4.5 deviations
    orders = Counter(map(tuple, placed_images(4800).values()))
    assert len(orders) == 24
    assert max(abs(n - 200) for n in orders.values()) < 65


def test_another_image_moves_hardly_any() -> None:
    moved = []
    for n in range(300, 320):
        before, after = placed_images(n), placed_images(n + 1)
        moved.append(sum(after[sha] != places for sha, places in before.items()))
    assert sum(moved) / len(moved) < 3
    assert max(moved) < 15


def test_places_hang_on_the_seed_and_not_on_the_order_of_images() -> None:
    assert placed_images(100) == placed_images(100)
    assert placed_images(100) != placed_images(100, seed=1)
    members = [Image(i, f"{i}.jpg", "c0", "test", f"sha {i}") for i in range(50)]
    some = [[("c0", 0.0), ("c1", 0.0)]] * 50
    assert set(placed(members, some, seed=0)) == set(placed(members[::-1], some, seed=0))
