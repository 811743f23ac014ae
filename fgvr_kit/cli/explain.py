"""fgvr-kit explain"""

from __future__ import annotations

import json as json_module
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgvr_kit.cli import complete
from fgvr_kit.cli.opened import opened
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.pipeline.explain import Explained, Missing, Reply, Spent, Told

_SHORT = 12  # digits of a hash that people are shown


def command(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            show_default=False,
            autocompletion=complete.images,
            help="Its path in the dataset, its file, or an end of its path; a box is FILE#NAME.",
        ),
    ],
    attribute: Annotated[
        str | None,
        typer.Option(
            "--attribute",
            metavar="NAME",
            show_default=False,
            autocompletion=complete.attributes,
            help="Only this one, with all that was sent and said.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Why is this image described so: its description, its answers, the replies behind them, and what they cost.

    -v shows for every reply what was sent and what came back; --attribute does so for one.

    Example: fgvr-kit explain beetles/3.jpg --attribute wing_colour
    """
    from fgvr_kit.pipeline.explain import explain

    note_command(workspace, json, verbose, set_)
    with opened("explain") as (out, opened_):
        found = explain(opened_, image, attribute)
        out.data |= asdict(found)
        _tell(out, found, is_whole=bool(attribute) or ROOT.verbose > 0)
        if attribute is None and not ROOT.verbose and found.replies:
            out.say("what was sent and what was said: -v, or --attribute NAME for one of them")
            out.next.append(_closer(found))


def _closer(found: Explained) -> str:
    """The command that shows all of one attribute: of one that lacks its answer where there is such."""
    asked = {reply.attribute for reply in found.replies}
    missing = [one.what for one in found.missing if one.what in asked]
    names = [*missing, *(one.attribute for one in found.answers)]
    # The whole path: what was typed may be an end of it that fits another picture tomorrow.
    words = ["fgvr-kit", "explain", found.image.path, *(("--attribute", names[0]) if names else ("-v",))]
    return shlex.join([*words, *(("-w", str(ROOT.workspace)) if ROOT.workspace else ())])


def _tell(out: Output, found: Explained, *, is_whole: bool) -> None:
    image = found.image
    box = f", box {','.join(map(str, image.box))}" if image.box else ""
    rows = [("path", image.path + box), ("class", image.class_name), ("split", image.split),
            ("pixels", f"sha256 {image.sha256[:_SHORT]}")]  # fmt: skip
    out.table("image", None, rows)
    if found.description:
        made = f"by {found.description.source}" + _behind(found.description.reply)
        stale = "  (what it was made of has changed since)" if found.description.is_stale else ""
        out.table("description", None, [("text", found.description.text), ("made", made + stale)])
    if found.answers:
        _tell_answers(out, found.answers)
    if found.missing:
        _tell_missing(out, found.missing)
    if found.replies:
        _tell_replies(out, found.replies)
    if is_whole:
        for reply in found.replies:
            _tell_reply(out, reply)
    _tell_spent(out, found.spent)
    out.notes(sorted({reply.note for reply in found.replies if reply.note and reply.is_used}))


def _tell_answers(out: Output, answers: tuple[Told, ...]) -> None:
    rows = [(one.attribute, one.value, _said_by(one), str(one.reply or "-")) for one in answers]
    out.table("answers", ("attribute", "value", "from", "reply"), rows)


def _said_by(one: Told) -> str:
    if one.source != "human":
        return one.source + (f", {one.confidence:.0%} sure" if one.confidence is not None else "")
    machine = f"; the machine said: {one.machine}" if one.machine is not None else ""
    return f"human: {one.author or 'unknown'}, {one.written_at or 'when is unknown'}{machine}"


def _tell_missing(out: Output, missing: tuple[Missing, ...]) -> None:
    out.table("missing", ("what", "why", "hint"), [(one.what, one.why, one.hint) for one in missing])


def _tell_replies(out: Output, replies: tuple[Reply, ...]) -> None:
    rows = [
        (
            str(reply.id), "yes" if reply.is_used else "no", reply.attribute or "-",
            f"{reply.prompt_name or '-'} {(reply.template_hash or '')[:_SHORT]}", reply.model or reply.backend,
            reply.outcome, _count(reply.input_tokens), _count(reply.output_tokens), f"{reply.seconds or 0:.2f}",
            _usd(reply.cost), reply.created,
        )
        for reply in replies
    ]  # fmt: skip
    header = (
        "reply",
        "used",
        "attribute",
        "prompt",
        "model",
        "outcome",
        "tokens in",
        "out",
        "s",
        "USD",
        "created",
    )
    out.table("replies", header, rows)


def _tell_reply(out: Output, reply: Reply) -> None:
    """All of one call."""
    rows: list[tuple[str, str]] = [("backend", reply.backend)]
    rows += [("system", reply.system)] if reply.system else []
    rows += [("sent", reply.prompt), ("pictures", str(len(reply.images))),
             ("settings", _settings(reply)), ("said", reply.text or "(nothing)")]  # fmt: skip
    rows += [("said at first", reply.rejected)] if reply.rejected is not None else []
    if reply.scores:
        rows.append(("weighed", ", ".join(f"{word} {score:.0%}" for word, score in reply.scores.items())))
    rows.append(("ended", f"{reply.outcome} ({reply.finish_reason or 'unknown'}), {_calls(reply.calls)}"))
    rows += [("note", reply.note)] if reply.note else []
    out.table(f"reply {reply.id}: {reply.attribute or reply.purpose}", None, rows)


def _settings(reply: Reply) -> str:
    told: dict[str, Any] = {**reply.sampling, "sample": reply.sample}
    return ", ".join(f"{name} {_plain(value)}" for name, value in told.items())


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)


def _tell_spent(out: Output, spent: Spent) -> None:
    priced = spent.replies - spent.unpriced
    cost = f"{spent.cost:.6f} USD" if priced else "unknown"
    if priced and spent.unpriced:
        cost += f", and {spent.unpriced} of unknown cost"
    tokens = f"{spent.input_tokens:,} in, {spent.output_tokens:,} out" if spent.input_tokens else "unknown"
    rows = [("replies", f"{spent.replies:,}"), ("calls", f"{spent.calls:,}"), ("tokens", tokens),
            ("seconds", f"{spent.seconds:.2f}"), ("cost", cost if spent.replies else "none")]  # fmt: skip
    out.table("spent", None, rows)


def _behind(reply: int | None) -> str:
    return f", reply {reply}" if reply is not None else ", no model was asked"


def _calls(n: int) -> str:
    return "1 call" if n == 1 else f"{n} calls"


def _count(tokens: int | None) -> str:
    return "-" if tokens is None else f"{tokens:,}"


def _usd(cost: float | None) -> str:
    return "-" if cost is None else f"{cost:.6f}"
