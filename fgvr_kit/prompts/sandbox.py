"""Jinja for prompts: sandboxed, every variable declared, and errors that name file, line and a way out."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit.errors import PromptError

if TYPE_CHECKING:
    import jinja2


@dataclass(frozen=True, slots=True)
class Part:
    """A file that prompts include. name: as it is included, "parts/photographs.md"; text: without front matter."""

    name: str
    path: Path
    text: str
    needs: tuple[str, ...] = ()
    first_line: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A template text. where: the file, for errors; first_line: the line there that the text begins on."""

    where: str
    text: str
    first_line: int


def included(prompt: str, source: Source) -> list[str]:
    """The files that a text includes, as they are named there.

    Raises PromptError "prompt-syntax", and "prompt-include" for a name that is computed: what it would be is not
    known before it is sent.
    """
    import jinja2
    from jinja2 import meta, nodes

    try:
        tree = _bare().parse(source.text)
    except jinja2.TemplateSyntaxError as error:
        raise _syntax(prompt, source, error) from error
    names = list(meta.find_referenced_templates(tree))
    if None in names:
        first = next(tree.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)))
        raise PromptError(
            f"prompt {prompt}, line {source.first_line + first.lineno - 1}: the name of an included file is computed",
            code="prompt-include",
            where=source.where,
            hint='write it as it is: {% include "parts/NAME.md" %}',
        )
    return [name for name in names if name]


@lru_cache(maxsize=1024)
def variables(text: str) -> dict[str, int]:
    """The variables that a text must be given -> the line of it on which each stands first."""
    from jinja2 import meta, nodes

    environment = _bare()
    tree = environment.parse(text)
    free = meta.find_undeclared_variables(tree) - set(environment.globals)
    lines: dict[str, int] = {}
    for name in tree.find_all(nodes.Name):
        if name.name in free:
            lines.setdefault(name.name, name.lineno)
    return lines


def assigned(text: str) -> set[str]:
    """The names that a text sets itself; what it includes sees them."""
    from jinja2 import nodes

    return {name.name for name in _bare().parse(text).find_all(nodes.Name) if name.ctx != "load"}


def spoken(text: str) -> Iterator[tuple[int, str]]:
    """(line of the text, words) of what is sent whatever the variables hold; no Jinja, no comments."""
    from jinja2 import nodes

    for node in _bare().parse(text).find_all((nodes.TemplateData, nodes.Const)):
        words = node.data if isinstance(node, nodes.TemplateData) else getattr(node, "value", None)
        if isinstance(words, str):
            yield from ((node.lineno + n, line) for n, line in enumerate(words.split("\n")) if line.strip())


def render(prompt: str, source: Source, parts: tuple[Part, ...], known: Mapping[str, Any]) -> str:
    """The text filled in, without blank ends. Raises PromptError."""
    import jinja2

    try:
        return _compiled(source, parts).render(known).strip()
    except jinja2.TemplateSyntaxError as error:
        raise _syntax(prompt, source, error) from error
    except jinja2.UndefinedError as error:
        where, line = _place(error, source, parts)
        raise PromptError(
            f"prompt {prompt}, line {line}: {error.message}",
            code="prompt-variable",
            where=where,
            hint=f"it may use: {', '.join(sorted(known))}",
        ) from error
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        RecursionError,
    ) as error:
        where, line = _place(error, source, parts)
        raise PromptError(
            f"prompt {prompt}, line {line}: {error}",
            code="prompt-failed",
            where=where,
            hint=f"compare it with the shipped file: fgvr-kit prompts diff {prompt}",
        ) from error


def undeclared(
    prompt: str, source: Source, line: int, name: str, needs: Collection[str], known: Collection[str]
) -> PromptError:
    """The error of a variable that stands in a text and in no `needs`. known: what could be declared."""
    close, other = _nearest(name, needs), name if name in known else _nearest(name, known)
    offer = f"it may use: {', '.join(sorted(needs) or sorted(known))}"
    if close:
        offer = f"did you mean {close!r}? {offer}"
    elif other:
        offer = (
            "" if other == name else f"did you mean {other!r}? "
        ) + f"add {other!r} to needs in the front matter"
    return PromptError(
        f"prompt {prompt}, line {source.first_line + line - 1}: there is no variable {name!r}",
        code="prompt-variable",
        where=source.where,
        hint=offer,
    )


def offered(name: str, given: Iterable[str]) -> str:
    """The hint for a variable that nobody gives."""
    close = _nearest(name, given)
    return (f"did you mean {close!r}? " if close else "") + f"it may use: {', '.join(sorted(given))}"


def _nearest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)), None)


def _syntax(prompt: str, source: Source, error: jinja2.TemplateSyntaxError) -> PromptError:
    return PromptError(
        f"prompt {prompt}, line {source.first_line + error.lineno - 1}: {error.message}",
        code="prompt-syntax",
        where=source.where,
        hint=f"compare it with the shipped file: fgvr-kit prompts diff {prompt}",
    )


def _environment(loader: jinja2.BaseLoader | None) -> jinja2.Environment:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        loader=loader,
    )


@lru_cache(maxsize=1)
def _bare() -> jinja2.Environment:
    return _environment(None)


@lru_cache(maxsize=256)
def _compiled(source: Source, parts: tuple[Part, ...]) -> jinja2.Template:
    """A template ready to render: one prompt is rendered for thousands of images."""
    import jinja2

    texts = {part.name: (part.text, str(part.path), lambda: True) for part in parts}
    environment = _environment(jinja2.FunctionLoader(texts.get))
    code = environment.compile(source.text, filename=source.where)
    return jinja2.Template.from_code(environment, code, environment.make_globals(None))


def _place(error: BaseException, source: Source, parts: Iterable[Part]) -> tuple[str, int]:
    """(file, line in it) of the innermost template that an error left; Jinja puts them into its traceback."""
    begins = {source.where: source.first_line} | {str(part.path): part.first_line for part in parts}
    where, line = source.where, 1
    trace = error.__traceback__
    while trace is not None:
        if (name := trace.tb_frame.f_code.co_filename) in begins:
            where, line = name, trace.tb_lineno
        trace = trace.tb_next
    return where, begins[where] + line - 1
