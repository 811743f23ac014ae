"""Reading a prompt file: front matter between +++ lines, then the text that is sent."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgvr_kit.errors import PromptError

KEYS = ("about", "needs", "answer", "source", "system")
_FENCE = "+++"


@dataclass(frozen=True, slots=True)
class Written:
    """A file as it is written. first_line: the line on which the text begins."""

    text: str
    front: dict[str, Any] = field(default_factory=dict)
    first_line: int = 1

    def said(self, key: str) -> str:
        return str(self.front.get(key, ""))

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(self.front.get("needs", ()))


def read(name: str, path: Path, *, is_part: bool = False) -> Written:
    """The file of the prompt (or part) called name. A part may come without front matter.

    Raises PromptError "prompt-encoding", "prompt-front-matter" or "prompt-empty".
    """
    lines = _lines(name, path)
    start = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    if start == len(lines) or lines[start].strip() != _FENCE:
        if is_part:
            return _written(lines, 0, {})
        raise _bad_front(
            name, path, f"prompt {name} does not begin with front matter",
            'begin the file with +++, about = "...", needs = [...], +++, each on a line of its own',
        )  # fmt: skip
    end = next((n for n in range(start + 1, len(lines)) if lines[n].strip() == _FENCE), None)
    if end is None:
        raise _bad_front(name, path, f"front matter of prompt {name} does not end", "end it with a line +++")
    front = _front(name, path, "\n".join(lines[start + 1 : end]), offset=start + 1)
    written = _written(lines, end + 1, front)
    if not written.text and not is_part:
        raise PromptError(
            f"prompt {name} says nothing: its text is empty",
            code="prompt-empty",
            where=str(path),
            hint="write the text below the second +++; or remove the file, and the shipped one is used",
        )
    return written


def _lines(name: str, path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise PromptError(
            f"prompt {name} is not UTF-8",
            code="prompt-encoding",
            where=str(path),
            hint="save it again as UTF-8",
        ) from error


def _written(lines: list[str], begin: int, front: dict[str, Any]) -> Written:
    body = lines[begin:]
    blank = next((n for n, line in enumerate(body) if line.strip()), 0)
    return Written("\n".join(body).strip(), front, begin + blank + 1)


def _front(name: str, path: Path, text: str, offset: int) -> dict[str, Any]:
    try:
        front = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = 'it is TOML: needs = ["superclass"]'
        raise _bad_front(name, path, f"front matter of prompt {name}: {error}", hint) from error
    if unknown := sorted(set(front) - set(KEYS)):
        close = difflib.get_close_matches(unknown[0], KEYS, n=1)
        hint = (f"did you mean {close[0]!r}? " if close else "") + f"known: {', '.join(sorted(KEYS))}"
        line = next(
            (n for n, line in enumerate(text.splitlines(), 1) if line.strip().startswith(unknown[0])), 1
        )
        problem = (
            f"line {offset + line}: front matter of prompt {name} has unknown keys: {', '.join(unknown)}"
        )
        raise _bad_front(name, path, problem, hint)
    for key, value in front.items():
        if key == "needs" and not (isinstance(value, list) and all(isinstance(n, str) for n in value)):
            hint = 'it is a list of names: needs = ["superclass", "notes"]'
            raise _bad_front(name, path, f"needs of prompt {name} is {value!r}", hint)
        if key != "needs" and not isinstance(value, str):
            raise _bad_front(name, path, f"{key} of prompt {name} is {value!r}", "it is a text in quotes")
    return front


def _bad_front(name: str, path: Path, problem: str, hint: str) -> PromptError:
    return PromptError(problem, code="prompt-front-matter", where=str(path), hint=hint)
