"""Whether torch and what stands on it can be imported, told from what the probes said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fgvr_kit.doctor.child import Said
from fgvr_kit.doctor.diagnosis import Diagnosis
from fgvr_kit.doctor.packages import INSTALL_LOCAL, pair_apart, version

_PAIR = re.compile(r"torchvision::nms|custom C\+\+ ops|torchvision\W+_C\b")
_BOTH = "in one command, from one index: pip install --upgrade --force-reinstall torch torchvision"
_PACKAGES = {"open_clip": "open_clip_torch"}


def step(said: Said, name: str) -> dict[str, Any] | None:
    """What a probe found out at this step; None when it never got to its end."""
    return next((line for line in said.lines if line.get("step") == name), None)


def died_at(said: Said) -> str | None:
    """The step that the process did not survive."""
    begun = [line["begun"] for line in said.lines if "begun" in line]
    return next((name for name in begun if step(said, name) is None), None) if said.died else None


def pair(said: Said) -> Diagnosis:
    """torch and torchvision, which must be built for each other."""
    torch, torchvision = step(said, "torch"), step(said, "torchvision")
    if torch is None or torchvision is None:
        died = died_at(said) or "torch"  # also where it did not come to begin
        return Diagnosis("torch", "problem", f"importing {died} {said.died}", _BOTH)
    for name, facts in (("torch", torch), ("torchvision", torchvision)):
        errors = facts.get("errors", [])
        if _is_pair(errors):
            told = pair_apart() or f"torchvision {version('torchvision')} was built for another torch than the " \
                f"{version('torch')} that is installed"  # fmt: skip
            return Diagnosis(
                "torch", "problem", f"{told} (seen as: {_short(errors[-1])}; later as: Could not import module ...)",
                _BOTH,
            )  # fmt: skip
        if errors:
            return Diagnosis(
                "torch", "problem", f"{name} cannot be imported: {_short(errors[0])}", _fix(errors)
            )
    return Diagnosis(
        "torch", "ok", f"torch {torch['version']} and torchvision {torchvision['version']} load together"
    )


def libraries(said: Said, names: Sequence[str]) -> list[Diagnosis]:
    """One diagnosis for each of the named packages that is installed and cannot be imported."""
    found = []
    for name in names:
        if version(_PACKAGES.get(name, name)) is None:
            continue
        errors = (step(said, name) or {}).get("errors", [])
        if died_at(said) == name:
            fix = f"pip install --upgrade {_PACKAGES.get(name, name)}"
            found.append(Diagnosis(name, "problem", f"importing it {said.died}", fix))
        elif errors and not _is_pair(errors):  # which is told already
            whole = ", because of ".join(_short(error) for error in dict.fromkeys((errors[0], errors[-1])))
            found.append(Diagnosis(name, "problem", f"cannot be imported: {whole}", _fix(errors)))
    return found


def bitsandbytes(said: Said) -> list[Diagnosis]:
    """4-bit weights: tried on the GPU. Its message about CPU kernels is of no consequence, and not shown."""
    name, facts = "bitsandbytes", step(said, "bitsandbytes")
    fix = 'pip install --upgrade bitsandbytes; until then [train] quantize = "none"'
    if died_at(said) == name:
        return [Diagnosis(name, "problem", f"packing weights into 4 bit {said.died}", fix)]
    if facts is None or version(name) is None:
        return []
    if errors := facts.get("errors"):
        return [Diagnosis(name, "problem", f"cannot pack weights into 4 bit here: {_short(errors[0])}", fix)]
    if not facts["used"]:
        return [Diagnosis(name, "ok", f"{version(name)}, not tried: 4-bit weights are for CUDA GPUs")]
    return [Diagnosis(name, "ok", f"{facts['version']} packs weights into 4 bit on this GPU")]


def _is_pair(errors: list[str]) -> bool:
    return any(_PAIR.search(error) for error in errors)


def _short(error: str) -> str:
    return " ".join(error.split())[:300]


def _fix(errors: list[str]) -> str:
    root = errors[-1]
    if _is_pair(errors):
        return _BOTH
    if "cannot open shared object file" in root or "DLL load failed" in root:
        return "a library of CUDA or of the system is missing: " + _BOTH
    return INSTALL_LOCAL
