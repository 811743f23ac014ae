"""What doctor says: diagnoses, and errors and sizes in its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fgvr_kit.errors import FgvrError

State = Literal["ok", "unchecked", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of `fgvr-kit doctor`.

    name: stable, for scripts.  state: "problem" is what keeps a command from working, "warning" what limits it,
    "unchecked" what cannot be told without asking somebody.  fix: what to do about it; empty where all is well.
    """

    name: str
    state: State
    seen: str
    fix: str = ""


def problem_of(name: str, error: FgvrError) -> Diagnosis:
    """An error of the house as a diagnosis."""
    where = f" ({error.where})" if error.where else ""
    why = f": {error.why}" if error.why else ""
    return Diagnosis(name, "problem", f"{error.message}{where}{why}", error.hint)


def gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.1f} GiB"
