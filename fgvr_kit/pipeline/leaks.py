"""Where a class's name stands in a text that must not give it away."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from fgvr_kit.types import ImageClass

# Scripts that put no space between words: a name is looked for inside them too.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class NameFinder:
    """Finds names of classes as whole words, in any case; "10_cent" is "10 cent", "10-cent" and "10cent"."""

    pattern: re.Pattern[str] | None

    def find(self, text: str) -> str | None:
        """The first name in text, as it stands there (folded), or None."""
        found = self.pattern.search(_folded(text)) if self.pattern else None
        return found.group() if found else None


def finder(classes: Iterable[ImageClass]) -> NameFinder:
    """Looks for the label, the display name and the synonyms of any of classes, in the singular or plural.

    A name of a single Latin letter or digit is not looked for: it stands in every text.
    """
    spelled = {
        tuple(words)
        for image_class in classes
        for name in (image_class.name, image_class.display_name, *image_class.synonyms)
        if (words := _words(name)) and not re.fullmatch(r"[a-z0-9]", "".join(words))
    }
    # Longer names first: what is found is the whole name.
    alternatives = [_pattern(words) for words in sorted(spelled, key=lambda words: (-len(words), words))]
    return NameFinder(re.compile("|".join(alternatives)) if alternatives else None)


def _pattern(words: tuple[str, ...]) -> str:
    body = r"[\s_\-]*".join(map(re.escape, words))
    return body if _UNSPACED.search(body) else rf"(?<![^\W_]){body}(?:e?s)?(?![^\W_])"


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", _folded(name))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
