"""Weights of the base model in 4 or 8 bit (bitsandbytes): what is asked for, what is spared, and that it was."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from fgvr_kit.errors import ModelError
from fgvr_kit.families import within

if TYPE_CHECKING:
    from fgvr_kit.families import Family

Quantize = Literal["auto", "nf4", "int8", "none"]
Loaded = Literal["nf4", "int8", "none"]

_GUESSED = tuple(rf"\b[^.]*{word}[^.]*" for word in ("vision", "visual", "connector", "projector", "merger"))


def resolved(quantize: str, device: str) -> Loaded:
    """What `quantize` comes to on this machine: "auto" is "nf4" on a CUDA GPU and "none" elsewhere.

    Keys of what a model said hold this, not "auto": a workspace that is begun on a GPU and goes on without one
    would take the replies of two models for one model's. Imports no torch.
    """
    if quantize != "auto":
        return cast("Loaded", quantize)
    on_gpu = device.startswith("cuda") or (device == "auto" and has_cuda())
    return "nf4" if on_gpu else "none"


def has_cuda() -> bool:
    """What torch.cuda.is_available() says; asked of torch only where it is imported already."""
    if torch := sys.modules.get("torch"):
        return bool(torch.cuda.is_available())
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and (not hidden.strip() or hidden.strip().startswith("-")):
        return False
    built_for = _torch_is_built_for()
    return (built_for == "cuda" and _nvidia_gpus() > 0) or (built_for == "hip" and Path("/dev/kfd").exists())


@cache
def _torch_is_built_for() -> str:
    """ "cuda", "hip" or "", from the installed package's version.py."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    said = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    return next((kind for kind in ("cuda", "hip") if re.search(rf"^{kind}\b[^=]*=\s*['\"]", said, re.M)), "")


@cache
def _nvidia_gpus() -> int:
    """Counted by NVML: a call of CUDA itself would spoil every process that is forked later."""
    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return 0
    n = ctypes.c_uint()
    found = nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetCount_v2(ctypes.byref(n)) == 0
    return n.value if found else 0


def config_of(quantize: Loaded, family: Family, dtype: Any) -> Any:
    """Small storage for the text model alone; None for "none".

    A bare name would spare nothing: names are matched from the start of the full path, as expressions.
    """
    if quantize == "none":
        return None
    from transformers import BitsAndBytesConfig

    # Of a guest nobody knows where things are: what is named like an eye or a bridge is left whole.
    # Words must be matched to the next dot: "vision" alone would not spare "vision_tower".
    parts = [re.escape(part) for part in (family.vision, *family.connector)] if family.by_parts else _GUESSED
    spared = [f".*{part}" for part in (*parts, "lm_head")]
    if quantize == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=spared)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=spared,
    )


def check_spared(model: Any, family: Family) -> None:
    """Be sure that small layers are where they should be and nowhere else, and make them safe.

    Raises ModelError when something is quantised that must not be, or nothing is.
    """
    layers = small_layers(model)
    wrong = [n for n in layers if within(n, "lm_head") or _is_spared(n, family)]
    if wrong or not layers:
        raise ModelError(
            "the weights were not quantised as they should be",
            code="quantized-wrongly",
            why=f"{len(wrong)} layers that must stay whole are small, such as {wrong[0]!r}"
            if wrong
            else "no layer is small",
            hint='quantize = "none" keeps all of them whole; please report it, with the versions of transformers'
            " and bitsandbytes",
        )
    for layer in layers.values():
        # On CPUs with AVX512-BF16 the first forward without gradients would repack 4-bit weights in place;
        # training after it crashes and dequantising gives garbage (bitsandbytes 0.50, issue 2078).
        layer.support_avx512bf16_for_cpu = False


def _is_spared(path: str, family: Family) -> bool:
    if family.by_parts:
        return family.is_eye(path) or family.is_bridge(path)
    return any(re.search(rf"\.{word}\.", f".{path}.") for word in _GUESSED)


def small_layers(model: Any) -> dict[str, Any]:
    """Path -> layer, of those in 4 or 8 bit."""
    if "bitsandbytes" not in sys.modules:
        return {}
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    return {n: m for n, m in model.named_modules() if isinstance(m, (Linear4bit, Linear8bitLt))}


def kind_of(model: Any) -> Loaded:
    """How the weights of a loaded model are stored."""
    for layer in small_layers(model).values():
        return "nf4" if type(layer).__name__ == "Linear4bit" else "int8"
    return "none"
