"""fgvr-kit attributes report|keep|drop|merge: which attributes are worth asking for, and the list that says so."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli import complete
from fgvr_kit.cli.opened import opened
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command
from fgvr_kit.errors import UsageError

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.pipeline.quality import Measured, Quality
    from fgvr_kit.pipeline.quality.kept import Change, Edit
    from fgvr_kit.workspace import Workspace

PAGE = "reports/attributes.html"

NamesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...", show_default=False, autocompletion=complete.attributes, help="The attributes."
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Say what would change, and change nothing.")
]
NoteOption = Annotated[
    str | None,
    typer.Option("--note", metavar="TEXT", show_default=False, help="What column note shall say."),
]


def register(app: typer.Typer) -> None:
    """Give the commands of this file to `fgvr-kit attributes`."""
    for name, function in (("report", report), ("keep", keep), ("drop", drop), ("merge", merge)):
        app.command(name)(function)


def report(
    pairs: Annotated[
        int, typer.Option("--pairs", min=1, max=200, help="How many pairs of look-alikes are looked at.")
    ] = 10,
    page: Annotated[bool, typer.Option("--page/--no-page", help=f"Write {PAGE}.")] = True,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Which attributes are worth asking for: answered, visible, steady, and telling of the class. Asks nobody.

    Measured on training images only, because it decides what is kept. told: mutual information of the answer's words
    and the class, as a share of what can be known; a lower bound, learned from other images than it is measured on.
    p: chance of as much by shuffling.

    Example: fgvr-kit attributes report --pairs 20
    """
    from fgvr_kit.pipeline.quality import report as measure

    note_command(workspace, json, verbose, set_)
    with opened("attributes-report") as (out, opened_):
        found = measure(opened_, n_pairs=pairs, progress=out.progress)
        _tell(out, found)
        if page:
            out.data["page"] = _write_page(out, opened_, found)
        _suggest(out, found)


def keep(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", show_default=False, autocompletion=complete.attributes_not_asked,
            help="The attributes.",
        ),
    ],
    note: NoteOption = None,
    dry_run: DryRunOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:  # fmt: skip
    """Ask for attributes again that were dropped or merged. Answers that are stored are not paid for again.

    Example: fgvr-kit attributes keep wing_colour
    """
    from fgvr_kit.pipeline.quality import kept

    note_command(workspace, json, verbose, set_)
    with opened("attributes-keep") as (out, opened_), opened_.busy():
        stale = _would_be_stale(opened_)
        _tell_changes(out, opened_, kept.keep(opened_, names, note=note, dry_run=dry_run), stale, dry_run)


def drop(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...", show_default=False, autocompletion=complete.attributes, help="The attributes."
        ),
    ] = None,
    suggested: Annotated[
        bool, typer.Option("--suggested", help="Those that `attributes report` would drop.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --suggested: do not ask.")] = False,
    note: NoteOption = None,
    dry_run: DryRunOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Ask for attributes no longer. Their rows and their replies stay; `attributes keep` brings them back.

    Example: fgvr-kit attributes drop --suggested --dry-run
    """
    from fgvr_kit.pipeline.quality import kept

    note_command(workspace, json, verbose, set_)
    _refuse_unclear(names, suggested)
    with opened("attributes-drop") as (out, opened_), opened_.busy():
        why = _suggested(out, opened_) if suggested else {}
        chosen = list(why) if suggested else list(names or [])
        if suggested and why and not (dry_run or _is_agreed(out, len(why), yes)):
            out.say("nothing was changed")
            return
        stale = _would_be_stale(opened_)
        changes = kept.drop(opened_, chosen, why=why, note=note, dry_run=dry_run) if chosen else []
        _tell_changes(out, opened_, changes, stale, dry_run)


def merge(
    names: NamesArgument,
    as_: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", show_default=False, help="What it is called; default: as the first."
        ),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(
            "--question", metavar="TEXT", show_default=False, help="In place of the question of the first."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Make one attribute of several that ask for the same: the first is asked for, the others no longer.

    Example: fgvr-kit attributes merge wing_colour colour_of_wings
    """
    from fgvr_kit.pipeline.quality import kept

    note_command(workspace, json, verbose, set_)
    with opened("attributes-merge") as (out, opened_), opened_.busy():
        stale = _would_be_stale(opened_)
        changes = kept.merge(opened_, names, new_name=as_, question=question, dry_run=dry_run)
        if lost := kept.lost_options(opened_, names[0], names[1:]):
            out.say(
                f"its list of values lacks: {', '.join(lost)}; add them in column options of attributes.csv"
            )
        if as_ or question:
            out.say("a new name or question is asked anew in every image")
        if n := kept.corrections_left(opened_, changes):
            out.say(
                f"{n:,} {'correction' if n == 1 else 'corrections'} by people stay with the old names: they are not"
                " lost, and not taken for answers to the merged attribute"
            )
        _tell_changes(out, opened_, changes, stale, dry_run)


# --- the report ---------------------------------------------------------------------------------------------


def _tell(out: Output, found: Quality) -> None:
    out.data |= asdict(found)
    rows = [(*_cells(one.measured), one.suggestion, one.judgement) for one in found.attributes]
    out.table(
        f"attributes, measured on {found.n_images:,} training images of {found.n_classes:,} classes in"
        f" {found.n_groups:,} groups; in %",
        (
            "attribute",
            "answered",
            "not visible",
            "values",
            "most frequent",
            "agreement",
            "told",
            "p",
            "suggestion",
            "why",
        ),
        rows,
    )
    out.say(f"pairs of classes looked at: {len(found.pairs)}, from {found.pairs_from}")
    out.notes(found.notes)


def _cells(one: Measured) -> tuple[str, ...]:
    agreed = "-" if one.agreement is None else f"{100 * one.agreement:.0f}"
    if one.agreement_beyond_chance is not None:
        agreed += f" ({one.agreement_beyond_chance:.2f} beyond chance)"
    return (
        one.name, f"{100 * one.coverage:.0f}", f"{100 * one.not_visible:.0f}", f"{one.n_values:,}",
        f"{100 * one.constancy:.0f}", agreed,
        "-" if one.information is None else f"{100 * one.information:.1f}",
        "-" if one.p is None else f"{one.p:.3f}",
    )  # fmt: skip


def _write_page(out: Output, workspace: Workspace, found: Quality) -> str:
    from fgvr_kit.report.attributes_page import AttributesPage, write_attributes_page

    n_bytes = write_attributes_page(workspace.root / PAGE, AttributesPage.of(workspace, found))
    out.say(f"page   {PAGE} ({n_bytes / 1e3:.0f} kB)")
    return PAGE


def _suggest(out: Output, found: Quality) -> None:
    if found.suggested:
        out.next.append(_with_workspace("fgvr-kit attributes drop --suggested"))
    for one in found.attributes:
        if one.suggestion == "merge":
            names = shlex.join([one.measured.same_as or "", one.measured.name])
            out.next.append(_with_workspace(f"fgvr-kit attributes merge {names}"))


# --- the list -----------------------------------------------------------------------------------------------


def _refuse_unclear(names: Sequence[str] | None, suggested: bool) -> None:
    if suggested == bool(names):
        raise UsageError(
            "names and --suggested say two different things" if names else "say which attributes to drop",
            code="attributes-drop-what",
            hint="fgvr-kit attributes drop NAME..., or --suggested for what `attributes report` would drop",
        )


def _suggested(out: Output, workspace: Workspace) -> dict[str, str]:
    """Attribute -> why it is better dropped; shown."""
    from fgvr_kit.pipeline.quality import report as measure

    found = measure(workspace, progress=out.progress).suggested
    if found:
        out.table("better dropped", ("attribute", "why"), list(found.items()))
    else:
        out.say("no attribute is better dropped")
    return found


def _is_agreed(out: Output, n: int, yes: bool) -> bool:
    from fgvr_kit.cli.walkthrough import may_ask

    if yes:
        return True
    if not may_ask(yes=yes, json=out.is_json):
        raise UsageError(
            "nobody is here to be asked whether these shall be dropped", code="needs-yes",
            hint="--yes drops them; --dry-run only says which",
        )  # fmt: skip
    return typer.confirm(f"Drop {'it' if n == 1 else f'these {n}'}?", err=True)


def _tell_changes(
    out: Output, workspace: Workspace, changes: Sequence[Change], stale: list[str], dry_run: bool
) -> None:
    stale = stale if any(change.asks_otherwise for change in changes) else []
    out.data |= {"changes": [asdict(change) for change in changes], "stale": stale, "dry_run": dry_run}
    if not changes:
        out.say("nothing to change: attributes.csv says so already")
        return
    rows = [
        (c.attribute, "new" if c.new else c.before or "asked for", c.after or "asked for") for c in changes
    ]
    out.table(
        "attributes.csv" + (" (not written: --dry-run)" if dry_run else ""),
        ("attribute", "before", "now"),
        rows,
    )
    for change in changes:
        for edit in change.edits:
            out.say(_told(change, edit))
    if any(change.before != change.after for change in changes):
        out.say("rows and stored replies stay; fgvr-kit attributes keep NAME brings one back")
    if stale:
        out.say(f"{'would become' if dry_run else 'now'} stale: {', '.join(stale)}")
        out.say(_price_of_it(workspace))
        out.next.append(_with_workspace("fgvr-kit attributes extract"))


def _told(change: Change, edit: Edit) -> str:
    said = f"{change.attribute}: {edit.column} is {edit.after!r}, was {edit.before!r}"
    if edit.column == "superclass" and not edit.after:
        said += ": the merged ones were not all of it, so that every class is asked"
    is_kept = not change.new and edit.column != "note" and edit.before
    return said + (" (kept in column note)" if is_kept else "")


def _price_of_it(workspace: Workspace) -> str:
    if workspace.settings.extract.ask == "joint":
        return (
            'extract asks every image again: with [extract] ask = "joint" another list is another question'
            " (fgvr-kit attributes extract --plan tells the price)"
        )
    return "extract asks nothing again that is stored; it asks only for what was never asked"


def _would_be_stale(workspace: Workspace) -> list[str]:
    """The steps that stand now and rest on the list of attributes."""
    from fgvr_kit.status import RESTS_ON, steps

    resting = {"extract"}
    for step, before in RESTS_ON.items():  # in the order of the walk
        if resting & set(before):
            resting.add(step)
    return [step.name for step in steps(workspace) if step.state == "done" and step.name in resting]


def _with_workspace(command: str) -> str:
    return command + (f" -w {shlex.quote(str(ROOT.workspace))}" if ROOT.workspace else "")
