"""fgvr-kit prompts compare: which of two wordings is better, asked of labelled images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fgvr_kit.cli import complete
from fgvr_kit.cli.opened import working
from fgvr_kit.cli.options import (
    BackendOption,
    BudgetOption,
    JsonOption,
    SetOption,
    VerboseOption,
    WorkspaceOption,
    note_budget,
    note_command,
)

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.rehearsal.compare import Compared, Side


def command(
    first: Annotated[
        str, typer.Argument(metavar="A", autocompletion=complete.prompts, help="A prompt, or a file.")
    ],
    second: Annotated[
        str, typer.Argument(metavar="B", autocompletion=complete.prompts, help="Another of the same kind.")
    ],
    n: Annotated[int, typer.Option("--n", min=2, help="How many training images are asked about.")] = 40,
    seed: Annotated[int, typer.Option("--seed", help="Which images: another seed, another sample.")] = 0,
    attribute: Annotated[
        str | None,
        typer.Option(
            "--attribute", metavar="NAME", show_default=False, autocompletion=complete.attributes,
            help="Ask for this one only; default: all that the prompts can ask for.",
        ),
    ] = None,
    backend: BackendOption = None,
    budget: BudgetOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:  # fmt: skip
    """Ask with both prompts about the same training images, and tell which is better, if that can be told.

    Prompts of extract are judged by whether their answers tell images of one class from those of others; ask/choice by
    its accuracy. Replies are kept like all others: nothing is asked or paid twice.

    Example: fgvr-kit prompts compare extract/question drafts/shorter.md --n 40
    """
    from fgvr_kit.rehearsal.compare import compare

    note_command(workspace, json, verbose, set_)
    note_budget(budget)
    with working("prompts-compare", {"extract.backend": backend}) as (out, opened_):
        found = compare(
            opened_, first, second, n=n, seed=seed, attribute=attribute, progress=out.progress
        )  # fmt: skip
        _tell(out, found)


def _tell(out: Output, found: Compared) -> None:
    out.data |= {key: value for key, value in asdict(found).items() if key != "notices"}
    a, b = found.a, found.b
    out.table(
        f"{found.n_images} training images of {found.n_classes} classes, asked of {found.backend}; in %",
        ("measure", f"A {a.name}", f"B {b.name}", "B - A", "95 % interval", "A wins", "B wins"),
        [
            (
                m.name, f"{100 * m.a:.1f}", f"{100 * m.b:.1f}", f"{100 * m.difference:+.1f}",
                f"[{100 * m.low:.1f}, {100 * m.high:.1f}]", str(m.a_wins), str(m.b_wins),
            )
            for m in found.measures
        ],
    )  # fmt: skip
    out.table("what they took", ("", f"A {a.name}", f"B {b.name}"), _costs(a, b))
    out.notes(found.notes)
    for notice in found.notices:
        out.warn(notice)
    out.table("decision", None, [(found.decision, "")])


def _costs(a: Side, b: Side) -> list[tuple[str, str, str]]:
    return [
        ("replies", f"{a.replies:,}", f"{b.replies:,}"),
        ("of these asked now", f"{a.asked_now:,}", f"{b.asked_now:,}"),
        ("calls", f"{a.calls:,}", f"{b.calls:,}"),
        ("tokens read", f"{a.input_tokens:,}", f"{b.input_tokens:,}"),
        ("tokens written", f"{a.output_tokens:,}", f"{b.output_tokens:,}"),
        ("cost", _usd(a.cost), _usd(b.cost)),
        ("words of a value", f"{a.words:.1f}", f"{b.words:.1f}"),
    ]


def _usd(cost: float | None) -> str:
    return "unknown" if cost is None else f"{cost:.4f} USD"
