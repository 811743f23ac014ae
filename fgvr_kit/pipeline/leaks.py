"""Where a class's name stands in a text that must not give it away, and the text without it.

A name is a row of words. A text is read word by word, so that ten thousand names cost no more than ten.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

from fgvr_kit.pipeline.ordinary import ORDINARY, is_noun
from fgvr_kit.pipeline.spellings import (
    BARE,
    IGNORED,
    Spelling,
    bare,
    numbered,
    spellings,
    without_number,
)
from fgvr_kit.types import ImageClass

_WORD = re.compile(r"[^\W_]+")
# Scripts that put no space between words: a name is looked for inside them too.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
_NONE = re.compile(r"(?!)")
_COMPOUND = 6
"""Letters of a name from which on a German word that begins with it is a compound of it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a name stands in the NFKC form of a text. name: as it stands there, folded."""

    start: int
    end: int
    name: str
    is_plural: bool


@dataclass(frozen=True, slots=True)
class NameFinder:
    """Finds names of classes as whole words, in any case; "10_cent" is "10 cent", "10-cent", "10cent", "ten cents".

    Accents and characters without width do not count. A name of one word that is an ordinary word too ("orange",
    "fly": ordinary.py) is found where a noun stands: in the plural, behind an article, or where it is the whole text.
    spellings: by their words written as one.  beginnings: first words of names, written as one: what is none of them
    need not be read on from.  compounds: names that a German compound may begin with.  unspaced: names in scripts
    that put no space between words.
    """

    spellings: Mapping[str, tuple[Spelling, ...]]
    beginnings: frozenset[str]
    compounds: frozenset[str]
    unspaced: re.Pattern[str] | None

    def find(self, text: str) -> str | None:
        """The first name in text, as it stands there (folded), or None."""
        return next((span.name for span in self.spans(text)), None)

    def find_in_value(self, value: str) -> str | None:
        """As find, in a value of an attribute: one that is an ordinary word alone ("orange") names nothing."""
        return None if bare(value).strip() in ORDINARY else self.find(value)

    def spans(self, text: str) -> Iterator[Span]:
        """Every name, from left to right, the longest one first where several begin."""
        plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
        folded, places = _with_places(plain)
        found = sorted(self._found(folded), key=lambda span: (span[0], -span[1]))
        end = 0
        for start, stop, is_plural in found:
            if start >= end:
                end = stop
                first, last = (places[start], places[stop - 1]) if places else (start, stop - 1)
                yield Span(first, last + 1, plain[first : last + 1].casefold(), is_plural)

    def _found(self, folded: str) -> Iterator[tuple[int, int, bool]]:
        """(start, end, whether it is a plural) in the folded text; some may overlap."""
        # Most texts hold no word that any name begins with.
        different = set(_WORD.findall(folded))
        if any(form in self.beginnings for word in different for form in _singulars(word)):
            words = list(_WORD.finditer(folded))
            for first in range(len(words)):
                yield from self._beginning_with(folded, words, first)
        if self.compounds and any(self._is_compound(word) for word in different):
            found = (match for match in _WORD.finditer(folded) if self._is_compound(match.group()))
            yield from ((*match.span(), False) for match in found)
        if self.unspaced:
            yield from ((*match.span(), False) for match in self.unspaced.finditer(folded))

    def _is_compound(self, word: str) -> bool:
        return any(word[:n] in self.compounds for n in range(_COMPOUND, len(word) - 1))

    def _beginning_with(
        self, folded: str, words: list[re.Match[str]], first: int
    ) -> Iterator[tuple[int, int, bool]]:
        joined = ""
        start = words[first].start()
        for place in range(first, len(words)):
            joined += words[place].group()
            for form in _singulars(joined):
                same = (
                    s
                    for s in self.spellings.get(form, ())
                    if _is_spelled(s, folded, words[first : place + 1])
                )
                if spelling := next(same, None):
                    end, is_plural = words[place].end(), spelling.is_plural or form != joined
                    if not _is_part(folded, start) and (
                        is_plural or form not in ORDINARY or is_noun(folded, start, end)
                    ):
                        yield start, end, is_plural
                    break
            if joined not in self.beginnings:
                break


def finder(
    classes: Iterable[ImageClass], *, language: str = "", numbers: frozenset[str] | None = None
) -> NameFinder:
    """Looks for the label, the display name, the synonyms, the scientific and the common name of any of classes.

    In the singular or plural, numbers in digits or words. A name of a single Latin letter or digit is not looked
    for: it stands in every text.  language: as prompts are told ("German"), "" for English.  numbers: labels whose
    number only counts, as `numbered` finds them in all classes; None where classes are all.
    """
    classes = list(classes)
    numbers = numbered(classes) if numbers is None else numbers
    spelled: dict[str, dict[Spelling, None]] = {}
    unspaced: set[str] = set()
    for name in dict.fromkeys(name for image_class in classes for name in _written(image_class, numbers)):
        if _UNSPACED.search(name):
            unspaced.add(_inside(bare(name)))
        for spelling in spellings(name, language):
            if not re.fullmatch(r"[a-z0-9]", joined := spelling.joined):
                spelled.setdefault(joined, {})[spelling] = None
    every = [spelling for same in spelled.values() for spelling in same]
    beginnings = frozenset(joined for spelling in every for joined in accumulate(spelling.words))
    compounds = {s.joined for s in every if len(s.words) == 1 and len(s.joined) >= _COMPOUND}
    longest_first = sorted(unspaced - {""}, key=lambda pattern: (-len(pattern), pattern))
    pattern = re.compile("|".join(longest_first)) if longest_first else None
    return NameFinder(
        {joined: tuple(same) for joined, same in spelled.items()},
        beginnings,
        frozenset(compounds if language == "German" else ()),
        pattern,
    )


def _written(image_class: ImageClass, numbers: frozenset[str]) -> Iterator[str]:
    for name in names_of(image_class):
        yield name
        if image_class.name in numbers:
            yield without_number(name)


def _inside(name: str) -> str:
    """The pattern of a name in a script without spaces. Its digits and Latin letters are no part of longer ones."""
    words = _WORD.findall(name)
    if not words:
        return ""
    before = r"(?<![a-z0-9])(?<!\d[.,])" if re.match(r"[a-z0-9]", words[0]) else ""
    behind = r"(?![a-z0-9])" if re.search(r"[a-z0-9]$", words[-1]) else ""
    return before + r"[\s_\-]*".join(map(re.escape, words)) + behind


def names_of(image_class: ImageClass) -> list[str]:
    """Everything that a class is called."""
    names = (image_class.name, image_class.display_name, *image_class.synonyms, image_class.scientific,
             image_class.common)  # fmt: skip
    return [name for name in dict.fromkeys(names) if name.strip()]


def redacted(text: str, names: NameFinder, word: str) -> str:
    """The text with `word` in place of every name ("A pile of 10-cents." -> "A pile of euro coins.").

    word: what all classes are, "euro coin"; where that names a class too, it is "object". What follows a name and
    is the end of word already ("10 cent coin") is not said twice.
    """
    word = "object" if names.find(word) else word
    plain = unicodedata.normalize("NFKC", text)
    parts: list[str] = []
    end = 0
    for span in names.spans(text):
        start, stop = _with_marks(plain, span)
        before = plain[end:start]
        stop, is_plural = _after(plain, stop, span.is_plural, word)
        is_plural = is_plural and not re.search(r"\ban?\s+$", before, re.IGNORECASE)
        said = _plural(word) if is_plural else word
        opens = not plain[:start].strip(" \"'([") or plain[:start].rstrip()[-1:] in ".!?"
        said = said[:1].upper() + said[1:] if opens else said
        parts += [_with_article(before, said), said]
        end = stop
    return "".join([*parts, plain[end:]])


def _with_marks(plain: str, span: Span) -> tuple[int, int]:
    """The place of a name with the other half of a pair of marks that it holds one half of: "**10** cent"."""
    for mark, opening, closing in (("**", "**", "**"), ("*", "*", "*"), ("(", "", ")"), (")", "(", "")):
        if span.name.count(mark) % 2:
            if closing and plain.startswith(closing, span.end):
                return span.start, span.end + len(closing)
            if opening and plain.endswith(opening, 0, span.start):
                return span.start - len(opening), span.end
    return span.start, span.end


def _after(plain: str, end: int, is_plural: bool, word: str) -> tuple[int, bool]:
    """Where what is replaced ends, and whether it is a plural: an end of word that follows is replaced too."""
    said = word.split()
    for n in range(len(said)):
        *first, last = said[n:]
        head = "".join(re.escape(each) + r"[\s\-]+" for each in first)
        many = rf"({re.escape(_plural(last))}|{re.escape(last)}e?s)|{re.escape(last)}"
        if again := re.compile(rf"[\s\-]+{head}(?:{many})(?![^\W_])", re.IGNORECASE).match(plain, end):
            return again.end(), bool(again[1])
    return end, is_plural


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    return f"{word[:-1]}ies" if re.search(r"[^aeiou]y$", word) else f"{word}s"


def _with_article(before: str, said: str) -> str:
    """ "an " before "beetle" is "a ", and "a " before "insect" is "an "."""
    article = re.search(r"\b(a)n?(\s+)$", before, re.IGNORECASE)
    if not article:
        return before
    # By the sound: "a euro coin", "a unit".
    is_vowel = re.match(r"[aeiou]", said, re.IGNORECASE) and not re.match(
        r"eu|uni|use|one\b", said, re.IGNORECASE
    )
    return before[: article.start()] + article[1] + ("n" if is_vowel else "") + article[2]


# --- words --------------------------------------------------------------------------------------------------


def _singulars(joined: str) -> Iterator[str]:
    """What a name may be written as where a text has `joined`."""
    yield joined
    if joined[-1] != "s":
        return
    if joined.endswith("ies"):
        yield f"{joined[:-3]}y"
    if joined.endswith("es"):
        yield joined[:-2]
    yield joined[:-1]


def _is_part(folded: str, start: int) -> bool:
    """Whether what begins here is the end of a number: the 50 of "1.50"."""
    return folded[start].isdigit() and start > 1 and folded[start - 1] in ".," and folded[start - 2].isdigit()


def _is_spelled(spelling: Spelling, folded: str, words: list[re.Match[str]]) -> bool:
    """Whether these words of a text part where the name does, with nothing but a gap between them."""
    ends: dict[int, re.Pattern[str]] = {}
    length = 0
    for word, gap in zip(spelling.words, spelling.gaps, strict=False):  # the last word has no gap behind it
        length += len(word)
        ends[length] = gap
    length = 0
    for one, other in pairwise(words):
        length += len(one.group())
        gap = ends.get(length, _NONE)
        if not gap.fullmatch(folded, one.end(), other.start()):
            return False
    return True


def _with_places(plain: str) -> tuple[str, list[int]]:
    """The text as names are compared, and for each of its characters the place it comes from: ß is folded to ss.

    No places where every character is folded to one.
    """
    if plain.isascii():
        return plain.lower(), []
    folded = plain.translate(BARE)
    if len(folded) == len(plain) and not IGNORED.search(plain):
        return folded, []
    pieces = [BARE[ord(character)] for character in plain]
    return "".join(pieces), [place for place, piece in enumerate(pieces) for _ in piece]
