"""Options that commands share, each declared once, and what the root command was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from fgvr_kit.cli import complete
from fgvr_kit.errors import UsageError

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        metavar="DIR",
        help="The workspace; default: found from here upwards.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
VerboseOption = Annotated[
    int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Tell more; -vv tells all.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        show_default=False,
        autocompletion=complete.settings,
        help="Change one setting for this command.",
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        "-b",
        metavar="ROOM:MODEL",
        show_default=False,
        autocompletion=complete.backends,
        help="Who answers: openai:MODEL, ollama:MODEL, transformers:PATH or replay:FILE.",
    ),
]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Ask again where the stored reply was no usable answer.")
]


PlanOption = Annotated[bool, typer.Option("--plan", help="Tell calls, tokens, time and price; ask nobody.")]
CalibrateOption = Annotated[
    bool, typer.Option("--calibrate", help="With --plan: make five real calls first; their replies are kept.")
]
BudgetOption = Annotated[
    float | None,
    typer.Option(
        "--budget",
        metavar="USD",
        show_default=False,
        help="Stop before more than this is spent (exit code 4).",
    ),
]
PullOption = Annotated[
    bool, typer.Option("--pull", help="Have Ollama fetch the model first, if it is not there.")
]
BatchOption = Annotated[
    bool,
    typer.Option("--batch", help="Through OpenAI's Batch API: cheaper, within a day; run again to collect."),
]


@dataclass
class Root:
    """What stood before the sub-command; a command's own option wins.  schema: of the output that has begun."""

    workspace: Path | None = None
    json: bool = False
    verbose: int = 0
    overrides: list[str] = field(default_factory=list)
    schema: str = ""


ROOT = Root()


def note_root(workspace: Path | None, json: bool, verbose: int, overrides: list[str] | None) -> None:
    ROOT.workspace, ROOT.json, ROOT.verbose = workspace, json, verbose
    ROOT.overrides = list(overrides or [])


def note_command(workspace: Path | None, json: bool, verbose: int, overrides: list[str] | None) -> None:
    ROOT.workspace = workspace or ROOT.workspace
    ROOT.json = json or ROOT.json
    ROOT.verbose = max(verbose, ROOT.verbose)
    ROOT.overrides += overrides or []


def note_budget(usd: float | None) -> None:
    """A budget is for one command: it is never kept in fgvr.toml. Raises UsageError for one that pays for nothing."""
    if usd is not None:
        if not usd > 0:
            raise UsageError(
                f"a budget of {usd:g} USD pays for nothing", code="budget-value", hint="--budget 5.00"
            )
        ROOT.overrides.append(f"ask.budget={usd}")
