"""What the shell offers at Tab. Called in a process of its own: loads no torch, and prints nothing but words.

A callback that fails offers nothing: a traceback in the middle of a half-typed line helps nobody.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import typer

from fgvr_kit.errors import FgvrError

if TYPE_CHECKING:
    from fgvr_kit.plugins import Room
    from fgvr_kit.prompts import Prompts
    from fgvr_kit.settings import Section, Settings

Offered = list[tuple[str, str]]
"""(word, what it means) pairs."""

_WIDTH = 72
_MOST_IMAGES = 60

OfferT = TypeVar("OfferT", bound=Callable[..., Offered])


def _quietly(offer: OfferT) -> OfferT:
    @functools.wraps(offer)
    def never_failing(*args: Any, **kwargs: Any) -> Offered:
        try:
            return offer(*args, **kwargs)
        except Exception:
            return []

    return never_failing  # type: ignore[return-value]


@_quietly
def backends(ctx: typer.Context, incomplete: str) -> Offered:
    """For --backend: what fgvr.toml names already, then the rooms; the models of Ollama once it is chosen."""
    return _starting(incomplete, _backends(ctx, incomplete))


@_quietly
def recipes(incomplete: str) -> Offered:
    from fgvr_kit import plugins

    return _starting(incomplete, ((name, "") for name in plugins.names("recipes")))


@_quietly
def layouts(incomplete: str) -> Offered:
    from fgvr_kit import plugins

    return _starting(incomplete, ((name, "") for name in ("auto", *plugins.names("layouts"))))


@_quietly
def templates(incomplete: str) -> Offered:
    from fgvr_kit.templates import load_all

    return _starting(incomplete, ((template.name, _meaning(template.about)) for template in load_all()))


@_quietly
def kinds(incomplete: str) -> Offered:
    """For check --fail-on: what comes behind the last comma."""
    from fgvr_kit.checks.base import kinds as known

    before, comma, _ = incomplete.rpartition(",")
    offered = ((before + comma + kind, _meaning(about)) for kind, about in known().items())
    return _starting(incomplete, offered)


@_quietly
def prompts(ctx: typer.Context, incomplete: str) -> Offered:
    """For prompts: those of the workspace, its template and the package."""
    from fgvr_kit.prompts import Prompts

    folder, settings = _folder(ctx), _settings(ctx)
    template = settings.domain.template if settings else ""
    known = Prompts(folder / "prompts" if folder else None, template=template)
    return _starting(incomplete, ((name, _about(known, name)) for name in known.names()))


@_quietly
def attributes(ctx: typer.Context, incomplete: str) -> Offered:
    from fgvr_kit.workspace import Workspace

    folder = _folder(ctx)
    with Workspace(folder) if folder else nullcontext() as workspace:
        found = workspace.attributes() if workspace else []
    return _starting(incomplete, ((a.name, _meaning(a.question)) for a in found))


@_quietly
def attributes_not_asked(ctx: typer.Context, incomplete: str) -> Offered:
    """For attributes keep: those that were dropped or merged."""
    from fgvr_kit.pipeline.quality.kept import AttributeSheet
    from fgvr_kit.workspace import Workspace

    folder = _folder(ctx)
    with Workspace(folder) if folder else nullcontext() as workspace:
        sheet = AttributeSheet(workspace) if workspace else None
        found = sheet.rows() if sheet else {}
        told = (
            ((name, _meaning(sheet.cell(row, "status"))) for name, row in found.items())
            if sheet
            else iter(())
        )
        return _starting(incomplete, ((name, status) for name, status in told if status))


@_quietly
def images(ctx: typer.Context, incomplete: str) -> Offered:
    """Paths of the dataset, a screenful of them."""
    from fgvr_kit.workspace import Workspace

    folder = _folder(ctx)
    if folder is None or not (folder / ".fgvr" / "fgvr.db").is_file():
        return []
    with Workspace(folder) as workspace:
        return [(path, "") for path in workspace.store.paths_from(incomplete, _MOST_IMAGES)]


@_quietly
def purposes(incomplete: str) -> Offered:
    """For errors: the steps that ask models."""
    from fgvr_kit.pipeline.failed import COMMANDS

    return _starting(incomplete, ((name, command) for name, command in COMMANDS.items()))


@_quietly
def describe_by(incomplete: str) -> Offered:
    return _starting(
        incomplete,
        iter(
            (
                ("model", "the backend writes it"),
                ("short", "one sentence"),
                ("template", "composed, no model"),
            )
        ),
    )


@_quietly
def settings(ctx: typer.Context, incomplete: str) -> Offered:
    """For --set: section.key=, and after that the values, where there are only a few."""
    key, equals, _ = incomplete.partition("=")
    if not equals:
        return _starting(incomplete, _keys(incomplete.partition(".")[0]))
    return _starting(incomplete, ((f"{key}={value}", about) for value, about in _values(ctx, key)))


@_quietly
def commands(ctx: typer.Context, incomplete: str) -> Offered:
    """For a command's own words: the next one."""
    from fgvr_kit.cli.schema import commands as known

    before = tuple(ctx.params.get("words") or ())
    following = dict.fromkeys(
        key[len(before)] for key in known() if key[: len(before)] == before < key
    )  # a shorter tuple is less than one that it begins
    return _starting(incomplete, ((word, "") for word in following))


def _about(prompts: Prompts, name: str) -> str:
    try:
        return _meaning(prompts.get(name).about)
    except FgvrError:  # a broken prompt: told by the command
        return ""


def _starting(incomplete: str, offered: Iterator[tuple[str, str]]) -> Offered:
    return [(word, about) for word, about in dict(offered).items() if word.startswith(incomplete)]


def _backends(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    from fgvr_kit import plugins

    settings = _settings(ctx)
    if settings is not None:
        for section in (settings.discover, settings.extract, settings.describe):
            if section.backend:
                yield section.backend, "in fgvr.toml"
    if incomplete.startswith("ollama:"):
        from fgvr_kit.surroundings import ollama_models

        host = settings.plugins.get("ollama", {}).get("host", "") if settings else ""
        for model in ollama_models(str(host), seconds=0.5) or ():
            yield f"ollama:{model}", "on this machine's Ollama"
    for name in plugins.names("backends"):
        yield f"{name}:", ""


def _keys(begun: str) -> Iterator[tuple[str, str]]:
    """section.key= of every section whose name begins so."""
    for name, model in _sections(begun):
        for key, field in model.model_fields.items():
            yield f"{name}.{key}=", _meaning(field.description or "")
    if not begun:  # a plug-in is imported only when its name was begun: that takes a second
        yield from ((f"{name}.", f"settings of {name}") for name in _plugin_names())


def _meaning(text: str) -> str:
    """What fits beside a word. Without brackets, which the shell's side takes for colours."""
    first = " ".join(text.split()).partition(". ")[0].translate(str.maketrans("[]", "()"))
    return first if len(first) <= _WIDTH else first[: _WIDTH - 3].rsplit(" ", 1)[0] + " ..."


def _sections(begun: str) -> Iterator[tuple[str, type[Section]]]:
    from fgvr_kit import plugins
    from fgvr_kit.settings import describe_sections

    yield from ((name, model) for name, model in describe_sections() if name.startswith(begun))
    for name, room in _plugin_names().items():
        if (
            begun
            and name.startswith(begun)
            and (model := getattr(plugins.load(room, name), "Settings", None))
        ):
            yield name, model


def _plugin_names() -> dict[str, Room]:
    from fgvr_kit import plugins

    rooms: tuple[Room, ...] = ("recipes", "backends")
    return {name: room for room in rooms for name in plugins.names(room)}


def _values(ctx: typer.Context, key: str) -> Iterator[tuple[str, str]]:
    section, _, name = key.partition(".")
    if name == "backend":
        yield from _backends(ctx, "")
        return
    for known, model in _sections(section):
        if known == section and name in model.model_fields:
            kind = model.model_fields[name].annotation
            values = get_args(kind) if get_origin(kind) is Literal else ()
            yield from ((str(value), "") for value in (("true", "false") if kind is bool else values))


def _settings(ctx: typer.Context) -> Settings | None:
    """Of the workspace that the line names so far, or that is found from here upwards."""
    from fgvr_kit.settings import FILE_NAME, load

    folder = _folder(ctx)
    try:
        return load(folder / FILE_NAME) if folder else None
    except FgvrError:  # told by the next command that reads it
        return None


def _folder(ctx: typer.Context) -> Path | None:
    """The workspace's, if there is one."""
    from fgvr_kit.settings import FILE_NAME

    named = _workspace(ctx)
    here = Path.cwd()
    folders = (named,) if named else (here, *here.parents)
    return next((folder for folder in folders if (folder / FILE_NAME).is_file()), None)


def _workspace(ctx: typer.Context) -> Path | None:
    within: Any = ctx
    while within is not None:
        if named := within.params.get("workspace"):
            return Path(named)
        within = within.parent
    return None
