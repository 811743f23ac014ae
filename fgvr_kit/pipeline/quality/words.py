"""Answers as sets of words. Two free answers count as the same when they are made of the same words.

That is all the normalising there is: case, punctuation, order and repetition do not count, but "grey" and "gray" do,
and so do "wing" and "wings". Every way of saying that nothing could be seen is one answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fgvr_kit.pipeline.describe import is_seen
from fgvr_kit.types import NOT_VISIBLE

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Scripts that put no space between words: each character counts as one.
_WORD = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+"
)

Words = frozenset[str]
UNSEEN: Words = frozenset({NOT_VISIBLE})
"""What is made of "not visible", "n/a", "cannot be seen": one word that no answer has."""


def words_of(value: str) -> Words:
    """The words of an answer; UNSEEN where it says that nothing could be seen."""
    if not is_seen(value):
        return UNSEEN
    found = frozenset(_WORD.findall(unicodedata.normalize("NFKC", value).casefold()))
    return found or frozenset({value.strip()})  # signs alone: "+++"


class Reader:
    """Reads answers, each wording once: values repeat by the thousand."""

    def __init__(self) -> None:
        self._known: dict[str, Words] = {}

    def __call__(self, value: str) -> Words:
        found = self._known.get(value)
        if found is None:
            found = self._known[value] = words_of(value)
        return found


def bag(answers: Iterable[Words], *, least: int = 1, wholes: bool = False) -> csr_matrix:
    """(answers, words) as ones and zeros. least: answers that a word must stand in.

    wholes: each answer of several words is one more word, so that "dark red" is more than dark and red.
    """
    from scipy.sparse import csr_matrix

    places: dict[object, int] = {}
    columns: list[int] = []
    ends = [0]
    for words in answers:
        said: list[object] = [*words]
        if wholes and len(words) > 1:
            said.append(words)
        columns += [places.setdefault(word, len(places)) for word in said]
        ends.append(len(columns))
    shape = (len(ends) - 1, max(1, len(places)))
    matrix = csr_matrix(([1.0] * len(columns), columns, ends), shape=shape, dtype="float32")
    counts = matrix.getnnz(axis=0)
    return matrix if least < 2 else matrix[:, counts >= least]
