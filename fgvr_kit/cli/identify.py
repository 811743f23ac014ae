"""fgvr-kit attributes identify"""

from __future__ import annotations

from typing import Annotated

import typer

from fgvr_kit.cli.opened import suggest_next, working
from fgvr_kit.cli.options import (
    BackendOption,
    JsonOption,
    SetOption,
    VerboseOption,
    WorkspaceOption,
    note_command,
)


def command(
    backend: BackendOption = None,
    pictures: Annotated[
        int,
        typer.Option(
            "--pictures", min=1, help="Training pictures to show, four of different classes at a time."
        ),
    ] = 20,
    keep: Annotated[
        bool, typer.Option("--keep", help="Write the result also in place of what fgvr.toml says already.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Let a vision model vote on what all classes are: the superclass, and the word for one class.

    It is shown pictures and no label. The result is written into fgvr.toml where the default stands there.

    Example: fgvr-kit attributes identify --backend ollama:qwen3-vl:8b
    """
    from fgvr_kit.pipeline.identify import identify

    note_command(workspace, json, verbose, set_)
    with working("identify", {"extract.backend": backend}) as (out, opened_):
        out.summary(identify(opened_, n_pictures=pictures, keep=keep, progress=out.progress))
        suggest_next(out, opened_)
