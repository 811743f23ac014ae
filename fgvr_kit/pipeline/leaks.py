"""Where a class's name stands in a text that must not give it away, and the text without it.

A name is a row of words. A text is read word by word, so that ten thousand names cost no more than ten.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise, product

from fgvr_kit.types import ImageClass

_WORD = re.compile(r"[^\W_]+")
# Scripts that put no space between words: a name is looked for inside them too.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
_GAP = re.compile(r"[\s_\-\u2010-\u2015'\u2019`\u00b4]*")
"""What may stand between two words of a name, whatever the name itself has there."""
# Not "one": "one euro coin" counts coins.
_SPELLED = {
    "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine",
    "10": "ten", "11": "eleven", "12": "twelve", "13": "thirteen", "14": "fourteen", "15": "fifteen",
    "16": "sixteen", "17": "seventeen", "18": "eighteen", "19": "nineteen", "20": "twenty", "30": "thirty",
    "40": "forty", "50": "fifty", "60": "sixty", "70": "seventy", "80": "eighty", "90": "ninety", "100": "hundred",
}  # fmt: skip
_IN_DIGITS = {word: digits for digits, word in _SPELLED.items()}
_PLURALS = {
    "foot": "feet", "goose": "geese", "leaf": "leaves", "louse": "lice", "man": "men", "mouse": "mice", "ox": "oxen",
    "tooth": "teeth", "wolf": "wolves", "woman": "women",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """Where a name stands in the NFKC form of a text. name: as it stands there, folded."""

    start: int
    end: int
    name: str
    is_plural: bool


@dataclass(frozen=True, slots=True)
class _Spelling:
    """words: of a name, folded.  gaps: what stands between them in the name itself, without blanks."""

    words: tuple[str, ...]
    gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NameFinder:
    """Finds names of classes as whole words, in any case; "10_cent" is "10 cent", "10-cent", "10cent", "ten cents".

    spellings: by their words written as one.  beginnings: first words of names, written as one: what is none of them
    need not be read on from.  unspaced: names in scripts that put no space between words.
    """

    spellings: Mapping[str, tuple[_Spelling, ...]]
    beginnings: frozenset[str]
    unspaced: re.Pattern[str] | None

    def find(self, text: str) -> str | None:
        """The first name in text, as it stands there (folded), or None."""
        return next((span.name for span in self.spans(text)), None)

    def spans(self, text: str) -> Iterator[Span]:
        """Every name, from left to right, the longest one first where several begin."""
        folded, places = _with_places(text)
        found = sorted(self._found(folded), key=lambda span: (span[0], -span[1]))
        end = 0
        for start, stop, is_plural in found:
            if start >= end:
                end = stop
                first, last = (places[start], places[stop - 1]) if places else (start, stop - 1)
                yield Span(first, last + 1, folded[start:stop], is_plural)

    def _found(self, folded: str) -> Iterator[tuple[int, int, bool]]:
        """(start, end, whether it is a plural) in the folded text; some may overlap."""
        # Most texts hold no word that any name begins with.
        if any(form in self.beginnings for word in set(_WORD.findall(folded)) for form in _singulars(word)):
            words = list(_WORD.finditer(folded))
            for first in range(len(words)):
                yield from self._beginning_with(folded, words, first)
        if self.unspaced:
            yield from ((*match.span(), False) for match in self.unspaced.finditer(folded))

    def _beginning_with(
        self, folded: str, words: list[re.Match[str]], first: int
    ) -> Iterator[tuple[int, int, bool]]:
        joined = ""
        for place in range(first, len(words)):
            joined += words[place].group()
            for form in _singulars(joined):
                same = self.spellings.get(form, ())
                if any(_is_spelled(spelling, folded, words[first : place + 1]) for spelling in same):
                    yield words[first].start(), words[place].end(), form != joined
                    break
            if joined not in self.beginnings:
                break


def finder(classes: Iterable[ImageClass]) -> NameFinder:
    """Looks for the label, the display name, the synonyms, the scientific and the common name of any of classes.

    In the singular or plural, numbers in digits or words. A name of a single Latin letter or digit is not looked
    for: it stands in every text.
    """
    spelled: dict[str, dict[_Spelling, None]] = {}
    unspaced: set[str] = set()
    for name in {_folded(name) for image_class in classes for name in names_of(image_class)}:
        if _UNSPACED.search(name):
            unspaced.add(r"[\s_\-]*".join(map(re.escape, _WORD.findall(name))))
        for spelling in _spellings(name):
            if not re.fullmatch(r"[a-z0-9]", joined := "".join(spelling.words)):
                spelled.setdefault(joined, {})[spelling] = None
    every = (spelling for same in spelled.values() for spelling in same)
    beginnings = frozenset(joined for spelling in every for joined in accumulate(spelling.words))
    longest_first = sorted(unspaced - {""}, key=lambda pattern: (-len(pattern), pattern))
    pattern = re.compile("|".join(longest_first)) if longest_first else None
    return NameFinder({joined: tuple(same) for joined, same in spelled.items()}, beginnings, pattern)


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
        before = plain[end : span.start]
        stop, is_plural = _after(plain, span, word)
        said = _plural(word) if is_plural else word
        opens = not plain[: span.start].strip(" \"'([") or plain[: span.start].rstrip()[-1:] in ".!?"
        said = said[:1].upper() + said[1:] if opens else said
        parts += [_with_article(before, said), said]
        end = stop
    return "".join([*parts, plain[end:]])


def _after(plain: str, span: Span, word: str) -> tuple[int, bool]:
    """Where what is replaced ends, and whether it is a plural."""
    last = word.rsplit(maxsplit=1)[-1]
    if again := re.compile(rf"[\s\-]+{re.escape(last)}(e?s)?(?![^\W_])", re.IGNORECASE).match(
        plain, span.end
    ):
        return again.end(), bool(again[1])
    return span.end, span.is_plural


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


def _spellings(name: str) -> Iterator[_Spelling]:
    """A folded name with its numbers in digits and in words, and with the plurals that are not just an s."""
    found = list(_WORD.finditer(name))
    words = [match.group() for match in found]
    gaps = tuple(re.sub(r"\s+", "", name[one.end() : other.start()]) for one, other in pairwise(found))
    if not words:
        return
    # "10" alone is a number in any text; "10 cent" is a name.
    choices = [_numbers(word) if len(words) > 1 else [word] for word in words]
    for chosen in product(*choices):
        yield _Spelling(chosen, gaps)
        if many := _PLURALS.get(chosen[-1]):
            yield _Spelling((*chosen[:-1], many), gaps)


def _numbers(word: str) -> list[str]:
    other = _SPELLED.get(word) or _IN_DIGITS.get(word)
    return [word, other] if other else [word]


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


def _is_spelled(spelling: _Spelling, folded: str, words: list[re.Match[str]]) -> bool:
    """Whether these words of a text part where the name does, with nothing but a gap between them."""
    ends: dict[int, str] = {}
    length = 0
    for word, gap in zip(spelling.words, spelling.gaps, strict=False):  # the last word has no gap behind it
        length += len(word)
        ends[length] = gap
    length = 0
    for one, other in pairwise(words):
        length += len(one.group())
        gap = folded[one.end() : other.start()]
        if length not in ends or not (_GAP.fullmatch(gap) or re.sub(r"\s+", "", gap) == ends[length]):
            return False
    return True


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _with_places(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters the place it comes from in the NFKC form: ß is folded to ss.

    No places where every character is folded to one.
    """
    plain = unicodedata.normalize("NFKC", text)
    folded = plain.casefold()
    if len(folded) == len(plain):
        return folded, []
    pieces = [character.casefold() for character in plain]
    return "".join(pieces), [place for place, piece in enumerate(pieces) for _ in piece]
