"""What people and programs see: tables on stdout, everything else on stderr, or one JSON envelope."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fgvr_kit.cli.options import ROOT
from fgvr_kit.errors import FgvrError
from fgvr_kit.keys import HidesKeys
from fgvr_kit.types import Notice, Score, Summary

if TYPE_CHECKING:
    from rich.console import Console

    from fgvr_kit.progress import Progress

_NAMES: dict[tuple[str, ...], str] = {
    (): "status",
    ("replies", "export"): "replies-export",
    **{("prompts", verb): f"prompts-{verb}" for verb in ("list", "show", "eject", "diff", "lint", "compare")},
    **{("attributes", verb): f"attributes-{verb}" for verb in ("report", "keep", "drop", "merge")},
}
"""Commands whose output is not named after their last word."""

WIDTH_OF_PIPES = 200
"""Columns where nobody looks: a path that is cut in two is of no use to grep."""


def schema_name(words: tuple[str, ...]) -> str:
    """What stands under "schema" in the output of a command, whether it succeeded or not."""
    return f"fgvr.{_NAMES.get(words) or words[-1]}/1"


class Output:
    """One command's voice. Used as a context manager: at its end the JSON envelope is printed, if wanted."""

    def __init__(self, command: str) -> None:
        self.schema = ROOT.schema = schema_name((command,))
        self.is_json = ROOT.json
        self.data: dict[str, Any] = {}
        self.notices: list[Notice] = []
        self.next: list[str] = []
        _configure_logging(ROOT.verbose)

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._end()

    @property
    def progress(self) -> Progress:
        from fgvr_kit.cli.progress import choose

        return choose(_console(stderr=True))

    def summary(self, summary: Summary) -> None:
        """A step's table, its warnings, and the notes that must stand with its numbers."""
        self.data.setdefault("steps", []).append(_without(summary.as_dict(), "notices"))
        if not self.is_json:
            rows = [(label, _cell(value)) for label, value in summary.done.items()]
            self.table(summary.step, None, rows)
            if summary.dropped:
                self.table(
                    f"{summary.step}: left out",
                    ("what", "how many", "why"),
                    [(what, str(n), why) for what, n, why in summary.dropped],
                )
            self.notes(summary.notes)
        for notice in summary.notices:
            self.warn(notice)

    def table(self, title: str, header: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> None:
        if self.is_json:
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        console = _console()
        table = Table(
            box=box.SIMPLE_HEAD if console.is_terminal else None,
            pad_edge=False,
            title=Text(title),
            title_justify="left",
            show_header=header is not None,
            title_style="bold",
            header_style="bold",
        )
        for column in header or ("", ""):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)

    def scores(self, scores: Sequence[Score]) -> None:
        """One line for each contender and protocol, in per cent; every figure of every class is in the JSON."""
        from fgvr_kit.cli.scores import table_of

        self.data["scores"] = [asdict(score) for score in scores]
        header, rows = table_of(scores)
        self.table("scores, in %", header, rows)

    def notes(self, notes: Sequence[str]) -> None:
        if not self.is_json:
            for note in notes:
                _console().print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)

    def warn(self, notice: Notice) -> None:
        """What does not stop the command, and must be known."""
        self.notices.append(notice)
        if not self.is_json:
            pairs = [
                ("warning", notice.message),
                ("where", notice.where),
                ("why", notice.why),
                ("hint", notice.hint),
            ]
            _print_pairs([(word, text) for word, text in pairs if text])

    def say(self, text: str) -> None:
        """A line for people, on stderr."""
        if not self.is_json:
            _console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)

    def _end(self) -> None:
        if self.is_json:
            _print_json(
                {
                    "schema": self.schema,
                    "ok": True,
                    "data": self.data,
                    "warnings": [asdict(notice) for notice in self.notices],
                    "next": self.next,
                }
            )
        elif self.next:
            self.say("next   " + "\n       ".join(self.next))


def fail(schema: str, error: FgvrError, *, as_json: bool = False) -> None:
    """Tell an error: two to four lines on stderr, or the JSON envelope on stdout.

    as_json: also where the option --json was not reached yet.
    """
    if ROOT.json or as_json:
        _print_json(
            {
                "schema": schema,
                "ok": False,
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "where": error.where,
                    "why": error.why,
                    "hint": error.hint,
                },
            }
        )
    else:
        _print_pairs(error.lines())


def _print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    from rich.text import Text

    console = _console(stderr=True)
    colours = {"error": "bold red", "warning": "bold yellow", "hint": "green"}
    width = max(len(word) for word, _ in pairs) + 2
    for word, text in pairs:
        label = Text(f"{word}:".ljust(width), style=colours.get(word, "bold"))
        console.print(label + Text(text), soft_wrap=True)


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_OF_PIPES
    return console


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in mapping.items() if k != key}


def _configure_logging(verbose: int) -> None:
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        if not any(isinstance(one, HidesKeys) for one in handler.filters):
            handler.addFilter(HidesKeys())
    logging.getLogger("fgvr_kit").setLevel(level)
    if not verbose:
        for library in ("HF_HUB_VERBOSITY", "TRANSFORMERS_VERBOSITY"):  # read when they are imported
            os.environ.setdefault(library, "error")
        # What transformers and peft are about to rename, and which kernel of bitsandbytes a CPU has not.
        warnings.simplefilter("ignore", FutureWarning)
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
