"""How a name of a class may be written in a text: in digits or words, in the plural, with a possessive, shortened."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

from fgvr_kit.types import ImageClass

Gap = re.Pattern[str]
_BETWEEN = r"\s_\-\u2010-\u2015'\u2019`\u00b4*()\[\]\"\u201c-\u201e/"
GAP = re.compile(rf"[{_BETWEEN}]*")
"""What may stand between two words of a name, whatever the name itself has there; marks of Markdown too."""
_UNBROKEN = re.compile(r"[_\-\u2010-\u2015/]?")  # "A320" is "A-320"; "a 320" may be anything
_DOT = re.compile(r"\.\s*")
IGNORED = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
"""The soft hyphen and what has no width."""
_PIECE = re.compile(r"[^\W\d_]+|\d+")
# Not "one": "one euro coin" counts coins.
_SPELLED = {
    "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine",
    "10": "ten", "11": "eleven", "12": "twelve", "13": "thirteen", "14": "fourteen", "15": "fifteen",
    "16": "sixteen", "17": "seventeen", "18": "eighteen", "19": "nineteen", "20": "twenty", "30": "thirty",
    "40": "forty", "50": "fifty", "60": "sixty", "70": "seventy", "80": "eighty", "90": "ninety", "100": "hundred",
}  # fmt: skip
_IN_DIGITS = {word: digits for digits, word in _SPELLED.items()}
_SHORT = {"mount": "mt", "saint": "st"}
_LONG = {short: long for long, short in _SHORT.items()}
_PLURALS = {
    "calf": "calves", "child": "children", "dwarf": "dwarves", "elf": "elves", "foot": "feet", "goose": "geese",
    "half": "halves", "hoof": "hooves", "knife": "knives", "leaf": "leaves", "life": "lives", "loaf": "loaves",
    "louse": "lice", "man": "men", "mouse": "mice", "ox": "oxen", "scarf": "scarves", "sheaf": "sheaves",
    "shelf": "shelves", "thief": "thieves", "tooth": "teeth", "wife": "wives", "wolf": "wolves", "woman": "women",
}  # fmt: skip
_SINGULARS = {many: one for one, many in _PLURALS.items()}
_NO_SINGULAR = frozenset({"lens", "mars", "news", "series", "species"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_GERMAN_ENDINGS = ("e", "n", "en", "er", "ern", "es", "s", "nen", "se")


@dataclass(frozen=True, slots=True)
class Spelling:
    """words: of a name, bare.  gaps: what may stand between them.  is_plural: whether it means several."""

    words: tuple[str, ...]
    gaps: tuple[Gap, ...]
    is_plural: bool = False

    @property
    def joined(self) -> str:
        return "".join(self.words)


class _Table(dict[int, str]):
    """Character -> as it is compared: folded, and Latin letters without accents."""

    def __missing__(self, code: int) -> str:
        self[code] = told = _bare_character(chr(code))
        return told


def _bare_character(character: str) -> str:
    if IGNORED.match(character):
        return ""
    apart = unicodedata.normalize("NFD", character.casefold())
    kept = re.sub(r"(?<=[a-z])[\u0300-\u036f]+|^[\u0300-\u036f]+", "", apart)
    return unicodedata.normalize("NFC", kept)


BARE = _Table()
"""For str.translate."""


def bare(text: str) -> str:
    """As names and texts are compared: "Café" -> "cafe"."""
    return unicodedata.normalize("NFKC", text).translate(BARE)


def spellings(name: str, language: str = "") -> Iterator[Spelling]:
    """Every spelling of a name. language: as prompts are told, "" for English; German has its own endings."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    is_genus = re.match(r"[A-Z][a-z]{2,}[\s_]+[a-z]{4,}(?:[\s_]+[a-z]{4,})?$", name.strip())
    for written in dict.fromkeys((bare(name), bare(folded.translate(_UMLAUTS)))):
        for spelling in _in_figures_and_words(written):
            for same in (spelling, *_possessives(spelling)):
                yield from _in_other_numbers(same, language)
            if is_genus:  # "A. mellifera"
                words = (spelling.words[0][0], *spelling.words[1:])
                yield Spelling(words, (_DOT, *spelling.gaps[1:]))


def _in_figures_and_words(written: str) -> Iterator[Spelling]:
    found = list(_PIECE.finditer(written))
    if not found:
        return
    gaps = [_gap(written[one.end() : other.start()], one, other) for one, other in pairwise(found)]
    choices = [_same(match, written, is_lone=len(found) == 1) for match in found]
    for chosen in product(*choices):
        yield _chosen(chosen, gaps)
        if any(_is_possessive(written, match) for match in found[1:]):
            kept = [n for n, match in enumerate(found) if not n or not _is_possessive(written, match)]
            yield _chosen([chosen[n] for n in kept], [gaps[n - 1] for n in kept[1:]])


def _chosen(chosen: Sequence[str], gaps: Sequence[Gap]) -> Spelling:
    """ "St" may have a dot."""
    dotted = tuple(_with_dot(gap) if word in _LONG else gap for word, gap in zip(chosen, gaps, strict=False))
    return Spelling(tuple(chosen), dotted, _singular(chosen[-1]) != chosen[-1])


def _is_possessive(written: str, match: re.Match[str]) -> bool:
    return match.group() == "s" and written[match.start() - 1] in "'\u2019`\u00b4"


def _gap(own: str, one: re.Match[str], other: re.Match[str]) -> Gap:
    if not own:  # inside a word: "A320", "10cent"
        is_loose = one.group() not in ("a", "i") and (other.group().isdigit() or len(other.group()) > 1)
        return GAP if is_loose else _UNBROKEN
    if GAP.fullmatch(own):
        return GAP
    marks = r"\s*".join(map(re.escape, "".join(own.split())))
    return re.compile(rf"{GAP.pattern}|\s*{marks}\s*")


def _with_dot(gap: Gap) -> Gap:
    return re.compile(rf"{gap.pattern}|\.\s*")


def _same(match: re.Match[str], written: str, *, is_lone: bool) -> list[str]:
    """A word of a name, and what else may stand in its place; "10" alone is a number in any text."""
    word = match.group()
    if is_lone or (word.isdigit() and written[: match.start()][-1:].isalpha()):  # the 4 of "A4"
        return [word]
    others = (_SPELLED.get(word), _IN_DIGITS.get(word), _SHORT.get(word), _LONG.get(word))
    return [word, *(other for other in others if other)]


def _possessives(spelling: Spelling) -> Iterator[Spelling]:
    """ "Brandt Cormorant" is "Brandt's cormorant"."""
    words, gaps = spelling.words, spelling.gaps
    for n, word in enumerate(words[:-1]):
        if word.isalpha() and len(word) > 2 and words[n + 1] != "s":
            yield replace(
                spelling, words=(*words[: n + 1], "s", *words[n + 1 :]), gaps=(*gaps[:n], GAP, *gaps[n:])
            )


def _in_other_numbers(spelling: Spelling, language: str) -> Iterator[Spelling]:
    """In the singular and the plural; that a text has one s more is no other spelling."""
    *first, last = spelling.words
    yield spelling
    if not last.isalpha():
        return
    for other, is_plural in _inflected(last, language):
        if len(other) > 2:
            yield replace(spelling, words=(*first, other), is_plural=is_plural)


def _singular(word: str) -> str:
    """Of an English plural; a word that is none is told as it is."""
    if word in _NO_SINGULAR or len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word in _SINGULARS:
        return _SINGULARS[word]
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word.removesuffix("s")


def _inflected(word: str, language: str) -> Iterator[tuple[str, bool]]:
    if language == "German":
        yield from _in_german(word)
    if (one := _singular(word)) != word:
        yield one, False
    if many := _PLURALS.get(word):
        yield many, True
    for one, many in (("man", "men"), ("us", "i")):
        if len(word) > 4 and word.endswith(one):
            yield word.removesuffix(one) + many, True
        if len(word) > 4 and word.endswith(many):
            yield word.removesuffix(many) + one, False


def _in_german(word: str) -> Iterator[tuple[str, bool]]:
    if len(word) > 3:
        yield from ((word + ending, ending not in ("es", "s")) for ending in _GERMAN_ENDINGS)
    for ending in ("en", "n", "e", "er", "s"):
        if len(word) > 4 and word.endswith(ending):
            yield word.removesuffix(ending), False


# --- numbers of folders ---------------------------------------------------------------------------------------

_NUMBERED = re.compile(r"(\d+)([.\s_\-]+)(?=[^\W\d_])(.+)")


def numbered(classes: Iterable[ImageClass]) -> frozenset[str]:
    """Labels that begin with a number that only counts the classes: "023.Brandt_Cormorant", "001_bee", "12-robin".

    A number counts when what is behind it names no other class ("10_cent" and "20_cent" differ by nothing else), and
    it begins with 0, is followed by a dot, or stands in a row: all labels of at least three begin with different
    numbers that are nearly consecutive.
    """
    labels = [image_class.name for image_class in classes]
    found = {label: match for label in labels if (match := _NUMBERED.fullmatch(label))}
    behind = Counter(match[3].casefold() for match in found.values())
    alone = {label: match for label, match in found.items() if behind[match[3].casefold()] == 1}
    numbers = {int(match[1]) for match in alone.values()}
    is_row = 3 <= len(labels) == len(numbers) and max(numbers) - min(numbers) < 2 * len(numbers)
    return frozenset(
        label for label, match in alone.items() if is_row or match[1][0] == "0" or match[2][0] == "."
    )


def without_number(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    return match[3] if match else name
