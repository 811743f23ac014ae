"""fgvr-kit mine"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli.opened import suggest_next, working
from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.pipeline.mine import Mined
    from fgvr_kit.workspace import Workspace

PAGE = "reports/look-alikes.html"


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
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="hard|random", show_default=False, help="Negatives: look-alikes, or drawn at random."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="text|centroid|image",
            show_default=False,
            help="What of a class an image is compared with: its text, the mean of its images, or each of them.",
        ),
    ] = None,
    pick: Annotated[
        str | None,
        typer.Option(
            metavar="nearest|random", show_default=False, help="Which image of a look-alike class is taken."
        ),
    ] = None,
    negatives: Annotated[
        int | None, typer.Option(metavar="N", show_default=False, help="Negatives of each training image.")
    ] = None,
    options: Annotated[
        str | None,
        typer.Option(
            metavar="hard|random|mixed", show_default=False, help="Wrong choices of the test questions."
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="How CLIP is told of a class: mine/class, or mine/ensemble.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", show_default=False, help="Of what is drawn, and of the places of options."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="fp32|bf16|fp16", show_default=False, help="What the CLIP model computes in."),
    ] = None,
    read_foci: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default=False, help="Take the options out of this option file of FOCI."
        ),
    ] = None,
    write_foci: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Write the options as an option file of FOCI."),
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help=f"Write {PAGE}.")] = True,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Find look-alikes: hard negatives for each training image, options for each test image.

    Example: fgvr-kit mine --model ViT-B-32:laion2b_s34b_b79k

    Example: fgvr-kit mine --by image --options mixed --seed 3 --write-foci options.json
    """
    from fgvr_kit.pipeline.mine import mine

    own = ['mine.options_file=""', *(set_ or [])] if options else set_  # of a file of FOCI, nothing is chosen
    note_command(workspace, json, verbose, own)
    choices = {
        "mine.model": model,
        "mine.kind": kind,
        "mine.by": by,
        "mine.pick": pick,
        "mine.n_negatives": negatives,
        "mine.options": options,
        "mine.prompt": prompt,
        "mine.seed": seed,
        "mine.precision": precision,
        "mine.options_file": _chosen_file(read_foci, options, workspace),
    }
    with working("mine", choices) as (out, opened):
        mined = mine(opened, out.progress)
        out.summary(mined.summary)
        if write_foci:
            _write_foci(out, opened, write_foci)
        if page:
            out.data["page"] = _write_page(out, opened, mined)
        suggest_next(out, opened)


def _chosen_file(file: Path | None, options: str | None, workspace: Path | None) -> str | None:
    """As it is written into fgvr.toml: inside the workspace as seen from there, so that it can be moved."""
    from fgvr_kit.settings import FILE_NAME

    if file is None:
        return None
    if options:
        from fgvr_kit.errors import UsageError

        raise UsageError(
            "--read-foci and --options say two different things", code="options-twice",
            hint="the choices of a file are taken as they are; leave one of the two away",
        )  # fmt: skip
    place = file.resolve()
    folders = (Path.cwd(), *Path.cwd().parents) if workspace is None else (workspace.resolve(),)
    root = next((folder for folder in folders if (folder / FILE_NAME).is_file()), None)
    return place.relative_to(root).as_posix() if root and place.is_relative_to(root) else str(place)


def _write_foci(out: Output, workspace: Workspace, path: Path) -> None:
    from fgvr_kit.pipeline.mine import write_foci

    n = write_foci(workspace, path)
    out.data["foci"] = {"file": str(path), "questions": n}
    out.say(f"options of {n:,} test images   {path}")


def _write_page(out: Output, workspace: Workspace, mined: Mined) -> str:
    from fgvr_kit.report.look_alikes_page import LookAlikesPage, write_look_alikes_page

    n_bytes = write_look_alikes_page(workspace.root / PAGE, LookAlikesPage.of(workspace, mined), out.progress)
    out.say(f"page   {PAGE} ({n_bytes / 1e6:.1f} MB)")
    return PAGE
