"""Models that the settings name: are they here, would they be downloaded, or is there no such model?

Nothing is asked of any network: what cannot be told without it is "unchecked".
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from fgvr_kit import toy
from fgvr_kit.doctor import child
from fgvr_kit.doctor.diagnosis import Diagnosis
from fgvr_kit.doctor.hardware import model_cache
from fgvr_kit.doctor.services import offline
from fgvr_kit.embedding import Clip

NAMES_SECONDS = 120.0
"""For open_clip to tell its names: it imports torch, from a cold disk."""

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_BILLIONS = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)


def hub_model(name: str, setting: str, environ: Mapping[str, str]) -> Diagnosis:
    """A hub id: in the cache, partly there, or to be downloaded. setting: the one that names it."""
    repo, _, revision = name.partition("@")
    folder = model_cache(environ) / f"models--{repo.replace('/', '--')}"
    snapshots = sorted(folder.glob("snapshots/*/"))
    weights = {file for one in snapshots for kind in _WEIGHTS for file in one.glob(kind) if file.exists()}
    is_partial = any(folder.glob("blobs/*.incomplete"))
    if weights and not is_partial:
        n_bytes = sum(file.stat().st_size for file in weights)
        return Diagnosis(setting, "ok", f"{name}: in the cache, {_gigabytes(n_bytes)}")
    begun = ", partly there already" if is_partial or snapshots else ""
    seen = f"{name}: not in the cache{begun}{_size(repo, snapshots)}"
    if told := offline(environ):
        return Diagnosis(setting, "problem", f"{seen}, and downloads are switched off", told[0].fix)
    return Diagnosis(
        setting, "unchecked", f"{seen}; the first use downloads it, if there is such a model",
        f"hf download {repo}{f' --revision {revision}' if revision else ''} fetches it now",
    )  # fmt: skip


def _size(repo: str, snapshots: list[Path]) -> str:
    """How large its weights are, by its index or its name; "" where neither tells."""
    for file in (one / name for one in snapshots for name in _INDEXES):
        try:
            return f", {_gigabytes(json.loads(file.read_text())['metadata']['total_size'])}"
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if billions := _BILLIONS.search(repo.rpartition("/")[2].replace("_", "-")):
        return f", about {2 * float(billions[1]):.3g} GB by its name (two bytes a parameter)"
    return ", of a size that is not known here"


def clip_model(spec: str, setting: str, environ: Mapping[str, str]) -> Diagnosis | None:
    """An open_clip model, None where none is named. Raises FgvrError for a name of another form."""
    if not spec:
        return None
    if spec in toy.NAMES:  # it would be built
        return Diagnosis(setting, "ok", spec)
    clip = Clip(spec)
    if spec.startswith("local-dir:"):
        return _folder(setting, spec, Path(spec.removeprefix("local-dir:")))
    if spec.startswith("hf-hub:"):
        return hub_model(spec.removeprefix("hf-hub:"), setting, environ)
    said = child.run("clip_names", clip.name, clip.pretrained, seconds=NAMES_SECONDS)
    if not said.lines or "error" in said.lines[-1]:
        why = said.lines[-1]["error"] if said.lines else said.died
        return Diagnosis(
            setting, "unchecked", f"{spec}: open_clip does not tell its names ({why})",
            "pip install 'fgvr-kit[local]'",
        )  # fmt: skip
    line = said.lines[-1]
    if not line["is_known"]:
        close = (
            f"did you mean {line['close'][0]!r}?" if line["close"] else "open_clip.list_models() names all"
        )
        return Diagnosis(setting, "problem", f"open_clip has no architecture {clip.name!r}", close)
    if Path(clip.pretrained).is_file():
        return Diagnosis(setting, "ok", f"{spec}: a file, {_gigabytes(Path(clip.pretrained).stat().st_size)}")
    if not line["has_tag"]:
        return Diagnosis(
            setting, "problem", f"{clip.name} has no weights {clip.pretrained!r}, and there is no such file",
            f"there are: {', '.join(line['tags']) or 'none'}",
        )  # fmt: skip
    if line["hub"]:
        return _renamed(hub_model(line["hub"], setting, environ), spec)
    return _by_url(setting, spec, line["url"], environ)


def _renamed(found: Diagnosis, spec: str) -> Diagnosis:
    return Diagnosis(found.name, found.state, f"{spec}, {found.seen}", found.fix)


def _by_url(setting: str, spec: str, url: str, environ: Mapping[str, str]) -> Diagnosis:
    file = Path("~/.cache/clip").expanduser() / url.rpartition("/")[2]  # where open_clip keeps these
    if file.is_file():
        return Diagnosis(setting, "ok", f"{spec}: in the cache, {_gigabytes(file.stat().st_size)}")
    if told := offline(environ):
        return Diagnosis(
            setting, "problem", f"{spec}: not in the cache, and downloads are switched off", told[0].fix
        )
    return Diagnosis(
        setting, "unchecked", f"{spec}: not in the cache; the first use downloads it",
        "or name a file that is here: ARCHITECTURE:FILE",
    )  # fmt: skip


def model_place(name: str, place: str, setting: str, environ: Mapping[str, str] = os.environ) -> Diagnosis:
    """A model that transformers loads: a folder, or a hub id. place: the folder as seen from here."""
    if name in toy.NAMES:
        return Diagnosis(setting, "ok", name)
    if Path(place).is_dir():
        return _folder(setting, name, Path(place))
    return hub_model(name, setting, environ)


def _folder(setting: str, name: str, folder: Path) -> Diagnosis:
    if not any(folder.glob("*config.json")):
        return Diagnosis(
            setting, "problem", f"{name}: no folder with a model in it (there is no config.json)",
            "name the folder that holds config.json and the weights",
        )  # fmt: skip
    n_bytes = sum(file.stat().st_size for kind in _WEIGHTS for file in folder.glob(kind))
    return Diagnosis(setting, "ok", f"{name}: a folder, {_gigabytes(n_bytes)} of weights")


def _gigabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 5e7 else f"{n_bytes / 1e6:.1f} MB"
