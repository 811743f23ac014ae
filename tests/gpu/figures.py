"""What the GPU tests measured, as one JSON document. It is written again at every figure, so that a call that
runs out of time leaves what it had."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "transformers", "accelerate", "peft", "bitsandbytes", "open_clip_torch", "numpy")

_NOTE = "untrained toy models and random weights: losses and answers mean nothing; 1 gb is 10^9 bytes"

Figure = float | int | str | None


class Figures:
    """path: where the document stands.  document: what it says; figures are grouped by what was measured."""

    def __init__(self, path: Path, *, device: str) -> None:
        """device: "cuda", or "cpu" for a rehearsal."""
        self.path = path
        self.measured: dict[str, dict[str, Figure]] = {}
        self.document = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "device": _name_of(device),
            "note": _NOTE if device == "cuda" else f"a rehearsal: times mean nothing either; {_NOTE}",
            "versions": {
                "python": platform.python_version(),
                **{package: _version(package) for package in PACKAGES},
            },
            "figures": self.measured,
        }
        self._write()

    def put(self, group: str, **figures: Figure) -> None:
        """Keep figures under their group; a name carries its unit (gb, seconds)."""
        rounded = {n: float(f"{v:.4g}") if isinstance(v, float) else v for n, v in figures.items()}
        self.measured.setdefault(group, {}).update(rounded)
        self._write()

    def lines(self) -> list[str]:
        """The document for a terminal: a line a group."""
        head = f"{self.document['device']}, {self.document['date']}"
        groups = [
            f"{group}: " + ", ".join(f"{name} {value}" for name, value in figures.items())
            for group, figures in self.measured.items()
        ]
        return [head, *groups]

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.document, indent=2) + "\n", encoding="utf-8")


def _name_of(device: str) -> str:
    if device != "cuda":
        return "cpu (rehearsal)"
    import torch

    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
