"""Python, fgvr-kit and the packages it needs: which versions, and whether they are new enough.

Read from the metadata of what is installed; nothing is imported.
"""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata
from pathlib import Path

from fgvr_kit import __version__
from fgvr_kit.doctor.diagnosis import Diagnosis

_US = "fgvr-kit"
INSTALL_LOCAL = "pip install --upgrade 'fgvr-kit[local]'"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")


def requirements(of: str, extra: str | None = None) -> dict[str, str]:
    """Name -> version specifiers (">=2.11", "" where any will do) of what a package asks for: always, or for an
    extra alone. What is asked for on some systems only is left out. Empty when the package is not installed.
    """
    try:
        lines = metadata.requires(of) or []
    except metadata.PackageNotFoundError:
        return {}
    found = {}
    for line in lines:
        wanted, _, marker = line.partition(";")
        named = _EXTRA.search(marker)
        name = _NAME.match(wanted.strip())
        is_conditional = bool(_EXTRA.sub("", marker).strip())
        if name and not is_conditional and (named.group(1) if named else None) == extra:
            found[name.group()] = wanted.strip().removeprefix(name.group()).strip(" ()")
    return found


def version(package: str) -> str | None:
    """As its metadata tells; None when it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def fits(version: str, wanted: str) -> bool:
    """Whether a version keeps to specifiers. Compares the numbers alone: "2.11.0+cu128" fits "==2.11"."""
    for sign, other in re.findall(r"(>=|<=|==|~=|!=|<|>)\s*([\w.]+)", wanted):
        length = max(version.count("."), other.count(".")) + 1
        ours, theirs = _numbers(version, length), _numbers(other, length)
        kept = {
            ">=": ours >= theirs, "~=": ours >= theirs, "<=": ours <= theirs, "==": ours == theirs,
            "!=": ours != theirs, "<": ours < theirs, ">": ours > theirs,
        }[sign]  # fmt: skip
        if not kept:
            return False
    return True


def _numbers(version: str, length: int) -> list[int]:
    plain = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in plain.group().split(".")] if plain else []
    return (numbers + [0] * length)[:length]


def examine() -> list[Diagnosis]:
    """Python, fgvr-kit, its core, [local], and the other extras."""
    found = [python(), ourselves()]
    return [*found, core(), local(), *extras()] if version(_US) else found


def python() -> Diagnosis:
    seen = f"{platform.python_version()}, {sys.executable}"
    wanted = metadata.metadata(_US)["Requires-Python"] if version(_US) else ""
    if not fits(platform.python_version(), wanted):
        fix = "install fgvr-kit into an environment of such a Python"
        return Diagnosis("python", "problem", f"{seen}; fgvr-kit needs {wanted}", fix)
    return Diagnosis("python", "ok", seen)


def ourselves() -> Diagnosis:
    seen = f"{__version__}, {Path(__file__).resolve().parents[1]}"
    installed = version(_US)
    if installed is None:
        return Diagnosis(
            "fgvr-kit", "warning", f"{seen}; not installed: what it needs cannot be compared",
            "pip install -e . in the checkout",
        )  # fmt: skip
    if installed != __version__:
        return Diagnosis(
            "fgvr-kit", "warning", f"{seen}; pip knows it as {installed}",
            "install it again: what it needs may have changed",
        )  # fmt: skip
    return Diagnosis("fgvr-kit", "ok", seen)


def core() -> Diagnosis:
    """The packages that every command needs."""
    wanted = requirements(_US)
    if wrong := _wrong(wanted):
        return Diagnosis("core", "problem", "; ".join(wrong), "pip install --upgrade fgvr-kit")
    return Diagnosis("core", "ok", _listed(wanted))


def local() -> Diagnosis:
    """The packages of [local]: models in this process."""
    wanted = requirements(_US, "local")
    if wanted and not any(version(name) for name in wanted):
        return Diagnosis(
            "local", "warning",
            "not installed: mine, train, eval and transformers: are not possible; openai: and ollama: are",
            INSTALL_LOCAL,
        )  # fmt: skip
    if wrong := _wrong(wanted):
        return Diagnosis("local", "problem", "; ".join(wrong), INSTALL_LOCAL)
    return Diagnosis("local", "ok", _listed(wanted))


def extras() -> list[Diagnosis]:
    """What else can be installed with fgvr-kit; to have none of it is a choice."""
    names = metadata.metadata(_US).get_all("Provides-Extra") or []
    of_local = requirements(_US, "local")
    told = []
    for name in sorted(set(names) - {"local", "dev"}):
        own = {package: spec for package, spec in requirements(_US, name).items() if package not in of_local}
        wrong = _wrong(own)
        told.append(f"[{name}] installed" if not wrong else f"[{name}] not installed ({', '.join(wrong)})")
    return [Diagnosis("extras", "ok", "; ".join(told))] if told else []


def has_torch() -> bool:
    return version("torch") is not None


def pair_apart() -> str | None:
    """What metadata tells against the pair: torchvision says which torch it was built for. None: nothing."""
    torch, torchvision = version("torch"), version("torchvision")
    wanted = requirements("torchvision").get("torch", "")
    if torch and torchvision and not fits(torch, wanted):
        return f"torchvision {torchvision} needs torch {wanted}, and torch {torch} is installed"
    return None


def _wrong(wanted: dict[str, str]) -> list[str]:
    words = []
    for name, specifiers in wanted.items():
        found = version(name)
        if found is None:
            words.append(f"{name} is missing")
        elif not fits(found, specifiers):
            words.append(f"{name} {found} is installed, and {specifiers} is needed")
    return words


def _listed(wanted: dict[str, str]) -> str:
    return ", ".join(f"{name} {version(name)}" for name in wanted)
