from __future__ import annotations

import pytest

from fgvr_kit.pipeline.quality.words import UNSEEN, bag, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dark red.", "red, dark"),
        ("STRASSE", "straße"),
        ("not visible", "N/A"),
        ("It cannot be seen in the image.", "unclear"),
        ("two  red spots, red", "red spots (two)"),
    ],
)
def test_answers_of_the_same_words_are_one_value(one: str, other: str) -> None:
    assert words_of(one) == words_of(other)


@pytest.mark.parametrize(
    ("one", "other"), [("grey", "gray"), ("1", "10"), ("no", "not visible"), ("+", "++"), ("红色", "蓝色")]
)
def test_other_words_are_another_value(one: str, other: str) -> None:
    assert words_of(one) != words_of(other)


def test_a_script_without_spaces_is_read_character_by_character() -> None:
    assert words_of("红色翅膀") & words_of("红色触角") == {"红", "色"}


def test_a_bag_counts_each_word_of_an_answer_and_the_answer_itself() -> None:
    answers = [words_of("dark red"), words_of("red"), words_of("dark red"), UNSEEN]
    assert bag(answers).toarray().sum(axis=1).tolist() == [2, 1, 2, 1]
    assert bag(answers, wholes=True).toarray().sum(axis=1).tolist() == [3, 1, 3, 1]


def test_words_of_too_few_answers_are_left_out() -> None:
    answers = [words_of("dark red"), words_of("red"), words_of("dark blue")]
    assert bag(answers, least=2).toarray().sum(axis=1).tolist() == [2, 1, 1]
