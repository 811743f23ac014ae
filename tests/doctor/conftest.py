"""Packages that are not there, or not as they should be: false ones, seen by this process and its children."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

TORCH = """
from types import SimpleNamespace
__version__ = "2.15.0"
version = SimpleNamespace(cuda=None, hip=None)
bfloat16 = float16 = None
def tensor(values): return values
class cuda:
    is_available = staticmethod(lambda: False)
class backends:
    class mps:
        is_available = staticmethod(lambda: False)
"""
TORCHVISION = """
from types import SimpleNamespace
__version__ = "0.30.0"
ops = SimpleNamespace(nms=lambda boxes, scores, overlap: [0])
"""
WITH_GPU = """
class _Ones:
    def __matmul__(self, other): return self
    def sum(self): return 16 ** 3
def ones(*shape, dtype, device): return _Ones()
class cuda:
    is_available = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 1)
    get_device_name = staticmethod(lambda i: "NVIDIA L4")
    is_bf16_supported = staticmethod(lambda including_emulation: True)
"""


class Packages:
    """A folder in front of everything that is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def module(self, name: str, source: str = "") -> None:
        (self.folder / f"{name}.py").write_text(source)

    def metadata(self, name: str, version: str, requires: Sequence[str] = (), more: str = "") -> None:
        """more: further lines ("Requires-Python: >=3.11", "Provides-Extra: local")."""
        place = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir()
        wanted = "".join(f"Requires-Dist: {line}\n" for line in requires)
        (place / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{wanted}{more}"
        )

    def whole(self) -> None:
        """A torch without a GPU, and what stands on it: imported in no time."""
        self.module("torch", TORCH)
        self.module("torchvision", TORCHVISION)
        for name in ("open_clip", "bitsandbytes"):
            self.module(name)
        self.module("transformers", "AutoModelForImageTextToText = AutoProcessor = Trainer = None")
        self.module("peft", "LoraConfig = get_peft_model = None")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return Packages(folder)
