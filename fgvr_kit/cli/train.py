"""fgvr-kit train"""

from __future__ import annotations

from typing import Annotated

import typer

from fgvr_kit.cli import complete
from fgvr_kit.cli.opened import suggest_next, working
from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="ID",
        show_default=False,
        help="Base model: a hub id or a folder, such as HuggingFaceM4/idefics2-8b.",
    ),
]


def command(
    model: ModelOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Which paper's recipe.", show_default=False, autocompletion=complete.recipes),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Train the recipe's stages with LoRA. Finished stages are kept, a killed one goes on where it was.

    How it trains stands in fgvr.toml, in the recipe's section ([finedefics]): edit it there, so that eval and
    status know of it.

    Example: fgvr-kit train --model Qwen/Qwen2.5-VL-7B-Instruct
    """
    from fgvr_kit.training.run import train_recipe

    note_command(workspace, json, verbose, set_)
    with working("train", {"train.model": model, "train.recipe": recipe}) as (out, opened_):
        checkpoint, summaries = train_recipe(opened_, out.progress)
        for summary in summaries:
            out.summary(summary)
        out.data["adapter"] = str(checkpoint.adapter)
        out.say(f"adapter  {checkpoint.adapter}")
        suggest_next(out, opened_)
