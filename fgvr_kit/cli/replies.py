"""fgvr-kit replies"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgvr_kit.cli.opened import opened
from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="What models have said in this workspace."
)


@app.callback()
def root() -> None:
    """What models have said in this workspace."""


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="The JSONL to write.")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Write every usable reply to a file that `--backend replay:FILE` answers from, here or elsewhere.

    Example: fgvr-kit replies export replies.jsonl
    """
    from fgvr_kit.backends.replay import export_replies

    note_command(workspace, json, verbose, set_)
    with opened("replies-export") as (out, opened_):
        n = export_replies(opened_.store, file)
        out.data |= {"replies": n, "file": str(file)}
        out.say(f"{n:,} replies written to {file}")
        out.next.append(f"fgvr-kit attributes --backend replay:{file}")
