"""What of a proposed list of attributes can be asked for: names, questions and options that give no class away."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from fgvr_kit.dataset.attributes import SEPARATOR
from fgvr_kit.pipeline.describe import is_seen
from fgvr_kit.pipeline.leaks import NameFinder
from fgvr_kit.types import GENERAL, Attribute

MAX_NAME = 40  # characters; a longer "name" is a sentence
MAX_QUESTION = 300
MAX_OPTIONS = 12
MAX_OPTION = 60  # characters
Meaning = Callable[[str], Hashable]
"""What two names share that ask for the same."""
Asks = tuple[Hashable, str]
"""(meaning of a name, superclass): what is asked of whom; "" is all."""


@dataclass
class Sieve:
    """Lets through what can be asked for. superclass: for questions that are composed.

    dropped: (what, why) -> how many were not let through.
    """

    class_names: NameFinder
    superclass: str
    meaning: Meaning
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)

    def usable(self, proposed: Sequence[Attribute]) -> list[Attribute]:
        """Those of one list, each with a question. One that is missing, endless or names a class is composed anew.

        The same may be asked of several superclasses; then these are put before the names.
        """
        kept: dict[Asks, Attribute] = {}
        for attribute in proposed:
            name = snake_case(attribute.name)
            if reason := self._why_not(name, attribute.superclass, kept):
                self.dropped["attributes", reason] += 1
                continue
            question = self.question(name, attribute.question)
            kept[self.meaning(name), attribute.superclass] = Attribute(
                name, question, self.options(attribute.options), attribute.superclass
            )
        shared = Counter(meaning for meaning, _ in kept)
        return [
            below(attribute) if shared[meaning] > 1 else attribute for (meaning, _), attribute in kept.items()
        ]

    def question(self, name: str, said: str) -> str:
        """What was proposed, or a plain question where that cannot be asked."""
        question = " ".join(said.split())
        if not question or len(question) > MAX_QUESTION or self.class_names.find(question):
            return f"What is the {name.replace('_', ' ')} of the {self.superclass}?"
        return question

    def options(self, proposed: Iterable[str]) -> tuple[str, ...]:
        """The values of a closed list; () where fewer than two are left, or too many to choose from."""
        kept: dict[str, str] = {}
        for each in proposed:
            option = " ".join(each.replace(SEPARATOR, ",").split()).strip(" .")
            if not is_seen(option) or option.casefold() in kept:  # "not visible" is always an option
                continue
            if len(option) > MAX_OPTION:
                self.dropped["options", f"of more than {MAX_OPTION} characters"] += 1
            elif self.class_names.find_in_value(option):
                self.dropped["options", "naming a class"] += 1
            else:
                kept[option.casefold()] = option
        if len(kept) > MAX_OPTIONS:
            self.dropped["options", f"more than {MAX_OPTIONS} of one attribute: it is answered freely"] += (
                len(kept)
            )
            return ()
        return tuple(kept.values()) if len(kept) > 1 else ()

    def _why_not(self, name: str, superclass: str, kept: dict[Asks, Attribute]) -> str | None:
        if not name:
            return "without a name"
        if len(name) > MAX_NAME:
            return f"named in more than {MAX_NAME} characters"
        if (self.meaning(name), superclass) in kept or (self.meaning(name), "") in kept:
            return "named twice"
        if name == GENERAL:
            return f"called {GENERAL!r}, which is the free description"
        if self.class_names.find(name):
            return "naming a class"
        return None

    def rows(self) -> list[tuple[str, int, str]]:
        """For the table of a step."""
        return [(what, n, why) for (what, why), n in self.dropped.items()]


def below(attribute: Attribute) -> Attribute:
    """With its superclass, if any, before the name: "colour" of beetles is "beetle_colour"."""
    if not attribute.superclass:
        return attribute
    return replace(attribute, name=f"{'_'.join(attribute.superclass.casefold().split())}_{attribute.name}")


def snake_case(name: str) -> str:
    """'Wing-Colour' -> 'wing_colour'; 'legCount' -> 'leg_count'; a remark in brackets is left out."""
    name = re.sub(r"[(\[{].*?[)\]}]|\(.*", " ", unicodedata.normalize("NFKC", name))
    name = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", "_", name)
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")
