from __future__ import annotations

import math

import pytest

from fgvr_kit.backends.wire import are_letters, chosen, letter_scores, retry_after, wanted_schema
from tests.backends.contract import SCHEMA, question

OPTIONS = ("brown", "dark brown", "2", "not visible")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("brown", "brown"),
        (" **Dark Brown**.\n", "dark brown"),
        ('{"answer": "not visible"}', "not visible"),
        ('"brown"', "brown"),
        ("2", "2"),
        ("(2)", "2"),
        ("<think>dark brown? No.</think>\nBrown", "brown"),
        ("It is brown.", None),  # a sentence may say anything of it
        ("brownish", None),
        ('{"colour": "brown"}', None),
        ('{"answer": ["brown"]}', None),
        ("[" * 5000, None),
        ("", None),
    ],
)
def test_the_option_that_a_reply_means(text: str, meant: str | None) -> None:
    assert chosen(text, OPTIONS) == (text if meant is None else meant)


def test_options_that_differ_in_case_alone_are_the_first() -> None:
    assert chosen("a", ("A", "a")) == "A"


def test_a_schema_goes_before_options() -> None:
    assert wanted_schema(question(1, schema=SCHEMA, options=OPTIONS)) == SCHEMA
    assert wanted_schema(question(1)) is None


@pytest.mark.parametrize(
    ("options", "are"),
    [
        (("A", "B"), True),
        (("1", "2"), True),
        (("A",), False),
        (("A", "BB"), False),
        (("A", "?"), False),
        ((), False),
    ],
)
def test_letters(options: tuple[str, ...], are: bool) -> None:
    assert are_letters(options) == are


def likely(**shares: float) -> list[tuple[str, float]]:
    return [(token.replace("_", " "), math.log(share)) for token, share in shares.items()]


class TestScores:
    def test_they_are_shares_of_the_options(self) -> None:
        tokens = [(" ", []), ("B", likely(B=0.5, _B=0.1, A=0.2, The=0.2))]
        assert letter_scores(("A", "B", "C"), "B", tokens) == pytest.approx((0.25, 0.75, 0.0))

    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("B", [("The", likely(The=0.9, A=0.1)), (" B", likely(_B=1.0))]),  # "A" there is an article
            ("It is B", [("It", likely(It=1.0))]),
            ("B", []),
            ("B", [("B", [])]),
        ],
    )
    def test_there_are_none_where_the_letter_does_not_come_first(
        self, text: str, tokens: list[tuple[str, list[tuple[str, float]]]]
    ) -> None:
        assert letter_scores(("A", "B"), text, tokens) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon"}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
