"""fgvr-kit errors"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli import complete
from fgvr_kit.cli.opened import opened
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.pipeline.failed import Failed, Group

_MOST_SAID = 160  # characters of a reply shown as an example


def command(
    purpose: Annotated[
        str | None,
        typer.Option(
            "--purpose",
            metavar="STEP",
            show_default=False,
            autocompletion=complete.purposes,
            help="Only those of extract, describe, discover, or another step of the table.",
        ),
    ] = None,
    attribute: Annotated[
        str | None,
        typer.Option(
            "--attribute",
            metavar="NAME",
            show_default=False,
            autocompletion=complete.attributes,
            help="Only those about this attribute.",
        ),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Also those of other backends, earlier prompts, attributes not asked any more, pictures gone.",
        ),
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Which replies hold no answer, which requests got no reply, why, and what asks only those again.

    --json lists every one of them under data.errors, each with the image, the reason and what was said.

    Example: fgvr-kit errors --purpose extract --json | jq -c '.data.errors[]'
    """
    from fgvr_kit.pipeline.failed import COMMANDS, failed, groups

    note_command(workspace, json, verbose, set_)
    with opened("errors") as (out, opened_):
        if purpose not in (None, *COMMANDS):
            _refuse_unknown(purpose, dict.fromkeys([*COMMANDS, *(row.purpose for row in failed(opened_))]))
        found = failed(opened_, purpose, attribute)
        shown = [row for row in found if all_ or row.is_current]
        grouped = groups(opened_, shown)
        out.data |= {
            "errors": [asdict(row) for row in shown],
            "groups": [asdict(group) for group in grouped],
            "outdated": sum(not row.is_current for row in found),
        }
        _tell(out, shown, grouped)
        if hidden := len(found) - len(shown):
            out.say(
                f"{hidden:,} more are of other backends, earlier prompts, attributes that are not asked any more, or"
                " pictures that are gone: --all"
            )
        commands = dict.fromkeys(group.command for group in grouped if group.command)
        place = f" -w {shlex.quote(str(ROOT.workspace))}" if ROOT.workspace else ""
        out.next += [command + place for command in commands]


def _refuse_unknown(purpose: str | None, known: Collection[str]) -> None:
    from fgvr_kit.errors import UsageError

    if purpose not in known:
        raise UsageError(
            f"no step is called {purpose!r}",
            code="unknown-purpose",
            where="--purpose",
            hint=f"steps that ask models: {', '.join(known)}",
        )


def _tell(out: Output, shown: list[Failed], grouped: list[Group]) -> None:
    if not shown:
        out.say("every reply holds an answer, and every request has its reply")
        return
    rows = [
        (group.purpose, group.reason, f"{group.n:,}", group.backend, _sentences(group.why, group.hint),
         ", ".join(group.examples) + (", ..." if group.n > len(group.examples) else ""))
        for group in grouped
    ]  # fmt: skip
    out.table(
        "without an answer", ("step", "reason", "how many", "asked", "why, and what helps", "such as"), rows
    )
    if ROOT.verbose:
        said = [
            (row.image or "?", row.attribute or "-", row.reason, _shortened(row.text or row.why))
            for row in shown
        ]
        out.table("one by one", ("image", "attribute", "reason", "said"), said)


def _sentences(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_SAID else line[: _MOST_SAID - 3] + "..."
