"""How many tokens a text will be, without the tokenizer of the model that will read it.

The rates were measured, not read: on this package's prompts, the 460 recorded replies about euro coins, FineR's
ChatGPT replies and our own sentences in eleven languages, with four vocabularies that come with packages:
o200k and cl100k (OpenAI), Qwen's, and Mistral's tekken. `low` is what the best of them needs, `high` the worst.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache

from fgvr_kit.asking.ranges import NOTHING, Range, Total

CHAT_OVERHEAD = Range(3, 7, 12)
"""Tokens that a chat template puts around one message and before the reply (OpenAI: 3 a message and 3 for the
reply; Qwen's ChatML: 5 and 3)."""
SYSTEM_OVERHEAD = Range(2, 4, 12)
"""The same around a system message; some templates write one of their own where there is none."""

_PIECE = re.compile(r"[A-Za-zÀ-ɏ]+|[0-9]+|\s*\n\s*|[^\x00-ɏ\s]+|[^\w\s]+|_+")
_ENGLISH = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "can",
        "do",
        "does",
        "each",
        "for",
        "from",
        "has",
        "have",
        "how",
        "in",
        "is",
        "it",
        "its",
        "not",
        "of",
        "on",
        "one",
        "or",
        "that",
        "the",
        "them",
        "this",
        "to",
        "what",
        "where",
        "which",
        "with",
        "you",
    ]
)
_ENOUGH_ENGLISH = 0.15
"""Share of these small words from which on a text counts as English (prompts: 0.3; German: 0.02)."""
_FEW_WORDS = 6
"""Texts of fewer words count as English: their words are too few to tell."""

_START = Range(0, 0.25, 0.5)
"""Added once: vocabularies know words with a space before them, and the first word has none."""

# From which character on, and tokens a character. Blocks in the order of Unicode.
_SCRIPTS: tuple[tuple[int, Range], ...] = (
    (0x0250, Range(0.5, 1.0, 2.0)),  # phonetic signs, accents
    (0x0370, Range(0.42, 0.6, 1.1)),  # Greek
    (0x0400, Range(0.28, 0.34, 0.52)),  # Cyrillic
    (0x0530, Range(0.5, 0.9, 1.6)),  # Armenian
    (0x0590, Range(0.5, 0.7, 1.2)),  # Hebrew
    (0x0600, Range(0.38, 0.45, 0.97)),  # Arabic
    (0x0900, Range(0.34, 0.6, 1.35)),  # the scripts of India
    (0x0E00, Range(0.4, 0.7, 1.2)),  # Thai
    (0x0E80, Range(0.5, 1.0, 2.0)),  # Lao, Tibetan, Georgian, Ethiopic
    (0x2000, Range(0.5, 1.0, 3.0)),  # dashes, quotation marks, arrows, signs
    (0x3000, Range(0.62, 0.78, 1.1)),  # Kana and the punctuation of China and Japan
    (0x3100, Range(0.63, 0.8, 1.25)),  # Han
    (0xAC00, Range(0.65, 0.82, 1.15)),  # Hangul
    (0xD7B0, Range(0.6, 1.0, 3.0)),  # all that follows: full-width signs, emoji
)
_FIRST = [first for first, _ in _SCRIPTS]


@lru_cache(maxsize=4096)
def text_tokens(text: str) -> Range:
    """Tokens of a text. Mean error of `likely` against the four vocabularies: see tests/asking/test_text_tokens.py."""
    if not text:
        return NOTHING
    pieces = _PIECE.findall(text)
    english = _is_english(pieces)
    total = Total(*_START)
    for piece in pieces:
        first = piece[0]
        if first > "ɏ":
            total.add(_in_script(piece))
        elif first.isalpha():
            total.add(_english_word(len(piece)) if english else _latin_word(piece))
        elif first.isdigit():
            total.add(Range(-(-len(piece) // 3), -(-len(piece) // 3), len(piece)))
        else:
            total.add(_signs(piece))
    return total.range()


def _is_english(pieces: list[str]) -> bool:
    words = [piece.lower() for piece in pieces if piece[0].isalpha()]
    return len(words) < _FEW_WORDS or sum(word in _ENGLISH for word in words) >= _ENOUGH_ENGLISH * len(words)


def _english_word(length: int) -> Range:
    beyond = max(0, length - 5)
    return Range(1 + 0.015 * beyond, 1 + 0.045 * beyond, 1 + 0.12 * beyond)


def _latin_word(word: str) -> Range:
    """Longer than English ones of equal length: vocabularies hold fewer of them, fewest with accents."""
    beyond = max(0, len(word) - 3)
    accents = 0 if word.isascii() else sum(letter > "\x7f" for letter in word)
    return Range(1 + 0.11 * beyond, 1 + 0.19 * beyond + 0.3 * accents, 1 + 0.33 * beyond + 1.2 * accents)


def _in_script(run: str) -> Range:
    """Letters with their marks and punctuation, outside the Latin alphabet."""
    total = Total()
    for letter in run:
        total.add(_SCRIPTS[max(0, bisect_right(_FIRST, ord(letter)) - 1)][1])
    return total.range()


def _signs(run: str) -> Range:
    """A line break, an underscore, or signs that stand together, such as those between two keys of JSON."""
    if run.isspace():
        return Range(0.5, 0.9, 1)  # often one token with the sign before it
    if run[0] == "_":
        return Range(0, 0.25, 1)  # begins the next word
    return Range(0.8, 1, 1 + 0.4 * (len(run) - 1))
