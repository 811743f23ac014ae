"""fgvr-kit init"""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from fgvr_kit.cli import complete
from fgvr_kit.cli.opened import suggest_next
from fgvr_kit.cli.options import (
    ROOT,
    BackendOption,
    JsonOption,
    SetOption,
    VerboseOption,
    WorkspaceOption,
    note_command,
)
from fgvr_kit.cli.output import Output


def _quiet(text: str, **more: Any) -> Any:
    return typer.Option(help=text, show_default=False, **more)


class Command(typer.core.TyperCommand):
    """init, whose help names the layouts that are there, also those that other packages bring."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from fgvr_kit import plugins

        for parameter in self.params:
            if isinstance(parameter, typer.core.TyperOption) and parameter.name == "layout":
                parameter.help = f"How the images lie: auto, {', '.join(plugins.names('layouts'))}."
        super().format_help(ctx, formatter)


def command(
    images: Annotated[
        str | None,
        typer.Argument(
            help="A folder (CLASS/*.jpg, train|val|test/CLASS/*.jpg, the archives of the papers), a table"
            " (.csv, .tsv, .jsonl), COCO boxes (.json), Camtrap DP, or hf:org/name@revision. Default: this"
            " workspace's.",
            show_default=False,
        ),
    ] = None,
    superclass: Annotated[
        str | None, _quiet("What all classes have in common: 'beetle', 'euro coin'.")
    ] = None,
    unit: Annotated[str | None, _quiet("What one class is called: 'species', 'denomination'.")] = None,
    notes: Annotated[str | None, _quiet("What a model should know about the photographs.")] = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete.templates,
            show_default=False,
            help="Start from a domain's words, prompts and notes: birds, coins-and-banknotes, food, ...",
        ),
    ] = None,
    backend: BackendOption = None,
    max_calls: Annotated[int | None, _quiet("Most new replies that one step asks a model for.")] = None,
    layout: Annotated[
        str | None,
        _quiet("How the images lie; found out when left away.", autocompletion=complete.layouts),
    ] = None,
    path_col: Annotated[str | None, _quiet("Column of a table that names the image files.")] = None,
    label_col: Annotated[str | None, _quiet("Column that names the class.")] = None,
    split_col: Annotated[str | None, _quiet("Column that names the split ('none': make one).")] = None,
    group_col: Annotated[str | None, _quiet("Column of what must stay on one side of the split.")] = None,
    base: Annotated[
        Path | None,
        typer.Option(
            "--root",
            metavar="DIR",
            show_default=False,
            help="Folder that the paths in a table or COCO file start from.",
        ),
    ] = None,
    group_by: Annotated[
        list[str] | None,
        _quiet("Keep on one side, besides copies and bursts: a column, or 'name:REGEX'. Repeatable."),
    ] = None,
    test: Annotated[float | None, _quiet("Share of each class held out to test (0.2).")] = None,
    val: Annotated[float | None, _quiet("Share of each class held out to validate (0).")] = None,
    shots: Annotated[int | None, _quiet("Train on this many images of each class only.")] = None,
    only_licence: Annotated[
        str | None,
        _quiet("Use only images of these licences: cc0,cc-by. 'none': not stated.", metavar="NAME,..."),
    ] = None,
    resplit: Annotated[
        bool, typer.Option("--resplit", help="Draw the split anew: images move between training and test.")
    ] = False,
    merge_spellings: Annotated[
        bool,
        typer.Option("--merge-spellings", help="Make labels that are one name in two spellings one class."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; what is not said stays open.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Look at labelled images, split them, and make a workspace in the current directory.

    Writes fgvr.toml, classes.csv and .fgvr/, never anything into the image folder. Running it again
    is safe: new images are added and move no old one, files you edited are kept.

    Example: fgvr-kit init pests/ --superclass 'pest insect' --unit species

    On a terminal it then asks what it cannot know; every question has a flag, and --yes asks nothing.

    Example: fgvr-kit init labels.csv --path-col file --label-col species --group-by observer
    """
    from fgvr_kit import settings as settings_module
    from fgvr_kit import templates
    from fgvr_kit.cli.walkthrough import TEMPLATE, may_ask, walk_through
    from fgvr_kit.pipeline.init import init
    from fgvr_kit.workspace import Workspace

    note_command(workspace, json, verbose, set_)
    flags = {
        "domain.superclass": superclass, "domain.unit": unit, "domain.notes": notes,
        "discover.backend": backend, "extract.backend": backend, "describe.backend": backend,
        "ask.max_calls": max_calls, "dataset.layout": layout,
        "dataset.path_col": path_col, "dataset.label_col": label_col, "dataset.split_col": split_col,
        "dataset.group_col": group_col, "dataset.root": str(base.resolve()) if base else None,
        "dataset.group_by": _besides(group_by), "dataset.test": test, "dataset.val": val, "dataset.shots": shots,
        "dataset.only_licence": _listed(only_licence),
    }  # fmt: skip
    chosen = [f"{key}={_toml(value)}" for key, value in flags.items() if value not in (None, [])]
    overrides = [*ROOT.overrides, *chosen]
    wanted = templates.load(template) if template else None  # a misspelt name writes nothing
    with Output("init") as out:
        root = ROOT.workspace or Path.cwd()
        if images is None:
            with Workspace.find(ROOT.workspace) as standing:
                root, images = standing.root, _path_of(standing)
        out.summary(
            init(images, root, overrides, out.progress, resplit=resplit, merge_spellings=merge_spellings)
        )
        given = set(settings_module.chosen(overrides))
        if wanted:
            out.summary(templates.apply(wanted, root, leave=given))
        if may_ask(yes=yes, json=ROOT.json):
            walk_through(root, given | ({TEMPLATE} if wanted else set()), progress=out.progress)
        with Workspace.find(root) as opened:
            suggest_next(out, opened)


def _toml(value: Any) -> str:
    """JSON of texts, numbers and lists is TOML, where nothing is escaped in surrogate pairs, and DEL is escaped."""
    return dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _besides(ways: list[str] | None) -> list[str] | None:
    """What is grouped by always, and these. fgvr.toml can say less."""
    from fgvr_kit.settings import DatasetSettings

    return list(dict.fromkeys([*DatasetSettings().group_by, *ways])) if ways else None


def _listed(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text is not None else None


def _path_of(workspace: Any) -> str:
    from fgvr_kit.settings import HUB

    path = workspace.settings.dataset.path
    return path if path.startswith(HUB) else str(workspace.place)
