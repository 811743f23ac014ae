"""A job for a GPU in a cloud: the workspace, what to install there, the command. For SkyPilot, which shows the prices
before it rents anything (`sky launch`); nothing of it is imported here. No torch."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import fgvr_kit
from fgvr_kit.errors import ModelError
from fgvr_kit.training.runs.memory import gigabytes_on_a_gpu, parameters_of
from fgvr_kit.training.runs.stage import refuse_no_model
from fgvr_kit.training.runs.tuning import refuse_untrainable
from fgvr_kit.workspace import Workspace

GPUS = {"L4": 24, "A10G": 24, "L40S": 48, "A100": 40, "A100-80GB": 80, "H100": 80, "H200": 141}
"""As SkyPilot names them -> GB of memory."""
_SMALLEST = 24
_IMAGES = "~/fgvr-images"


def sky_job(workspace: Workspace, overrides: Sequence[str] = (), *, n_gpus: int = 1) -> str:
    """A task file of SkyPilot (YAML). overrides: "section.key=value" of this command, in place of fgvr.toml.

    Raises SettingsError without a base model, or for settings that cannot be trained on a GPU; ModelError
    "model-too-large" when no GPU holds it, or "model-is-here" for a folder outside the workspace, which would not
    travel; DatasetError when the images are not there.
    """
    refuse_no_model(workspace)
    refuse_untrainable(workspace, on="cuda")
    _ = workspace.dataset
    need, known = _gigabytes(workspace)
    fitting = [name for name, size in GPUS.items() if size >= need]
    if not fitting:
        raise ModelError(
            f"{workspace.settings.train.model} takes about {need:.0f} GB, and no GPU has so much",
            code="model-too-large",
            hint="--tune lora --quant nf4 takes the least; or a smaller base model",
        )
    _refuse_model_elsewhere(workspace)
    text = json.dumps  # a string of JSON is one of YAML
    accelerators = ", ".join(f"{name}: {n_gpus}" for name in fitting)
    lines = [
        "# SkyPilot: `sky launch THIS_FILE` shows what each cloud asks for, and asks before it rents. Then fetch",
        "# what came of it:",
        "#   rsync -a CLUSTER:sky_workdir/.fgvr/ .fgvr/ && sky down CLUSTER",
        "# A .gitignore that names .fgvr keeps it from being sent: an empty file .skyignore undoes that.",
        f"# {'The model needs' if known else 'How large the model is, is not known here; taken for'} about"
        f" {need:.0f} GB of GPU memory, photographs and batches aside (fgvr-kit plan --gpu measures it).",
        f"name: {text('fgvr-' + _plain(workspace.root.name))}",
        "resources:",
        f"  accelerators: {{{accelerators}}}",
        f"  disk_size: {max(100, math.ceil(4 * need))}",
        f"workdir: {text(str(workspace.root))}",
    ]  # fmt: skip
    run = ["set -e"]
    if mounts := _mounts(workspace):
        lines += ["file_mounts:", f"  {_IMAGES}: {text(str(mounts))}"]
        file = workspace.place.name if workspace.place.is_file() else ""
        run.append(f"export FGVR_DATASET__PATH={_IMAGES}{'/' + shlex.quote(file) if file else ''}")
    lines += ["setup: |", f"  pip install 'fgvr-kit[local]=={fgvr_kit.__version__}'", "run: |"]
    words = ["train", *(["--gpus", str(n_gpus)] if n_gpus > 1 else [])]
    words += [word for one in (*overrides, "train.device=cuda") for word in ("--set", one)]
    lines += [f"  {line}" for line in (*run, f"fgvr-kit {shlex.join(words)}")]
    return "\n".join(lines) + "\n"


def _gigabytes(workspace: Workspace) -> tuple[float, bool]:
    """(what the weights take on a GPU while they are trained, whether their size is known)."""
    place = Path(workspace.base_model)
    n = parameters_of(place) if place.is_dir() else _billions_in(workspace.settings.train.model)
    return (gigabytes_on_a_gpu(workspace, n), True) if n else (float(_SMALLEST), False)


def _billions_in(name: str) -> int | None:
    """Parameters, as the name of a model on the hub tells them ("idefics2-8b", "Qwen2.5-VL-7B-Instruct")."""
    found = re.findall(r"(?<![\w.])(\d+(?:\.\d+)?)[bB](?![\w])", name.replace("_", "-"))
    return int(float(found[-1]) * 1e9) if found else None


def _mounts(workspace: Workspace) -> Path | None:
    """The folder of images that lie outside the workspace; of a table, the one that it lies in."""
    place = workspace.place.resolve()
    folder = place.parent if place.is_file() else place
    return None if folder.is_relative_to(workspace.root) else folder


def _refuse_model_elsewhere(workspace: Workspace) -> None:
    place = Path(workspace.base_model)
    if place.is_dir() and not place.resolve().is_relative_to(workspace.root):
        raise ModelError(
            f"{workspace.settings.train.model} is a folder of this machine, and would not travel",
            code="model-is-here",
            where=str(place),
            hint="copy it into the workspace, or name its hub id",
        )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "job"
