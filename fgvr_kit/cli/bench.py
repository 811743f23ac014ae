"""fgvr-kit bench"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, note_command

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What can be measured without a dataset.")


@app.command("toy")
def toy(
    folder: Annotated[
        Path, typer.Argument(help="Where to make the benchmark's workspace.", show_default=False)
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", show_default=False, help="Ablations; eight of them."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Trainings of each.")] = 5,
    train: Annotated[int, typer.Option("--train-images", min=2, help="Of each class.")] = 12,
    test: Annotated[int, typer.Option("--test-images", min=1, help="Of each class.")] = 12,
    world: Annotated[
        int, typer.Option("--world", min=0, help="Draw other pictures of the same classes.")
    ] = 0,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Make the workspace and its look-alikes; train nothing.")
    ] = False,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Twenty drawn classes in groups of four look-alikes: does the method work, and what of it?

    The pictures are drawn, and described without a mistake; the models are toys. Stages are trained with several
    seeds and compared on drawn test pictures. Killed, the same command goes on where it was.

    Example: fgvr-kit bench toy bench/ instruct-only --seeds 3
    """
    from fgvr_kit.cli import ablate as ablating
    from fgvr_kit.cli.output import Output
    from fgvr_kit.drawn.pictures import Sizes
    from fgvr_kit.drawn.walk import COMPARED
    from fgvr_kit.drawn.walk import prepare as make
    from fgvr_kit.training.ablation.ablate import ablate
    from fgvr_kit.training.ablation.variants import trials
    from fgvr_kit.workspace import Workspace

    note_command(None, json, verbose, set_)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch; more threads slow models as small as these
    with Output("bench toy") as out:
        make(folder, Sizes(train, test, world), out.progress)
        out.data["workspace"] = str(folder)
        if prepare:
            out.next.append(f"fgvr-kit eval --baselines -w {shlex.quote(str(folder))}")
            return
        with Workspace.find(folder, ROOT.overrides) as workspace, workspace.busy():
            ablating.tell(
                out,
                ablate(
                    workspace, trials(workspace, names or list(COMPARED), seeds, ROOT.overrides), out.progress
                ),
            )


def types_told() -> dict[str, Any]:
    """Key -> type of what stands under "data"."""
    from fgvr_kit.training.ablation.ablate import Result

    return {"workspace": str, "results": list[Result]}
