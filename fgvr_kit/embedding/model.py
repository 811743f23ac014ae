"""An open_clip model in memory: pixels and texts to unit vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from fgvr_kit import plugins
from fgvr_kit.embedding import told, weights
from fgvr_kit.embedding.preparing import Preparation
from fgvr_kit.embedding.specs import Precision, Spec
from fgvr_kit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_PREPROCESSED_BY = ("open_clip_torch", "torchvision")


class Model:
    """A CLIP on its device.

    preparation: of a picture, as open_clip built it.  dimension: D of its vectors.  scale: what cosines are
    multiplied with before the softmax.
    """

    def __init__(self, spec: Spec, precision: Precision, device: str) -> None:
        """device: "auto" is a GPU if there is one.

        Raises ModelError when there is no such model or device, or its weights cannot be loaded.
        """
        plugins.require("open_clip", "comparing images")
        import torch

        self.spec = spec
        self.device = _device(device)
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self._net, preprocess = weights.create(spec, precision, self.device)
        self._tokenize: Callable[[list[str]], Tensor] | None = None
        self.preparation = Preparation(preprocess)
        self.scale = float(self._net.logit_scale.detach().float().exp())
        if not math.isfinite(self.scale):  # no vector shows it, but every probability would
            raise told.scale_not_finite(spec)
        size = self._net.visual.preprocess_cfg["size"]
        height, width = (size, size) if isinstance(size, int) else size
        self.dimension = int(self._encoded(torch.zeros(1, 3, height, width)).shape[1])

    def encode_images(self, pictures: Tensor) -> Tensor:
        """(B, ...) pictures as the preparation gives them -> (B, D) unit rows, float32, on the device.

        On a GPU it returns before they are computed. Raises ModelError "out-of-memory".
        """
        try:
            there = pictures.to(self.device, non_blocking=True)
            return self._encoded(self.preparation.pixels(there))
        except (RuntimeError, MemoryError) as error:
            if not told.is_out_of_memory(error):
                raise
            raise told.out_of_memory(self.spec, len(pictures), self.device, error) from error

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """(N, D) unit rows, float32, on the device."""
        import torch

        if self._tokenize is None:
            self._tokenize = weights.tokenizer(self.spec)
        with torch.inference_mode():
            return _unit(self._net.encode_text(self._tokenize(list(texts)).to(self.device)))

    def _encoded(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D)."""
        import torch

        with torch.inference_mode():
            return _unit(self._net.encode_image(pixels.to(self.device, self._dtype)))


def preprocessing_versions() -> str:
    """The packages that decide how a picture is prepared. Imports none of them."""
    return ", ".join(f"{name} {_version(name)}" for name in _PREPROCESSED_BY)


def _device(asked: str) -> str:
    import torch

    has_gpu = torch.cuda.is_available()
    if asked == "auto":
        return "cuda" if has_gpu else "cpu"
    if asked.startswith("cuda") and not has_gpu:
        raise ModelError(
            "there is no usable CUDA GPU here",
            code="no-gpu",
            hint="--set train.device=cpu; fgvr-kit doctor tells what is wrong with the GPU",
        )
    return asked


def _unit(vectors: Tensor) -> Tensor:
    from torch.nn.functional import normalize

    return normalize(vectors.float(), dim=-1)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"
