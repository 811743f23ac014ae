from __future__ import annotations

from typing import Any

import pytest

from fgvr_kit.asking.text_tokens import text_tokens
from tests.asking.counted import COUNTED, VOCABULARIES

PROMPTS = [row for row in COUNTED["texts"] if row["what"].split()[0] in ("extract", "describe")]


def of(language: str) -> list[dict[str, Any]]:
    return [row for row in COUNTED["texts"] if row["what"] == language]


def error(rows: list[dict[str, Any]], vocabulary: str) -> float:
    """Relative error of `likely` over all rows."""
    return sum(text_tokens(row["text"]).likely for row in rows) / sum(row[vocabulary] for row in rows) - 1


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_english_prompts_are_estimated_within_ten_percent(vocabulary: str) -> None:
    assert abs(error(PROMPTS, vocabulary)) < 0.10


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_german_is_estimated_within_fifteen_percent(vocabulary: str) -> None:
    assert abs(error(of("DE"), vocabulary)) < 0.15


@pytest.mark.parametrize(
    "language", sorted({row["what"] for row in COUNTED["texts"] if len(row["what"]) == 2})
)
def test_what_real_vocabularies_count_lies_in_the_range(language: str) -> None:
    rows = of(language)
    low, high = (sum(text_tokens(row["text"])[end] for row in rows) for end in (0, 2))
    for vocabulary in VOCABULARIES:
        assert low <= sum(row[vocabulary] for row in rows) <= high, vocabulary


@pytest.mark.parametrize(
    "text", ["", "a", "gold-brown", "12345678", "\n\n", "日本語", "é" * 300, "{}[]\"'", "🪲🪲", "क्या"]
)
def test_low_is_never_above_likely_nor_likely_above_high(text: str) -> None:
    tokens = text_tokens(text)
    assert 0 <= tokens.low <= tokens.likely <= tokens.high
    assert (tokens.high > 0) == bool(text)


def test_twice_the_text_is_about_twice_the_tokens() -> None:
    one = text_tokens("Look at the beetle in this image. What colour are the legs?")
    two = text_tokens(" ".join(["Look at the beetle in this image. What colour are the legs?"] * 2))
    assert two.likely == pytest.approx(2 * one.likely, rel=0.03)
