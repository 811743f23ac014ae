from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fgvr_kit.pipeline.mine.guards import Suspects, same_or_related
from fgvr_kit.pipeline.mine.negatives import Negatives, find_negatives
from fgvr_kit.pipeline.mine.texts import ClassTexts
from fgvr_kit.settings import MineSettings
from fgvr_kit.store import Store
from fgvr_kit.types import Finding, ImageClass, Summary
from tests.pipeline.mine.made import images, unit

A_B = unit([[1, 0, 0], [1, 1, 0]])


def mined(
    members: Sequence[Any], vectors: Any, *, text: Any = A_B, related: Any = None, **more: Any
) -> Negatives:
    names = sorted({image.class_name for image in members})
    settings = MineSettings(n_negatives=more.pop("n", 1), near_copy=more.pop("near_copy", 0.95))
    return find_negatives(members, vectors, ClassTexts(names, text, related or {}), settings, **more)


def of_first(found: Negatives) -> list[int]:
    return [n.negative_id for n in found.negatives if n.image_id == 1]


def dropped(found: Negatives) -> dict[str, int]:
    return {drop.guard: drop.n for drop in found.drops}


def test_the_same_pixels_under_another_label_are_no_negative() -> None:
    members = images(["a", "b", "b"], ["same", "same", "other"])
    found = mined(members, unit([[1, 0, 0], [1, 0, 0], [0, 1, 0]]), near_copy=1)
    assert of_first(found) == [3]
    assert dropped(found) == {"same picture": 2}  # and the other way round
    example, _ = found.drops[0].examples
    assert (example.image_id, example.class_name, example.negative_id, example.similarity) == (1, "b", 2, 1)


def test_copies_are_no_negatives_also_when_a_third_picture_connects_them() -> None:
    members = images(["a", "b", "b"], ["one", "two", "three"])
    vectors = unit([[1, 0, 0], [1, 0.5, 0], [0, 1, 0]])
    assert of_first(mined(members, vectors)) == [2]
    found = mined(members, vectors, duplicates=[("one", "test image", 0.9), ("test image", "two", 0.9)])
    assert of_first(found) == [3]
    assert dropped(found) == {"copy": 2}


def test_near_copies_are_told_without_what_all_pictures_share() -> None:
    """As they come, all cosines here are above 0.99: those of one domain may be."""
    noise = np.random.default_rng(0).normal(size=(30, 8)) * 0.05
    noise[1] = noise[0] + 0.0005
    vectors = unit(noise + np.ones(8))
    members = images(["a", *"b" * 29])
    found = mined(members, vectors, text=vectors[:2])
    best = int(np.argsort(-(vectors[0] @ vectors[1:].T))[1]) + 2
    assert (vectors @ vectors.T).min() > 0.95
    assert of_first(found) == [best]
    assert dropped(found)["near copy"] >= 1
    assert of_first(mined(members, vectors, text=vectors[:2], near_copy=1)) == [2]


def test_when_all_pictures_are_one_no_negative_is_left() -> None:
    members = images(["a", "b", "c", "b", "a"])
    found = mined(members, unit(np.ones((5, 8))), text=unit(np.eye(3, 8)), n=2)
    assert found.negatives == []
    assert dropped(found) == {"near copy": 16}


def test_where_a_class_has_none_left_the_next_one_takes_its_place() -> None:
    members = images(["a", "b", "c", "d"])
    vectors = unit([[1, 0, 0], [1, 0.01, 0], [0, 1, 0], [0, 0, 1]])
    text = unit([[1, 0, 0], [0.9, 0, 0.1], [0.5, 0.5, 0], [0.2, 0, 1]])
    found = mined(members, vectors, text=text, n=2)
    assert [(n.rank, n.negative_id) for n in found.negatives if n.image_id == 1] == [(0, 3), (1, 4)]


def test_suspected_labels_are_no_negatives_and_a_suspect_has_none_of_the_class_it_looks_like() -> None:
    members = images(["a", "b", "b", "c"])
    vectors = unit([[1, 0, 0], [1, 0.4, 0], [0, 1, 0], [0, 0, 1]])
    text = unit([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    suspects = Suspects({members[1].path: "a"}, True)
    found = mined(members, vectors, text=text, suspects=suspects)
    assert of_first(found) == [3]
    assert {n.class_name for n in found.negatives if n.image_id == 2} == {"c"}
    assert dropped(found) == {"likely wrong label": 2}  # image 2 for image 1, and class a for image 2


def test_classes_of_one_name_and_parents_are_no_negatives() -> None:
    members = images(["a", "b", "c"])
    text = unit([[1, 0, 0], [1, 0.1, 0], [0, 0, 1]])
    vectors = unit([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    found = mined(members, vectors, text=text, related={"a": {"b": "synonym"}, "b": {"a": "synonym"}})
    assert {(n.image_id, n.class_name) for n in found.negatives} == {(1, "c"), (2, "c"), (3, "b")}
    assert dropped(found) == {"synonym": 2}
    assert {(e.image_id, e.class_name, e.negative_id) for e in found.drops[0].examples} == {
        (1, "b", None),
        (2, "a", None),
    }


def test_a_related_class_that_would_not_have_been_taken_is_not_counted() -> None:
    members = images(["a", "b", "c"])
    text = unit([[1, 0, 0], [0, 1, 0], [1, 0.1, 0]])
    found = mined(members, unit(np.eye(3)), text=text, related={"a": {"b": "synonym"}})
    assert dropped(found) == {}


def classes(*rows: ImageClass) -> dict[str, ImageClass]:
    return {row.name: row for row in rows}


def test_who_shares_a_name_in_any_spelling_is_a_synonym() -> None:
    found = same_or_related(
        classes(
            ImageClass("robin", "Robin", ("Erithacus rubecula",)),
            ImageClass("redbreast", "redbreast", scientific="erithacus_Rubecula"),
            ImageClass("wren", "wren", common="jenny wren"),
        )
    )
    assert found == {"robin": {"redbreast": "synonym"}, "redbreast": {"robin": "synonym"}}


def test_parents_are_related_however_far_and_sisters_are_not() -> None:
    found = same_or_related(
        classes(
            ImageClass("bird", "bird"),
            ImageClass("finch", "Finches", ("finch bird",), parent="bird"),
            ImageClass("goldfinch", "goldfinch", parent="finch bird"),
            ImageClass("chaffinch", "chaffinch", parent="finches"),
            ImageClass("bee", "bee", parent="insect"),
            ImageClass("odd", "odd", parent="odd"),
        )
    )
    assert set(found["goldfinch"]) == {"finch", "bird"} == set(found["chaffinch"])
    assert set(found["bird"]) == {"finch", "goldfinch", "chaffinch"}
    assert {"bee", "odd"}.isdisjoint(found)


def test_classes_that_are_each_others_parent_end() -> None:
    found = same_or_related(classes(ImageClass("a", "a", parent="b"), ImageClass("b", "b", parent="a")))
    assert found == {"a": {"b": "parent class"}, "b": {"a": "parent class"}}


@pytest.mark.parametrize(
    ("told", "was_checked"),
    [
        (None, False), ("not looked for: no CLIP model named (--model ...)", False),
        ("wrong labels not looked for: 3 images of 1 class are too few; look-alikes", False),
        ("wrong labels cannot be told with this model: a probe", False),
        ("no label looks wrong (a probe on 5 classes agrees with 90 %); look-alikes not looked for: x", True),
    ],
)  # fmt: skip
def test_whether_check_has_looked_for_wrong_labels_is_known(
    tmp_path: Any, told: str | None, was_checked: bool
) -> None:
    with Store(tmp_path / "fgvr.db") as store:
        if told:
            store.finish("check", "x", Summary("check", {"labels": told}))
        assert Suspects.of(store, []).was_checked is was_checked


def test_suspects_are_those_of_the_last_check_that_are_still_there(tmp_path: Any) -> None:
    members = images(["a", "b"])
    with Store(tmp_path / "fgvr.db") as store:
        store.put_findings(
            [
                Finding("wrong-label", "warning", "", path=members[0].path, other=members[1].path),
                Finding("wrong-label", "warning", "", path=members[1].path),
                Finding("wrong-label", "warning", "", path="gone.jpg", other=members[1].path),
                Finding("look-alike", "warning", "", path=members[1].path, other=members[0].path),
            ]
        )
        suspects = Suspects.of(store, members)
    assert suspects == Suspects({members[0].path: "b", members[1].path: ""}, True)
