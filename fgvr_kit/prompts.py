"""Prompts are files: TOML front matter between +++ lines, then a Jinja template.

Front matter: `about` (one sentence), `needs` (variables the template may use), `answer` (what is expected
back), `source` (whose idea it is), optionally `system` (the system message).
A workspace's own copy of a file wins over the shipped one.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fgvr_kit import shipped
from fgvr_kit.errors import PromptError


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt: what is sent. template_hash: 16 hex digits of the file it was made from."""

    name: str
    text: str
    system: str
    template_hash: str


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A prompt file. name: "extract/question" without the ending."""

    name: str
    path: Path
    about: str
    needs: tuple[str, ...]
    answer: str
    source: str
    system: str
    body: str

    @property
    def hash(self) -> str:
        """16 hex digits over everything that is sent; `about`, `answer` and `source` are not."""
        return hashlib.sha256(f"{self.system}\0{self.body}".encode()).hexdigest()[:16]

    def render(self, **variables: Any) -> Prompt:
        """Fill the template. Raises PromptError for a variable that it does not declare or that is missing."""
        import jinja2

        if unknown := sorted(set(self.needs) - set(variables)):
            raise PromptError(
                f"prompt {self.name} needs {unknown[0]!r}, which is not given to it",
                code="prompt-variable",
                where=str(self.path),
                hint=f"it may use: {', '.join(sorted(variables))}",
            )
        known = {name: variables[name] for name in self.needs}
        try:
            text = _compiled(self.body).render(known).strip()
            system = _compiled(self.system).render(known).strip()
        except jinja2.UndefinedError as error:
            raise PromptError(
                f"prompt {self.name}: {error.message}",
                code="prompt-variable",
                where=str(self.path),
                hint=f"it may use: {', '.join(self.needs)}",
            ) from error
        except jinja2.TemplateSyntaxError as error:
            raise PromptError(
                f"prompt {self.name}, line {error.lineno} of the template: {error.message}",
                code="prompt-syntax",
                where=str(self.path),
                hint="compare it with the shipped file",
            ) from error
        except jinja2.TemplateError as error:
            raise PromptError(
                f"prompt {self.name} does not render: {error}",
                code="prompt-failed",
                where=str(self.path),
                hint="compare it with the shipped file",
            ) from error
        return Prompt(self.name, text, system, self.hash)


class Prompts:
    """The prompt files in force: folders are searched in order, the shipped one last."""

    def __init__(self, own_folder: Path | None = None) -> None:
        self._folders = [*([own_folder] if own_folder else []), shipped.folder("prompts")]

    def names(self) -> list[str]:
        return sorted(
            {
                str(p.relative_to(f).with_suffix("").as_posix())
                for f in self._folders
                for p in f.glob("*/*.md")
            }
        )

    def get(self, name: str) -> PromptTemplate:
        for folder in self._folders:
            path = folder / f"{name}.md"
            if path.is_file():
                return _parse(name, path)
        close = difflib.get_close_matches(name, self.names(), n=1)
        raise PromptError(
            f"there is no prompt {name!r}",
            code="prompt-missing",
            where=str(self._folders[0]),
            hint=f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self.names())}",
        )

    def render(self, name: str, /, **variables: Any) -> Prompt:
        return self.get(name).render(**variables)

    def hashes(self, names: Sequence[str]) -> dict[str, str]:
        """name -> hash of what would be sent; for fingerprints."""
        return {name: self.get(name).hash for name in names}


@lru_cache(maxsize=256)
def _compiled(text: str) -> Any:
    """A template ready to render: one prompt is rendered for thousands of images."""
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    return environment.from_string(text)


_KEYS = {"about", "needs", "answer", "source", "system"}


def _parse(name: str, path: Path) -> PromptTemplate:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PromptError(
            f"prompt {name} is not UTF-8",
            code="prompt-encoding",
            where=str(path),
            hint="save it again as UTF-8",
        ) from error
    parts = text.split("+++", 2)
    if len(parts) != 3 or parts[0].strip():
        raise PromptError(
            f"prompt {name} does not begin with front matter",
            code="prompt-front-matter",
            where=str(path),
            hint='begin the file with +++, about = "...", needs = [...], +++',
        )
    try:
        front = tomllib.loads(parts[1])
    except tomllib.TOMLDecodeError as error:
        raise PromptError(
            f"front matter of prompt {name}: {error}",
            code="prompt-front-matter",
            where=str(path),
            hint='it is TOML: needs = ["superclass"]',
        ) from error
    if unknown := sorted(set(front) - _KEYS):
        raise PromptError(
            f"front matter of prompt {name} has unknown keys: {', '.join(unknown)}",
            code="prompt-front-matter",
            where=str(path),
            hint=f"known: {', '.join(sorted(_KEYS))}",
        )
    return PromptTemplate(
        name=name,
        path=path,
        about=front.get("about", ""),
        needs=tuple(front.get("needs", ())),
        answer=front.get("answer", ""),
        source=front.get("source", ""),
        system=front.get("system", ""),
        body=parts[2].strip(),
    )
