from __future__ import annotations

import pytest

from fgvr_kit.pipeline.discover.pooled import entries_of, meaning_in, merged, pool
from fgvr_kit.types import Attribute

ENGLISH = meaning_in("")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("wing_colour", "colour_of_the_wing"), ("wing_colour", "colors_of_wings"), ("leg_count", "number_of_legs"),
        ("antenna_shape", "antennae_form"), ("overall_colour", "coloration"), ("leaf_margin", "margins_of_leaves"),
    ],
)  # fmt: skip
def test_names_of_the_same_words_mean_the_same(one: str, other: str) -> None:
    assert ENGLISH(one) == ENGLISH(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("wing_colour", "wing_shape"), ("wing_colour", "leg_colour"), ("upper_wing_colour", "wing_colour"),
        ("size", "size_of_head"), ("tail_pattern", "tail_markings"), ("visible", "main"), ("overall", "of_the"),
    ],
)  # fmt: skip
def test_names_of_other_words_do_not(one: str, other: str) -> None:
    assert ENGLISH(one) != ENGLISH(other)


def test_small_words_are_those_of_the_language() -> None:
    german = meaning_in("German")
    assert german("farbe_der_beine") == german("beine_farbe")
    assert ENGLISH("die_size") != ENGLISH("size")  # a die is a thing in English
    assert meaning_in("Klingon")("die_farbe") != meaning_in("Klingon")("farbe")


def named(*names: str) -> list[Attribute]:
    return [Attribute(name, f"{name}?") for name in names]


def test_what_most_lists_name_goes_first_then_what_stands_higher() -> None:
    found = pool([named("a", "b", "c"), named("c", "d"), named("d", "c")], ENGLISH)
    assert [(p.attribute.name, len(p.replies)) for p in found] == [("c", 3), ("d", 2), ("a", 1), ("b", 1)]


def test_groups_are_merged_under_the_name_that_most_lists_give() -> None:
    pooled = pool([named("rim", "edge", "wear"), named("edge")], ENGLISH)
    found = merged(pooled, [["rim", "edge", "rim"], ["edge", "wear"], ["unheard"]])
    assert [(p.attribute.name, p.others, len(p.replies)) for p in found] == [
        ("edge", ("rim",), 2),
        ("wear", (), 1),
    ]


def test_of_three_superclasses_what_two_name_is_called_after_each() -> None:
    lists = {"cat": ["ear", "fur"], "dog": ["ear", "fur"], "guinea pig": ["fur", "teeth"]}
    found = entries_of({parent: pool([named(*names)], ENGLISH) for parent, names in lists.items()}, ENGLISH)
    assert [(e.attribute.name, e.attribute.superclass) for e in found] == [
        ("fur", ""), ("cat_ear", "cat"), ("dog_ear", "dog"), ("teeth", "guinea pig"),
    ]  # fmt: skip
    assert len({e.attribute.name for e in found}) == 4


def test_a_shared_attribute_is_closed_only_where_all_lists_close_it() -> None:
    closed, other = Attribute("fur", "?", ("red", "grey")), Attribute("fur", "?", ("Grey", "black"))
    both = entries_of({"cat": pool([[closed]], ENGLISH), "dog": pool([[other]], ENGLISH)}, ENGLISH)
    one = entries_of({"cat": pool([[closed]], ENGLISH), "dog": pool([named("fur")], ENGLISH)}, ENGLISH)
    assert both[0].attribute.options == ("red", "Grey", "black")
    assert one[0].attribute.options == ()
