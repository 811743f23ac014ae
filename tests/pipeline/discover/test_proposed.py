from __future__ import annotations

import pytest

from fgvr_kit.pipeline.discover.pooled import meaning_in
from fgvr_kit.pipeline.discover.proposed import MAX_OPTION, MAX_OPTIONS, Sieve, snake_case
from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.types import Attribute, ImageClass


def sieve() -> Sieve:
    return Sieve(finder([ImageClass("20_cent", "20 cent")]), "euro coin", meaning_in(""))


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Wing-Colour", "wing_colour"), ("legCount", "leg_count"), ("RGB value", "rgb_value"),
        ("possible make (automobile manufacturers)", "possible_make"), ("Flügelfarbe", "flügelfarbe"),
        ("翅膀 颜色", "翅膀_颜色"), ("(none)", ""), ("  ", ""),
    ],
)  # fmt: skip
def test_names_are_written_alike(name: str, snake: str) -> None:
    assert snake_case(name) == snake


@pytest.mark.parametrize(
    ("proposed", "kept"),
    [
        (["red", " dark  red. ", "Red"], ("red", "dark red")),
        (["red; or so", "blue"], ("red, or so", "blue")),  # ";" stands between options in attributes.csv
        (["red", "not visible", "N/A", ""], ()),  # one value is no choice
        (["20-cent", "red", "blue"], ("red", "blue")),
        (["x" * (MAX_OPTION + 1), "red", "blue"], ("red", "blue")),
        ([str(n) for n in range(MAX_OPTIONS + 1)], ()),
        ([], ()),
    ],
)
def test_a_closed_list_holds_values_that_one_can_choose_from(
    proposed: list[str], kept: tuple[str, ...]
) -> None:
    assert sieve().options(proposed) == kept


def test_options_that_are_left_out_are_counted() -> None:
    one = sieve()
    one.options(["20-cent", "x" * 61, "red", "blue"])
    one.options([str(n) for n in range(13)])
    assert one.rows() == [
        ("options", 1, "naming a class"),
        ("options", 1, "of more than 60 characters"),
        ("options", 13, "more than 12 of one attribute: it is answered freely"),
    ]


def test_options_keep_a_colour_that_is_a_class_too() -> None:
    one = Sieve(finder([ImageClass("orange", "orange")]), "fruit", meaning_in(""))
    assert one.options(["orange", "green", "like an orange"]) == ("orange", "green")


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ([("colour", "beetle"), ("Colour", "field ant")], ["beetle_colour", "field_ant_colour"]),
        ([("colour", "beetle"), ("hue", "ant"), ("size", "ant")], ["beetle_colour", "ant_hue", "size"]),
        ([("colour", "beetle"), ("color", "beetle")], ["colour"]),
        ([("colour", ""), ("colour", "ant")], ["colour"]),  # asked of ants already
        ([("colour", "ant"), ("colour", "")], ["ant_colour", "colour"]),
    ],
)
def test_the_same_may_be_asked_of_several_superclasses(asked: list[tuple[str, str]], kept: list[str]) -> None:
    proposed = [Attribute(name, "", superclass=superclass) for name, superclass in asked]
    assert [attribute.name for attribute in sieve().usable(proposed)] == kept
