"""From a picture to what a CLIP looks at: open_clip's own preprocessing, its arithmetic done on whole batches.

Resizing and cropping happen in PIL, beside the model. Dividing, subtracting the mean and so on is the same for each
number: done on a batch of bytes it costs a quarter of the memory, and nothing of PyTorch runs in the threads that
open pictures, each of which would start as many threads again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fgvr_kit import plugins
from fgvr_kit.dataset.images import open_known
from fgvr_kit.types import ImageRef

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


class Preparation:
    """Two halves that together give what `preprocess` gives, bit by bit."""

    def __init__(self, preprocess: Callable[[Any], Any]) -> None:
        """preprocess: a picture to (3, H, W) numbers, as open_clip builds it."""
        kinds = plugins.require("torchvision.transforms", "comparing images")
        steps = list(getattr(preprocess, "transforms", []))
        self._is_split = (
            len(steps) > 1
            and isinstance(steps[-2], kinds.ToTensor)
            and isinstance(steps[-1], kinds.Normalize)
        )
        self._shape: Callable[[Any], Any] = kinds.Compose(steps[:-2]) if self._is_split else preprocess
        self._normalise: Callable[[Any], Any] | None = steps[-1] if self._is_split else None
        self.name = re.sub(r"\s+", " ", re.sub(r" at 0x[0-9a-f]+", "", str(preprocess))).strip()

    def picture(self, ref: ImageRef) -> NDArray[Any]:
        """(H, W, 3) bytes, of a picture that is opened and still the one that it was. Raises ImageError."""
        return np.asarray(self._shape(open_known(ref)))

    def pixels(self, pictures: Tensor) -> Tensor:
        """(B, H, W, 3) bytes -> (B, 3, H, W) numbers for the model, on the same device."""
        import torch

        if self._normalise is None:  # they are that already
            return pictures
        scaled = pictures.permute(0, 3, 1, 2).contiguous().to(torch.float32).div(255)
        return torch.as_tensor(self._normalise(scaled))
