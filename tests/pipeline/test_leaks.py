from __future__ import annotations

import pytest

from fgvr_kit.pipeline.leaks import finder, redacted
from fgvr_kit.types import ImageClass

COIN = ImageClass("10_cent", "10 cent", ("ten-cent piece",))
BEETLE = ImageClass("Straßenkäfer", "Straßenkäfer")
WASP = ImageClass("wasp", "wasp", scientific="Vespula vulgaris", common="yellow jacket")


@pytest.mark.parametrize(
    ("image_class", "text", "found"),
    [
        (COIN, "A 10 cent coin.", "10 cent"),
        (COIN, "It says 10_Cent, or 10-CENT", "10_cent"),
        (COIN, "A 10cent coin", "10cent"),
        (COIN, "a pile of 10 cents", "10 cents"),
        (COIN, "A Ten Cent\nPiece!", "ten cent\npiece"),
        (COIN, "The digits 10 stand on it.", None),
        (COIN, "110 cent", None),
        (COIN, "10 centimetres", None),
        (COIN, "a ten-cent coin", "ten-cent"),
        (COIN, "The number is 10. Cent is written below.", None),
        (ImageClass("2_euro", "2 euro"), "2 stars on the rim of a Euro", None),
        (ImageClass("1_euro", "1 euro"), "one euro coin on wood", None),  # counts coins
        (WASP, "VESPULA vulgaris on a leaf", "vespula vulgaris"),
        (WASP, "Yellow-Jackets", "yellow-jackets"),
        (WASP, "the wasp's wing", "wasp"),
        (WASP, "wasplike", None),
        (ImageClass("butterfly", "butterfly"), "two butterflies", "butterflies"),
        (ImageClass("field mouse", "field mouse"), "field mice", "field mice"),
        (ImageClass("St. Bernard", "St. Bernard"), "a St. Bernard", "st. bernard"),
        (ImageClass("Shepherd’s Purse", "Shepherd’s Purse"), "shepherd's purse", "shepherd's purse"),
        (ImageClass("catfish", "catfish"), "a cat fish", None),
        (BEETLE, "EIN STRASSENKÄFER", "strassenkäfer"),
        (BEETLE, "ein Strassenka\u0308fer", "strassenkäfer"),
        (ImageClass("瓢虫", "瓢虫"), "这是一只瓢虫在叶子上", "瓢虫"),
        (ImageClass("5", "5"), "The digit 5.", None),
        (ImageClass("a.b", "a.b"), "a-b", "a-b"),
        (ImageClass("???", "???"), "what???", None),
    ],
)
def test_a_class_is_found_by_any_of_its_names_as_whole_words(
    image_class: ImageClass, text: str, found: str | None
) -> None:
    assert finder([image_class]).find(text) == found


def test_of_many_classes_the_whole_name_is_found() -> None:
    classes = [ImageClass("beetle", "beetle"), ImageClass("ground beetle", "ground beetle")]
    assert finder(classes).find("ground_beetle_wing") == "ground_beetle"
    assert finder([]).find("anything") is None


def test_every_name_is_told_with_its_place_in_the_text() -> None:
    text = "Zehn Straßenkäfer, ein Straßenkäfer."
    spans = list(finder([BEETLE]).spans(text))
    assert [text[span.start : span.end] for span in spans] == ["Straßenkäfer", "Straßenkäfer"]


@pytest.mark.parametrize(
    ("image_class", "word", "text", "without"),
    [
        (COIN, "euro coin", "A 10-cent coin beside 10 Cents.", "A euro coin beside euro coins."),
        (COIN, "euro coin", "10 cent coins in a row.", "Euro coins in a row."),
        (WASP, "insect", "A wasp on a leaf. Wasps sting.", "An insect on a leaf. Insects sting."),
        (WASP, "beetle", "An Vespula vulgaris!", "A beetle!"),
        (WASP, "fly", "wasps, and a wasp", "Flies, and a fly"),
        (BEETLE, "Käfer", "der Strassenkäfer", "der Käfer"),
        (ImageClass("Apis", "Apis"), "insect", "it is Apis", "it is insect"),
        (WASP, "wasp", "a wasp", "an object"),
        (WASP, "insect", "Nothing here.", "Nothing here."),
        (ImageClass("瓢虫", "瓢虫"), "昆虫", "这是一只瓢虫在叶子上", "这是一只昆虫在叶子上"),
    ],
)
def test_a_redacted_text_says_what_all_classes_are_instead(
    image_class: ImageClass, word: str, text: str, without: str
) -> None:
    names = finder([image_class])
    assert redacted(text, names, word) == without
    assert names.find(redacted(text, names, word)) is None


def test_ten_thousand_names_are_looked_for_as_fast_as_one() -> None:
    names = finder(ImageClass(f"{n} beetle", f"{n} beetle") for n in range(1000, 11_000))
    assert names.find("a 10999-Beetle on a leaf") == "10999-beetle"
    assert names.find("a 999 beetle") is None
    assert "on" not in names.beginnings  # from most words of a text nothing is read on
