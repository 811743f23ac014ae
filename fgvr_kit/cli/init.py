"""fgvr-kit init"""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from fgvr_kit.cli.opened import suggest_next
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command
from fgvr_kit.cli.output import Output


def command(
    images: Annotated[Path, typer.Argument(help="The folder: CLASS/*.jpg, or train|val|test/CLASS/*.jpg.")],
    superclass: Annotated[
        str | None,
        typer.Option(help="What all classes have in common: 'beetle', 'euro coin'.", show_default=False),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="What one class is called: 'species', 'denomination'.", show_default=False),
    ] = None,
    resplit: Annotated[
        bool, typer.Option("--resplit", help="Draw the split anew: images move between training and test.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Look at a labelled image folder, split it, and make a workspace in the current directory.

    Writes fgvr.toml, classes.csv, prompts/ and .fgvr/, never anything into the image folder. Running it again
    is safe: new images are added, files you edited are kept.

    Example: fgvr-kit init pests/ --superclass 'pest insect' --unit species
    """
    from fgvr_kit.pipeline.init import init
    from fgvr_kit.workspace import Workspace

    note_command(workspace, json, verbose, set_)
    chosen = [
        f"domain.{key}={dumps(value)}" for key, value in (("superclass", superclass), ("unit", unit)) if value
    ]
    with Output("init") as out:
        root = ROOT.workspace or Path.cwd()
        out.summary(init(images, root, [*ROOT.overrides, *chosen], out.progress, resplit=resplit))
        with Workspace.find(root) as opened:
            suggest_next(out, opened)
