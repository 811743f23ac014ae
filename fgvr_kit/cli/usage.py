"""What Typer finds wrong with a command line, as an error of ours: for programs, which get every error as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from fgvr_kit.errors import UsageError

TYPERS: type[Exception] = typer.BadParameter.__mro__[1]
"""What every error in a command line is to Typer, which gives that class no name of its own."""

_CODES = {
    "NoSuchOption": "usage-option",
    "MissingParameter": "usage-missing",
    "NoArgsIsHelpError": "usage-missing",
    "BadParameter": "usage-value",
    "BadOptionUsage": "usage-value",
}


def wants_json(args: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, judged before it is understood."""
    return "--json" in (args[: args.index("--")] if "--" in args else args)


def explained(error: Exception, words: tuple[str, ...]) -> UsageError:
    """An error of Typer in our words. Codes: usage-option, usage-missing, usage-value, unknown-command, usage.

    words: of the command whose line is wrong.
    """
    found: Any = error
    kind = type(error).__name__
    message = "a command is missing" if kind == "NoArgsIsHelpError" else found.format_message()
    message, _, meant = message.partition(" Did you mean ")
    meant = meant.rstrip("?") or " or ".join(map(repr, getattr(found, "possibilities", None) or ()))
    unknown = "unknown-command" if message.startswith("No such command") else "usage"
    return UsageError(
        message.partition(" (Possible options")[0].rstrip("."),
        code=_CODES.get(kind, unknown),
        hint=f"did you mean {meant}?" if meant else " ".join(["fgvr-kit", *words, "--help"]),
    )


def words_of(root: Any, args: Sequence[str]) -> tuple[str, ...]:
    """The words of the command that a line means, () for the program itself: `attributes extract`.

    Judged by the words that are commands, for lines that cannot be understood.
    """
    words: list[str] = []
    for word in args:
        if found := getattr(root, "commands", {}).get(word):
            words.append(word)
            root = found
    return tuple(words)
