"""fgvr-kit check"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli import complete
from fgvr_kit.cli.opened import suggest_next, working
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.pipeline.check import Checked
    from fgvr_kit.types import Finding
    from fgvr_kit.workspace import Workspace

PAGE = "reports/check.html"
FOUND_PROBLEMS = 3
_MENDS = {
    "leak": "fgvr-kit check --regroup      (keeps each group on one side of the split; of a split that the dataset"
    " brings, training copies of test images are set aside)",
    "conflict": "fgvr-kit check --quarantine   (sets both pictures aside; or remove the wrong one and run init)",
}
SHOWN = 10
"""Findings of a kind that the terminal shows; the page and --json have them all."""


def command(
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,...",
            show_default=False,
            autocompletion=complete.kinds,
            help="Exit 3 when such findings are made (leak,conflict,no-test).",
        ),
    ] = None,
    quarantine: Annotated[
        bool,
        typer.Option(
            "--quarantine", help="Set suspicious images aside: rows are marked, no file is touched."
        ),
    ] = False,
    release: Annotated[
        bool,
        typer.Option("--release", help="Bring back every image that --quarantine or --regroup set aside."),
    ] = False,
    regroup: Annotated[
        bool,
        typer.Option(
            "--regroup",
            help="Mend the split: each group of images on one side; of a split that the dataset brings, training"
            " copies of test images are set aside.",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="CLIP",
            show_default=False,
            help="An open_clip model that looks for wrong labels, as in mine.",
        ),
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help=f"Write {PAGE}.")] = True,
    show_kinds: Annotated[
        bool, typer.Option("--kinds", help="Name every kind of finding and what it means, and check nothing.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """May numbers measured on this dataset be believed? Leaks, duplicates, broken files, shortcuts, and more.

    Needs no GPU and no LLM. Exit 3 when something of the kinds in --fail-on was found.

    Example: fgvr-kit check --json --fail-on leak,conflict,corrupt

    Example: fgvr-kit check --regroup --quarantine
    """
    note_command(workspace, json, verbose, set_)
    if show_kinds:
        _tell_kinds()
        return
    from fgvr_kit.pipeline.check import check

    if fail_on is not None:
        kinds = [kind.strip() for kind in fail_on.split(",") if kind.strip()]
        ROOT.overrides.append(f"check.fail_on={dumps(kinds)}")
    with working("check", {"check.model": model}) as (out, opened):
        checked = check(
            opened, quarantine=quarantine, release=release, regroup=regroup, progress=out.progress
        )
        out.summary(checked.summary)
        out.data |= {
            "failed": checked.failed,
            "figures": {name: dict(verdict.figures) for name, verdict in checked.verdicts.items()},
            "findings": [asdict(finding) for finding in checked.findings],
        }
        _tell(out, checked.findings)
        if page:
            out.data["page"] = _write_page(out, opened, checked)
        if mends := [_MENDS[kind] for kind in checked.failed if kind in _MENDS]:
            out.next += mends
        else:
            suggest_next(out, opened)
    if checked.failed:
        raise typer.Exit(FOUND_PROBLEMS)


def _write_page(out: Output, workspace: Workspace, checked: Checked) -> str:
    from fgvr_kit.report.check_page import CheckPage, write_check_page

    n_bytes = write_check_page(workspace.root / PAGE, CheckPage.of(checked), out.progress)
    out.say(f"page   {PAGE} ({n_bytes / 1e6:.1f} MB)")
    return PAGE


def _tell(out: Output, findings: Sequence[Finding]) -> None:
    """A table a severity: problems and warnings, the first of each kind."""
    for severity in ("problem", "warning"):
        rows: list[tuple[str, str]] = []
        of_severity = [f for f in findings if f.severity == severity]
        for kind in dict.fromkeys(f.kind for f in of_severity):
            same = [f for f in of_severity if f.kind == kind]
            rows += [(kind, f.message) for f in same[:SHOWN]]
            if len(same) > SHOWN:
                rows.append((kind, f"... and {len(same) - SHOWN:,} more"))
        if rows:
            out.table(f"{severity}s", ("kind", "what"), rows)


def _tell_kinds() -> None:
    from fgvr_kit.checks.base import kinds
    from fgvr_kit.cli.output import Output

    with Output("check") as out:
        out.data["kinds"] = kinds()
        out.table("kinds of findings", ("kind", "what it means"), list(kinds().items()))
