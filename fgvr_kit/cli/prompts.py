"""fgvr-kit prompts"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli import compare, complete
from fgvr_kit.cli.opened import opened
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.pipeline.planted import Fault
    from fgvr_kit.rehearsal.preview import Preview
    from fgvr_kit.rehearsal.sent import Comparison
    from fgvr_kit.workspace import Workspace

FOUND_PROBLEMS = 3

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        show_default=False,
        autocompletion=complete.prompts,
        help="The prompt, such as extract/question; or a file.",
    ),
]
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME...", show_default=False, autocompletion=complete.prompts, help="The prompts."
    ),
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The words that models are sent.")


@app.callback()
def root() -> None:
    """The words that models are sent: what they are, what they become, what you made of them."""


@app.command("list")
def list_(
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Every prompt: where it comes from, whether it was edited, which steps send it."""
    from fgvr_kit.rehearsal.listed import list_prompts

    note_command(workspace, json, verbose, set_)
    with opened("prompts-list") as (out, opened_):
        found = list_prompts(opened_)
        out.data["prompts"] = [asdict(prompt) for prompt in found]
        out.table(
            "prompts",
            ("name", "from", "state", "sent by", "about"),
            [(p.name, p.origin, p.state, ", ".join(p.steps) or "-", p.about) for p in found],
        )
        out.next += [_with_workspace(f"fgvr-kit prompts {verb} NAME") for verb in ("show", "eject")]


@app.command("show")
def show(
    name: NameArgument,
    image: Annotated[
        str | None,
        typer.Option(
            "--image", metavar="FILE", show_default=False, help="Render for this image; default: the first."
        ),
    ] = None,
    attribute: Annotated[
        str | None,
        typer.Option(
            "--attribute",
            metavar="NAME",
            show_default=False,
            autocompletion=complete.attributes,
            help="Render for this attribute; default: the first.",
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The file as it is written, not rendered.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """What would be sent for one real image: the messages, the picture's size, the tokens. Nobody is asked.

    Example: fgvr-kit prompts show extract/question --image beetles/3.jpg --attribute wing_colour
    """
    note_command(workspace, json, verbose, set_)
    with opened("prompts-show") as (out, opened_):
        if raw:
            _show_raw(out, opened_, name)
            return
        from fgvr_kit.rehearsal.preview import preview

        found = preview(opened_, name, image=image, attribute=attribute)
        for flag, given, used in (
            ("--image", image, found.image),
            ("--attribute", attribute, found.attribute),
        ):
            if given and used is None:
                out.say(f"{flag} changes nothing: {found.prompt.name} is the same for all")
        _show(out, opened_, found)


@app.command("eject")
def eject(
    names: NamesArgument = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every prompt that the workspace has not got yet.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Throw away what was edited.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Copy prompts into the workspace's prompts/, to be edited there. From then on the copy is what is sent.

    A file that is there is never replaced, unless with --force.

    Example: fgvr-kit prompts eject extract/question
    """
    note_command(workspace, json, verbose, set_)
    with opened("prompts-eject") as (out, opened_), opened_.busy():
        wanted = _to_eject(opened_, names or [], all_, force)
        files = [opened_.prompts.eject(name, force=force) for name in wanted]
        out.data["files"] = [str(file.relative_to(opened_.root)) for file in files]
        out.table("copied", ("prompt", "to edit"), [(n, str(f)) for n, f in zip(wanted, files, strict=True)])
        if not files:
            out.say("nothing to copy: the workspace has all of them")
        _tell_what_hangs_on(out, opened_, wanted)
        if wanted:
            out.next += [_with_workspace(f"fgvr-kit prompts {verb} {wanted[0]}") for verb in ("show", "diff")]


@app.command("diff")
def diff(
    name: NameArgument,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="WHEN",
            show_default=False,
            help="Against what was really sent: last, a day (2026-10-03), or the start of a hash.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Your prompt against the shipped one; with --run, what is sent now against what was sent before.

    Example: fgvr-kit prompts diff extract/question --run last
    """
    from fgvr_kit.rehearsal.sent import against_shipped

    note_command(workspace, json, verbose, set_)
    with opened("prompts-diff") as (out, opened_):
        compared = against_shipped(opened_, name) if run is None else _against_sent(out, opened_, name, run)
        out.data |= {"old": compared.old, "new": compared.new, "diff": list(compared.lines)}
        if compared.lines:
            _print(out, "\n".join(compared.lines))
        else:
            out.say(f"no difference between {compared.old} and {compared.new}")


@app.command("lint")
def lint(
    names: NamesArgument = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Look for names of classes in prompts and questions, and for prompts that cannot be sent. Exit 3 when found.

    Example: fgvr-kit prompts lint
    """
    from fgvr_kit.pipeline.planted import lint as look

    note_command(workspace, json, verbose, set_)
    with opened("prompts-lint") as (out, opened_):
        wanted = [opened_.prompts.known(name) for name in names] if names else None
        faults = look(opened_, wanted)
        out.data["faults"] = [asdict(fault) for fault in faults]
        if faults:
            rows = [(f.kind, _place(fault=f, root=opened_.root), f.message) for f in faults]
            out.table("prompts: faults", ("kind", "where", "what"), rows)
            for kind, hint in dict.fromkeys((fault.kind, fault.hint) for fault in faults):
                out.say(f"{kind}: {hint}")
        else:
            out.say("nothing found")
    if faults:
        raise typer.Exit(FOUND_PROBLEMS)


app.command("compare")(compare.command)


def _show_raw(out: Output, workspace: Workspace, name: str) -> None:
    path = workspace.prompts.file(name)
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    out.data |= {"name": name, "path": str(path), "raw": text}
    _print(out, text.rstrip("\n"))


def _show(out: Output, workspace: Workspace, found: Preview) -> None:
    prompt, origin = found.prompt, workspace.prompts.origin(found.path).label
    out.data |= {
        "name": prompt.name, "path": str(found.path), "from": origin, "hash": prompt.template_hash,
        "image": found.image, "attribute": found.attribute, "backend": found.backend or None,
        "system": prompt.system, "user": prompt.text, "pictures": [list(size) for size in found.sizes],
        "tokens": found.tokens._asdict(),
    }  # fmt: skip
    rows = [("from", f"{origin} ({found.path})")]
    rows += [("image", found.image)] if found.image else []
    rows += [("attribute", found.attribute)] if found.attribute else []
    rows.append(("to", _to_whom(found)))
    rows += [("picture as sent", f"{width} x {height} px") for width, height in found.sizes]
    low, likely, high = (f"{n:,.0f}" for n in found.tokens)
    rows += [("tokens", f"about {likely} ({low} to {high})")] if found.tokens.high else []
    out.table(prompt.name, None, rows)
    if prompt.system:
        _print(out, f"--- system ---\n{prompt.system}")
    _print(out, f"--- {'user' if found.is_sent else 'text'} ---\n{prompt.text}")


def _to_whom(found: Preview) -> str:
    if found.is_sent:
        return found.backend or "nobody is named yet"
    is_clip = found.prompt.name.startswith("mine/") or found.prompt.name == "extract/clip"
    return f"CLIP {found.backend}".rstrip() if is_clip else "nobody"


def _to_eject(workspace: Workspace, names: Sequence[str], every: bool, force: bool) -> list[str]:
    """Checked before the first is written."""
    from fgvr_kit.errors import UsageError

    prompts = workspace.prompts
    if every == bool(names):
        raise UsageError(
            "say which prompts to copy, or --all"
            if not names
            else "names and --all say two different things",
            code="prompts-eject-what",
            hint=f"fgvr-kit prompts eject extract/question; there are: {', '.join(prompts.names())}",
        )
    if every:
        beneath = [name for name in prompts.names() if prompts.beneath(name)]
        return [name for name in beneath if force or not prompts.is_own(name)]
    for name in names:
        prompts.refuse_eject(name, force=force)
    return list(dict.fromkeys(name.removesuffix(".md") for name in names))


def _tell_what_hangs_on(out: Output, workspace: Workspace, names: Sequence[str]) -> None:
    from fgvr_kit.rehearsal.steps import steps_changed_by

    changed = dict.fromkeys(step for name in names for step in steps_changed_by(workspace, name))
    out.data["makes stale"] = list(changed)
    if changed:
        out.say(f"edit, and these steps become stale: {', '.join(changed)}")


def _against_sent(out: Output, workspace: Workspace, name: str, when: str) -> Comparison:
    from fgvr_kit.rehearsal.sent import against_sent, choose, wordings

    name = workspace.prompts.known(name)
    found = wordings(workspace, name)
    out.data["wordings"] = [asdict(wording) for wording in found]
    chosen = choose(name, found, when)
    out.table(
        f"sent as {name}",
        ("hash", "replies", "first", "last", "to", ""),
        [
            (w.template_hash[:8], f"{w.n:,}", w.first[:16], w.last[:16], ", ".join(w.backends),
             "in force" if w.is_current else "compared" if w is chosen else "")
            for w in found
        ],
    )  # fmt: skip
    return against_sent(workspace, name, chosen)


def _place(fault: Fault, root: Path) -> str:
    path = Path(fault.where)
    where = str(path.relative_to(root)) if path.is_relative_to(root) else fault.where
    return f"{where}:{fault.line}" if fault.line else where


def _print(out: Output, text: str) -> None:
    """Words for a pipe: on stdout, as they are."""
    if not out.is_json:
        sys.stdout.write(text + "\n")


def _with_workspace(command: str) -> str:
    return command + (f" -w {shlex.quote(str(ROOT.workspace))}" if ROOT.workspace else "")
