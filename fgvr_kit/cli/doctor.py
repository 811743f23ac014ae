"""fgvr-kit doctor"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

if TYPE_CHECKING:
    from fgvr_kit.doctor.diagnosis import Diagnosis

FOUND_PROBLEMS = 3


def command(
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Import transformers and peft too, as training does (half a minute)."),
    ] = False,
    models: Annotated[
        bool,
        typer.Option(
            "--models",
            help="Send one picture and one question to each backend in fgvr.toml; a server may charge.",
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Is this machine fit for the walk? Packages, GPU, disk, servers and keys, and the workspace if there is one.

    Each line is ok, unchecked (nobody was asked), a warning (it limits what can be done) or a problem (something will
    not work), with what to do about it. Exit 3 when there is a problem. Nothing is downloaded; keys are never shown.

    Example: fgvr-kit doctor --models
    """
    from fgvr_kit.cli.output import Output
    from fgvr_kit.doctor.examine import examine

    note_command(workspace, json, verbose, set_)
    with Output("doctor") as out:
        out.say("looking at this machine; torch takes some seconds ...")
        found = examine(ROOT.workspace, ROOT.overrides, deep=deep, models=models, progress=out.progress)
        counts = {
            state: sum(diagnosis.state == state for diagnosis in found) for state in ("problem", "warning")
        }
        n_unchecked = sum(diagnosis.state == "unchecked" for diagnosis in found)
        out.data |= {
            "diagnoses": [asdict(diagnosis) for diagnosis in found],
            "problems": counts["problem"],
            "warnings": counts["warning"],
        }
        out.table("doctor", ("state", "what", "seen"), [_row(diagnosis) for diagnosis in found])
        unchecked = f", {n_unchecked} not checked" if n_unchecked else ""
        out.say(", ".join(_counted(n, state) for state, n in counts.items()) + unchecked)
        if not counts["problem"]:
            is_inside = any(diagnosis.name == "database" for diagnosis in found)
            named = f" -w {shlex.quote(str(ROOT.workspace))}" if ROOT.workspace else ""
            out.next.append(f"fgvr-kit status{named}" if is_inside else "fgvr-kit init IMAGES")
    if counts["problem"]:
        raise typer.Exit(FOUND_PROBLEMS)


def _row(diagnosis: Diagnosis) -> tuple[str, str, str]:
    fix = f"\nfix: {diagnosis.fix}" if diagnosis.fix else ""
    return diagnosis.state, diagnosis.name, diagnosis.seen + fix


def _counted(n: int, what: str) -> str:
    return f"{n or 'no'} {what}{'' if n == 1 else 's'}"
