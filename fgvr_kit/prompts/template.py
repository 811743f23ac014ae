"""A prompt file as it was read, and what it renders to."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgvr_kit.errors import PromptError
from fgvr_kit.prompts import sandbox
from fgvr_kit.prompts.sandbox import Part, Source


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt: what is sent. template_hash: 16 hex digits of the files it was made from."""

    name: str
    text: str
    system: str
    template_hash: str


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A prompt file. name: "extract/question" without the ending.

    needs: its variables, those of its parts among them.  parts: the files that it includes, and those that they
    include.  words: those of [domain], given to every rendering.  first_line: of the body, in the file.
    """

    name: str
    path: Path
    about: str
    needs: tuple[str, ...]
    answer: str
    source: str
    system: str
    body: str
    first_line: int = 1
    parts: tuple[Part, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """16 hex digits over all files that are sent; `about`, `answer` and `source` are not."""
        texts = [self.system, self.body]
        for part in sorted(self.parts, key=lambda part: part.name):
            texts += [part.name, part.text]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]

    @property
    def uses(self) -> frozenset[str]:
        """The variables that stand in its text or in its parts; `needs` may name more."""
        return frozenset(name for source in self.sources() for name in sandbox.variables(source.text))

    @property
    def words_used(self) -> dict[str, str]:
        """The words of [domain] that stand in its text: with `hash`, all that it says of its own accord."""
        used = self.uses
        return {name: value for name, value in self.words.items() if name in used}

    def sources(self) -> list[Source]:
        """Every template text that is compiled for it: the body, the system message, the parts."""
        own = [Source(str(self.path), self.body, self.first_line)]
        own += [Source(f"{self.path}, system", self.system, 1)] if self.system else []
        return own + [Source(str(part.path), part.text, part.first_line) for part in self.parts]

    def render(self, /, **variables: Any) -> Prompt:
        """Fill the template; what is given here wins over `words`, and what it does not need is left alone.

        Raises PromptError "prompt-variable" for a variable that it does not declare or that is missing.
        """
        given = {**self.words, **variables}
        if missing := [name for name in self.needs if name not in given]:
            raise PromptError(
                f"prompt {self.name} needs {missing[0]!r}, which is not given to it",
                code="prompt-variable",
                where=str(self.path),
                hint=sandbox.offered(missing[0], given),
            )
        known = {name: given[name] for name in self.needs}
        body, *rest = self.sources()
        text = sandbox.render(self.name, body, self.parts, known)
        system = sandbox.render(self.name, rest[0], self.parts, known) if self.system else ""
        return Prompt(self.name, text, system, self.hash)

    def check(self, given: Collection[str] = ()) -> None:
        """Raise PromptError for a variable that stands in the text and in no `needs`, before anything is sent.

        given: what could be declared besides the words of [domain].
        """
        known = {*self.words, *given}
        set_here = {name for source in self.sources() for name in sandbox.assigned(source.text)}
        for source in self.sources():
            for name, line in sandbox.variables(source.text).items():
                if name not in self.needs and name not in set_here:
                    raise sandbox.undeclared(self.name, source, line, name, self.needs, known)
