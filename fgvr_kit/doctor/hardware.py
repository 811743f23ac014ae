"""GPU, memory and disk: what is there, and what it suffices for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fgvr_kit.doctor.diagnosis import Diagnosis, State, gib
from fgvr_kit.surroundings import Driver, Gpu

_SMALL_GPU = 8 * 2**30
_SMALL_MEMORY = 8 * 2**30
_SMALL_CACHE = 20 * 2**30
"""An 8-billion-parameter model is downloaded as 17 GB of bfloat16."""
_SMALL_WORKSPACE = 5 * 2**30
_FULL = 2**29

BUILD = "install the build of torch and torchvision for your driver: https://pytorch.org/get-started/locally"


def gpu(driver: Driver, torch: Mapping[str, Any] | None) -> list[Diagnosis]:
    """The GPUs as the driver lists them. torch: what the probe's step "gpu" found out, None if nothing."""
    if driver.problem:
        return [
            Diagnosis(
                "gpu", "problem", f"nvidia-smi fails: {driver.problem}",
                "a driver that was just updated wants a reboot; otherwise install NVIDIA's driver again",
            )
        ]  # fmt: skip
    if driver.gpus:
        return [_nvidia(card) for card in driver.gpus]
    facts = torch or {}
    if facts.get("available"):  # ROCm, or a container without nvidia-smi
        return [Diagnosis("gpu", "ok", f"{', '.join(facts['names'])}, as torch sees it; no nvidia-smi")]
    if facts.get("mps"):
        return [Diagnosis("gpu", "ok", "Apple's, through mps; 4-bit weights are for CUDA GPUs")]
    return [
        Diagnosis(
            "gpu", "warning", "none: everything runs on the CPU, which trains toy models and little else",
            "to train a real model, take a machine with an NVIDIA GPU",
        )
    ]  # fmt: skip


def _nvidia(card: Gpu) -> Diagnosis:
    if not card.memory:
        return Diagnosis("gpu", "ok", f"{card.name}, memory shared with the CPU, driver {card.driver}")
    seen = f"{card.name}, {gib(card.memory)}, {gib(card.free)} free, driver {card.driver}"
    if card.memory < _SMALL_GPU:
        return Diagnosis(
            "gpu", "warning", f"{seen}: too little to train 7 to 8 billion parameters, even in 4 bit",
            "take a model of about 2 billion parameters, or less",
        )  # fmt: skip
    if card.free < card.memory / 2:
        fix = "nvidia-smi lists which: wait for it, or take another GPU"
        return Diagnosis("gpu", "warning", f"{seen}: another program holds the rest", fix)
    return Diagnosis("gpu", "ok", seen)


def torch_on_gpu(
    driver: Driver, facts: Mapping[str, Any] | None, build: Mapping[str, Any], environ: Mapping[str, str]
) -> list[Diagnosis]:
    """Whether torch computes on the GPU. facts, build: of the probe's steps "gpu" and "torch"."""
    name = "torch-gpu"
    if facts is None:
        return []
    if errors := facts.get("errors"):
        return [Diagnosis(name, "problem", f"torch cannot compute on the GPU: {errors[0][:300]}", BUILD)]
    if facts["available"]:
        if facts["bf16"]:
            return [Diagnosis(name, "ok", "torch computes on it, in bfloat16")]
        return [
            Diagnosis(
                name, "warning", "torch computes on it, but it has no bfloat16: training is slow",
                "a GPU of the Ampere generation or newer (RTX 30, A10, L4, A100)",
            )
        ]  # fmt: skip
    if not driver.gpus:
        return []
    if not build.get("cuda") and not build.get("hip"):
        return [
            Diagnosis(name, "problem", f"torch {build.get('version')} is a build for the CPU alone", BUILD)
        ]
    hidden = environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1", "NoDevFiles"):
        return [
            Diagnosis(
                name, "warning", f"CUDA_VISIBLE_DEVICES={hidden!r} hides the GPU from torch",
                "unset CUDA_VISIBLE_DEVICES",
            )
        ]  # fmt: skip
    told = " ".join(" ".join(facts["told"]).split())[:300]
    return [Diagnosis(name, "problem", "torch does not see the GPU" + (f": {told}" if told else ""), BUILD)]


def memory() -> list[Diagnosis]:
    """RAM of this machine or of the container; nothing where the system does not tell."""
    total, free = _memory()
    if total is None:
        return []
    seen = gib(total) + (f", {gib(free)} free" if free is not None else "")
    if total < _SMALL_MEMORY:
        return [
            Diagnosis(
                "memory", "warning", f"{seen}: little for models of billions of parameters",
                "attributes over a server (openai:, ollama: elsewhere) need little",
            )
        ]  # fmt: skip
    return [Diagnosis("memory", "ok", seen)]


def _memory() -> tuple[int | None, int | None]:
    """(bytes in all, bytes free)."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None, None
    free = None
    told = Path("/proc/meminfo")
    if told.is_file():
        rows = dict(line.split(":", 1) for line in told.read_text().splitlines() if ":" in line)
        free = int(rows["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in rows else None
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit() and int(text) < total:
        total = int(text)
        free = min(free, total) if free is not None else None
    return total, free


def disk(name: str, folder: Path, what: str, *, is_needed: bool) -> Diagnosis:
    """Room where `what` is kept. name: "disk" of the workspace, or "cache" of downloaded models.

    is_needed: nothing works without writing there; what is read alone may lie in a cache of somebody else's.
    """
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    seen = f"{gib(free)} free for {what}, {folder}"
    if not os.access(place, os.W_OK):
        state: State = "problem" if is_needed else "warning"
        return Diagnosis(name, state, f"{seen}: you may not write there", _ELSEWHERE[name])
    if free < _FULL:
        return Diagnosis(name, "problem", f"{seen}: as good as full", f"make room, or {_ELSEWHERE[name]}")
    if free < (_SMALL_CACHE if name == "cache" else _SMALL_WORKSPACE):
        need = "a model of 8 billion parameters is 17 GB" if name == "cache" else "checkpoints need gigabytes"
        return Diagnosis(name, "warning", f"{seen}: {need}", f"make room, or {_ELSEWHERE[name]}")
    return Diagnosis(name, "ok", seen)


_ELSEWHERE = {
    "disk": "make the workspace elsewhere: fgvr-kit init IMAGES -w DIR",
    "cache": "set HF_HOME to a folder on another disk",
}


def model_cache(environ: Mapping[str, str]) -> Path:
    """Where huggingface_hub keeps what it downloads."""
    if chosen := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(chosen).expanduser().absolute()
    return hugging_face_home(environ) / "hub"


def hugging_face_home(environ: Mapping[str, str]) -> Path:
    above = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(environ.get("HF_HOME") or f"{above}/huggingface").expanduser().absolute()
