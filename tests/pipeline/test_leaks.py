from __future__ import annotations

import pytest

from fgvr_kit.pipeline.leaks import finder
from fgvr_kit.types import ImageClass

COIN = ImageClass("10_cent", "10 cent", ("ten-cent piece",))
BEETLE = ImageClass("Straßenkäfer", "Straßenkäfer")


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
