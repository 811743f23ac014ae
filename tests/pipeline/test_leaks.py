from __future__ import annotations

import pytest

from fgvr_kit.pipeline.leaks import finder, redacted
from fgvr_kit.pipeline.spellings import numbered
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


def named(name: str, *others: str) -> list[ImageClass]:
    return [ImageClass(each, each.replace("_", " ")) for each in (name, *others)]


@pytest.mark.parametrize(
    ("classes", "text", "found"),
    [
        (named("023.Brandt_Cormorant"), "a Brandt Cormorant", "brandt cormorant"),
        (named("001_bee"), "a bee", "bee"),
        (named("12-robin", "13-wren", "14-tit"), "a robin", "robin"),
        (named("12-robin", "13-wren"), "a robin", None),  # two numbers are no row
        (named("10_cent", "20_cent", "50_cent"), "a cent", None),
        (named("05_cent", "10_cent"), "a cent", None),
        (named("1_euro", "10_cent", "50_penny"), "a euro", None),
        (named("747-400", "747-200", "737-800"), "200 of 400", None),
        (named("007"), "7", None),
        (named("Brandt_Cormorant"), "Brandt's cormorant", "brandt's cormorant"),
        (named("Brandt_Cormorant"), "Brandts cormorants", "brandts cormorants"),
        (named("Harris's sparrow"), "a Harris sparrow", "harris sparrow"),
        (named("Harris_Sparrow"), "Harris’s sparrow", "harris’s sparrow"),
        (named("bees"), "a bee", "bee"),
        (named("knives"), "a knife", "knife"),
        (named("cacti"), "a cactus", "cactus"),
        (named("cactus"), "cacti", "cacti"),
        (named("fishermen"), "a fisherman", "fisherman"),
        (named("news"), "a new coin", None),
        (named("St_Bernard"), "a Saint Bernard", "saint bernard"),
        (named("Saint Bernard"), "a St. Bernard", "st. bernard"),
        (named("St_Bernard"), "a St. Bernard", "st. bernard"),
        (named("Café_Noir"), "cafe noir", "cafe noir"),
        (named("cafe_noir"), "Café Noir", "café noir"),
        (named("butterfly"), "butter\u00adflies", "butter\u00adflies"),
        (named("wasp"), "a wa\u200bsp", "wa\u200bsp"),
        (named("10_cent"), "**10** cent", "10** cent"),
        (named("10_cent"), "10 (cent)", "10 (cent"),
        (named("A320"), "an A-320", "a-320"),
        (named("A320"), "a 320 metre runway", None),
        (named("707-320"), "707/320", "707/320"),
        (named("10cent"), "10 cents", "10 cents"),
        (named("Apis mellifera"), "A. mellifera", "a. mellifera"),
        (named("Arctic tern"), "a tern", None),
        (named("50_cent"), "worth 1.50 cent", None),
        (named("50_cent"), "worth 1,50 cent, not 50 cent", "50 cent"),
        (named("10円"), "110円", None),
        (named("10円"), "これは10円です", "10円"),
        (named("orange"), "The wings are orange.", None),
        (named("orange"), "an orange beetle", None),
        (named("orange"), "An orange on a plate", "orange"),
        (named("orange"), "two oranges", "oranges"),
        (named("orange"), "Orange.", "orange"),
        (named("fly"), "the wasps fly", None),
        (named("fly"), "a small black fly sits here", "fly"),
        (named("scratch"), "it can scratch", None),
        (named("scratch"), "This scratch is deep", "scratch"),
    ],
)
def test_a_name_is_found_as_people_write_it(classes: list[ImageClass], text: str, found: str | None) -> None:
    assert finder(classes).find(text) == found


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("Biene", "zwei Bienen", "bienen"),
        ("Bienen", "eine Biene", "biene"),
        ("Hund", "Hunde", "hunde"),
        ("Hunde", "ein Hund", "hund"),
        ("Wolf", "die Wölfe", "wölfe"),
        ("Marienkäfer", "eine Marienkäferlarve", "marienkäferlarve"),
        ("Marienkäfer", "ein Marienkaefer", "marienkaefer"),
        ("Hund", "hundert", None),
    ],
)
def test_german_names_are_inflected_and_put_together(name: str, text: str, found: str | None) -> None:
    assert finder(named(name), language="German").find(text) == found


def test_one_class_is_looked_for_without_the_number_that_all_classes_show_to_only_count() -> None:
    classes = named("1-robin", "2-wren", "3-tit")
    assert finder(classes[:1]).find("a robin") is None
    assert finder(classes[:1], numbers=numbered(classes)).find("a robin") == "robin"


@pytest.mark.parametrize(("value", "found"), [("orange", None), ("Orange", None), ("oranges", "oranges")])
def test_an_ordinary_word_alone_is_a_value_like_any_other(value: str, found: str | None) -> None:
    assert finder(named("orange")).find_in_value(value) == found


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("Two 10 cent euro coins", "Two euro coins"),
        ("10-cent euro coin", "Euro coin"),
        ("A **10** cent coin.", "A euro coin."),
        ("A 10 (cent) on wood", "A euro coin on wood"),
        ("A coin worth 1.10 cent", "A coin worth 1.10 cent"),
    ],
)
def test_the_end_of_the_superclass_is_not_said_twice(text: str, without: str) -> None:
    assert redacted(text, finder([COIN]), "euro coin") == without


def test_a_plural_label_is_redacted_as_a_plural() -> None:
    names = finder(named("bees"))
    assert redacted("Two bees and a bee.", names, "insect") == "Two insects and an insect."
