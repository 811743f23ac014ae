"""The temperatures of the alignment loss: two numbers, or two parameters that are trained with the adapter.

Learned as CLIP learns its own (Radford et al. 2021): the logarithm of the scale 1 / t is the parameter, so that
a step changes t by a share of itself. Compared with the released Finedefics (commit a179c35), which declares
two parameters but neither trains nor saves nor, in stage I, initialises them.
PEFT would freeze a parameter inside the model and leave it out of the adapter without a word; so they lie
outside of it, in files of their own beside the adapter.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from fgvr_kit.errors import ModelError
from fgvr_kit.training.losses import Temperature

COLDEST = 0.01
"""CLIP's bound, logits of at most 100: beyond it a float32 softmax knows only 0 and 1, and the hardest negative
alone gets a gradient."""
HOTTEST = 0.5
"""The released clamp: cosines become logits within 2 of 0, a contrast that cannot tell one key from 256. A model
that fails would otherwise flee there, where the loss is flat."""

_TENSORS, _WORDS = "temperatures.safetensors", "temperatures.json"


class Temperatures(nn.Module):
    """What divides the cosines of each pair. Learned ones start at the numbers given."""

    def __init__(self, attribute: float, category: float, *, learned: bool) -> None:
        super().__init__()
        self.is_learned = learned
        self._start = (attribute, category)
        # (2,): log(1 / t) of the attribute and of the category temperature.
        self.log_scale = nn.Parameter(-torch.tensor([attribute, category]).log(), requires_grad=learned)

    @property
    def attribute(self) -> Temperature:
        """Of images with descriptions."""
        return self._of(0)

    @property
    def category(self) -> Temperature:
        """Of descriptions with class names, and of class names."""
        return self._of(1)

    def _of(self, n: int) -> Temperature:
        # A fixed one is the very number that was asked for, not exp(log(...)) of it.
        return (-self.log_scale[n]).exp() if self.is_learned else self._start[n]

    def anew(self) -> Temperatures:
        """As they were at the start."""
        return Temperatures(*self._start, learned=self.is_learned)

    def trained(self) -> list[nn.Parameter]:
        return [self.log_scale] if self.is_learned else []

    def keep_in_range(self) -> None:
        """Back to the range after an optimizer step; inside the loss a clamp would have no gradient."""
        if self.is_learned:
            low, high = (-torch.tensor(t).log().item() for t in (HOTTEST, COLDEST))
            with torch.no_grad():
                self.log_scale.clamp_(low, high)

    def named(self) -> dict[str, Tensor]:
        """Learned ones by name, detached, for the log; fixed ones stand in the settings."""
        if not self.is_learned:
            return {}
        attribute, category = (-self.log_scale.detach()).exp()
        return {"attribute_temperature": attribute, "category_temperature": category}

    def save(self, folder: Path) -> None:
        """Write them beside an adapter: the bits, and the numbers for people."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({"log_scale": self.log_scale.detach().cpu()}, folder / _TENSORS)
        attribute, category = (-self.log_scale.detach()).exp().tolist() if self.is_learned else self._start
        words = {"learned": self.is_learned, "attribute": attribute, "category": category}
        (folder / _WORDS).write_text(json.dumps(words, indent=2) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over what save wrote. Raises ModelError when a file is missing, broken, or says otherwise."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            words = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
            found = load_file(folder / _TENSORS)["log_scale"]
        except (OSError, KeyError, json.JSONDecodeError, SafetensorError) as error:
            raise _missing(folder, f"{type(error).__name__}: {error}") from error
        if words.get("learned") != self.is_learned or found.shape != self.log_scale.shape:
            raise _missing(folder, f"they say {words}, and learned is {self.is_learned} now")
        with torch.no_grad():
            self.log_scale.copy_(found)


def _missing(folder: Path, why: str) -> ModelError:
    return ModelError(
        "the temperatures of this checkpoint cannot be read",
        code="temperatures-missing",
        where=str(folder),
        why=why,
        hint="remove the checkpoint, and training goes on from the one before it",
    )
