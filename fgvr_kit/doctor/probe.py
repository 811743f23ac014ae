"""Run as a process of its own: imports what may crash or hang, step by step, and says what it met.

Each step says its name before it begins and its facts when it is done, so that a crash has a name.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from typing import Any

from fgvr_kit.doctor.child import say


def torch_facts() -> dict[str, Any]:
    import torch

    return {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip}


def torchvision_facts() -> dict[str, Any]:
    """Calls one of torchvision's own kernels: importing it alone does not always tell that they are missing."""
    import torch

    torchvision = importlib.import_module("torchvision")
    torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    return {"version": torchvision.__version__}


def gpu_facts() -> dict[str, Any]:
    """Which GPU torch sees, and whether it computes: a build without kernels for this card only fails then."""
    import torch

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        is_there = torch.cuda.is_available()
    facts: dict[str, Any] = {"available": is_there, "told": [str(warning.message) for warning in told]}
    facts["mps"] = torch.backends.mps.is_available()
    if is_there:
        facts["names"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        facts["bf16"] = torch.cuda.is_bf16_supported(including_emulation=False)
        ones = torch.ones(16, 16, dtype=torch.bfloat16 if facts["bf16"] else torch.float16, device="cuda")
        assert float((ones @ ones).sum()) == 16**3
    return facts


def bitsandbytes_facts() -> dict[str, Any]:
    """Packs a matrix into 4 bit on the GPU and unpacks it. Without a GPU it is not needed, and not imported."""
    import torch

    if not torch.cuda.is_available():
        return {"used": False}
    import bitsandbytes
    from bitsandbytes import functional

    weights = torch.linspace(-1, 1, 4096, device="cuda", dtype=torch.float16).reshape(64, 64)
    packed, state = functional.quantize_4bit(weights, quant_type="nf4")
    assert float((functional.dequantize_4bit(packed, state) - weights).abs().max()) < 0.2
    return {"used": True, "version": bitsandbytes.__version__}


def _import(module: str, *names: str) -> Callable[[], dict[str, Any]]:
    def facts() -> dict[str, Any]:
        imported = importlib.import_module(module)
        for name in names:
            getattr(imported, name)  # transformers imports what it is asked for, and not before
        return {}

    return facts


CHAINS: dict[str, dict[str, Callable[[], dict[str, Any]]]] = {
    "torch": {
        "torch": torch_facts,
        "torchvision": torchvision_facts,
        "gpu": gpu_facts,
        "bitsandbytes": bitsandbytes_facts,
        "open_clip": _import("open_clip"),
    },
    "training": {
        "transformers": _import("transformers", "AutoModelForImageTextToText", "AutoProcessor", "Trainer"),
        "peft": _import("peft", "LoraConfig", "get_peft_model"),
    },
}


def main(chain: str) -> None:
    for name, facts in CHAINS[chain].items():
        say(begun=name)
        try:
            say(step=name, **facts())
        except Exception as error:  # whatever an import may throw is the answer
            say(step=name, errors=_chain(error))


def _chain(error: BaseException | None) -> list[str]:
    """The error in words, and behind it what it came from: the last one is where it began."""
    words: list[str] = []
    while error is not None:
        words.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return words


if __name__ == "__main__":
    main(sys.argv[1])
