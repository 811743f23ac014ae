"""fgvr-kit mine"""

from __future__ import annotations

from typing import Annotated

import typer

from fgvr_kit.cli.opened import suggest_next, working
from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command


def command(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="ARCH:PRETRAINED",
            show_default=False,
            help="open_clip model; ViT-L-14:laion2b_s32b_b82k is what FOCI used.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Find look-alikes: hard negatives for each training image, options for each test image.

    Example: fgvr-kit mine --model ViT-B-32:laion2b_s34b_b79k
    """
    from fgvr_kit.pipeline.mine import mine

    note_command(workspace, json, verbose, set_)
    with working("mine", {"mine.model": model}) as (out, opened_):
        out.summary(mine(opened_, out.progress))
        suggest_next(out, opened_)
