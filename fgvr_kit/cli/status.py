"""fgvr-kit status, and fgvr-kit alone"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli.opened import opened, suggest_next
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.types import ScannedImage


def command(
    skipped: Annotated[
        bool, typer.Option("--skipped", help="List every file that was left out, and why.")
    ] = False,
    licences: Annotated[
        bool, typer.Option("--licences", help="List who gave the images in use, and under which licence.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Where am I, what is done, what is stale, what is next."""
    note_command(workspace, json, verbose, set_)
    show(skipped, licences)


def show(skipped: bool = False, licences: bool = False) -> None:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.errors import WorkspaceError

    try:
        _show(skipped, licences)
    except WorkspaceError as error:
        if error.code != "no-workspace" or ROOT.workspace is not None:
            raise
        with Output("status") as out:  # a newcomer's first call: not a mistake
            out.data["workspace"] = None
            out.say(
                "There is no workspace here yet. Point me at a folder with one sub-folder of images a class:"
            )
            out.next += [
                "fgvr-kit init IMAGES",
                "fgvr-kit demo demo/     (the whole walk on real photographs, offline)",
            ]


def _show(skipped: bool, licences: bool) -> None:
    from fgvr_kit.status import steps

    with opened("status") as (out, workspace):
        store = workspace.store
        found = steps(workspace)
        out.data |= {
            "workspace": str(workspace.root),
            "dataset": workspace.settings.dataset.path,
            "steps": [asdict(step) for step in found],
            "replies": store.count("replies"),
        }
        if skipped:
            files = store.skipped()
            out.data["skipped"] = [asdict(file) for file in files]
            out.table("left out", ("file", "why"), [(file.path, file.reason) for file in files])
        if licences:
            _tell_licences(out, store.scanned())
        if skipped or licences:
            return
        out.table(
            f"workspace {workspace.root}",
            ("step", "state", "what stands"),
            [(step.name, step.state, step.told) for step in found],
        )
        suggest_next(out, workspace)


def _tell_licences(out: Output, images: Sequence[ScannedImage]) -> None:
    from fgvr_kit.dataset.licences import NOT_STATED, attributions

    found = attributions(image for image in images if not image.set_aside)
    out.data["licences"] = [asdict(one) for one in found]
    rows = [(one.licence or NOT_STATED, one.author or NOT_STATED, f"{one.n_images:,}") for one in found]
    out.table("licences", ("licence", "by", "images"), rows)
