"""Whether a model's weights fit into this machine, told before minutes of loading. No torch for the sizes."""

from __future__ import annotations

import json
import math
import os
import struct
from pathlib import Path

from fgvr_kit.errors import ModelError
from fgvr_kit.workspace import Workspace

BYTES_OF = {"none-cpu": 4.0, "none-cuda": 2.0, "int8": 1.2, "nf4": 0.7, "full": 16.0}
"""Of a parameter: fp32 on a CPU, bf16 on a GPU; quantised with what stays whole (vision tower, table of words);
trained whole, with gradient and AdamW's two means in fp32."""
WORKING = 1.25
"""Gradients of the adapter, activations and what the libraries take, as a factor: the least there must be."""


def parameters_of(place: Path) -> int | None:
    """Parameters of the safetensors files in a folder, from their headers; None where there are none."""
    n = 0
    for file in sorted(place.glob("*.safetensors")):
        with file.open("rb") as content:
            (length,) = struct.unpack("<Q", content.read(8))
            header = json.loads(content.read(length))
        n += sum(math.prod(t["shape"]) for name, t in header.items() if name != "__metadata__")
    return n or None


def refuse_too_large(workspace: Workspace) -> None:
    """Raise ModelError "model-too-large" when the weights alone do not fit; says what would. Models that are not
    in a folder of this machine are not looked at."""
    place = Path(workspace.base_model)
    n = parameters_of(place) if place.is_dir() else None
    if n is None:
        return
    train = workspace.settings.train
    on_cuda, memory = _memory(train.device)
    one = _bytes_of_one(workspace, on_cuda=on_cuda)
    needed = n * one
    if needed <= memory:
        return
    gib, most = 2**30, memory / one / 1e9
    raise ModelError(
        f"{train.model} does not fit: {n / 1e9:.1f} billion parameters take {needed / gib:.0f} GiB",
        code="model-too-large",
        why=f"{'the GPU' if on_cuda else 'this machine, without a GPU,'} has {memory / gib:.0f} GiB",
        hint=f"here fit models of up to {most:.1f} billion parameters; this one fits on a GPU with"
        f' {math.ceil(n * BYTES_OF["nf4"] * WORKING / gib)} GiB and train.quantize = "nf4"',
    )


def gigabytes_on_a_gpu(workspace: Workspace, n: int) -> float:
    """What a model of n parameters takes at least while it is trained as [train] says, on a CUDA GPU."""
    return n * _bytes_of_one(workspace, on_cuda=True) / 1e9


def bytes_when_merged(workspace: Workspace) -> int:
    """What one merged model takes on the disk; 0 where none is written, or its size is not known."""
    place = Path(workspace.base_model)
    if workspace.settings.train.between != "merge" or not place.is_dir():
        return 0
    on_cuda, _ = _memory(workspace.settings.train.device)
    return (parameters_of(place) or 0) * (2 if on_cuda else 4)


def _bytes_of_one(workspace: Workspace, *, on_cuda: bool) -> float:
    """Of each parameter, at the time when most is needed: weights are made whole to be merged."""
    taken = BYTES_OF[_kind(workspace, on_cuda=on_cuda)] * WORKING
    if workspace.settings.train.between == "merge":
        return max(taken, BYTES_OF[f"none-{'cuda' if on_cuda else 'cpu'}"])
    return taken


def _kind(workspace: Workspace, *, on_cuda: bool) -> str:
    """The row of BYTES_OF."""
    train = workspace.settings.train
    if train.tune == "full":
        return "full"
    kind: str = train.quantize
    if kind == "auto":
        kind = "nf4" if on_cuda else "none"
    return f"none-{'cuda' if on_cuda else 'cpu'}" if kind == "none" else kind


def _memory(device: str) -> tuple[bool, float]:
    """(whether it is a CUDA GPU, its bytes; else those of the machine)."""
    if device in ("auto", "cuda"):
        import torch

        if torch.cuda.is_available():
            return True, float(torch.cuda.get_device_properties(0).total_memory)
    return False, float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
