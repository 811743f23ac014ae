"""Which model an adapter was trained on: its name, and some of its numbers, since names and folders change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit.errors import ModelError

FILE = "base.json"
MERGED = "merged.json"
_N = 64
_CLOSE = 0.02
"""Numbers may differ by so much of themselves: a checkpoint is also kept as bf16 or fp16."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base model. numbers: from all over its table of words, which no adapter changes.

    merged: digest of an adapter that is in its weights, as written by `Vlm.merged`; "" of any other model.
    """

    name: str
    numbers: tuple[float, ...]
    merged: str = ""

    @classmethod
    def of(cls, model: Any, name: str, merged: str = "") -> Base:
        table = model.get_input_embeddings().weight.detach().flatten()
        step = max(1, len(table) // _N)
        numbers = tuple(round(float(x), 6) for x in table[step // 2 :: step][:_N].float().cpu())
        return cls(name, numbers, merged)

    def write(self, folder: Path) -> None:
        text = json.dumps({"name": self.name, "numbers": self.numbers, "merged": self.merged})
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    def check(self, folder: Path) -> None:
        """Raise ModelError when the adapter of folder belongs to another model. Foreign ones do not say."""
        try:
            said = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        theirs = said["numbers"]
        alike = len(theirs) == len(self.numbers) and all(
            abs(a - b) <= 1e-3 + _CLOSE * abs(a) for a, b in zip(theirs, self.numbers, strict=True)
        )
        if not alike:
            raise self.does_not_fit(folder, "the weights of the two models differ")
        if said.get("merged", "") != self.merged:
            raise self.does_not_fit(
                folder, "an earlier stage is merged into one of the two, and not into the other"
            )

    def does_not_fit(self, folder: Path, why: str) -> ModelError:
        from fgvr_kit.families.weights.adapters import named_base

        theirs = named_base(folder) or _name_in(folder) or "a model that it does not name"
        return ModelError(
            f"the adapter was trained on {theirs}, and does not fit {self.name}",
            code="adapter-mismatch",
            where=str(folder),
            why=why,
            hint=f"load it onto {theirs}, or train one for {self.name}: fgvr-kit train",
        )


def merged_in(place: Path) -> str:
    """The digest of the adapter that is in the weights of a checkpoint's folder, "" of none."""
    try:
        return str(json.loads((place / MERGED).read_text(encoding="utf-8"))["adapter"])
    except (OSError, ValueError, KeyError):
        return ""


def _name_in(folder: Path) -> str:
    try:
        return str(json.loads((folder / FILE).read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError):
        return ""
