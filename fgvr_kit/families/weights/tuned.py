"""What training adds to a model: an adapter or changed weights, in and out of files, or merged into the base."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit.errors import ModelError
from fgvr_kit.families import weights
from fgvr_kit.families.turns import Ask
from fgvr_kit.families.weights import adapters, quantized, whole
from fgvr_kit.families.weights.bases import Base
from fgvr_kit.fingerprint import digest_files

if TYPE_CHECKING:
    from torch import Tensor

    from fgvr_kit.families import Family
    from fgvr_kit.families.weights.quantized import Loaded


@dataclass(frozen=True, slots=True)
class Merged:
    """A whole checkpoint that was made of base and adapter.

    difference: the largest that any logit of the probes changed by; largest: the largest logit before.
    """

    folder: Path
    difference: float
    largest: float


class Tuned(ABC):
    """A part of Vlm: what of it is trained."""

    name: str
    note: str | None
    family: Family
    model: Any
    processor: Any
    _base: Base
    _whole_from: Path | None = None
    """The folder of full fine-tuning that the weights come from."""

    @property
    def quantized(self) -> Loaded:
        """How the weights are stored, whatever was asked for."""
        return quantized.kind_of(self.model)

    @property
    def has_adapter(self) -> bool:
        return hasattr(self.model, "peft_config")

    def attach_lora(
        self, *, r: int, alpha: int, dropout: float, seed: int, dora: bool = False, targets: str = ""
    ) -> None:
        """Freeze the model and add a fresh adapter to text model and connector.

        dora: magnitudes are trained too (DoRA, arXiv 2402.09353).  targets: expression that the whole path of
        a Linear layer must match, in place of the family's.
        Raises ModelError when it has one already, or targets hit nothing or the vision tower.
        """
        self._refuse_a_second()
        self.model = adapters.attach(
            self.model, self.family, r=r, alpha=alpha, dropout=dropout, seed=seed, dora=dora, targets=targets
        )

    def unfreeze(self) -> None:
        """Full fine-tuning: all weights but the vision tower's, in 32 bit. save_adapter then writes those.

        To train what load(adapter=...) read further, call it again. Raises ModelError for quantised weights.
        """
        self._refuse_a_second()
        whole.unfreeze(self.model, self.family)
        if self._whole_from is not None:  # what was read was rounded to what the model answers in
            whole.load(self.model, self.family, self._whole_from, self._base)

    def save_adapter(self, folder: Path) -> None:
        """Write what was trained (not the base model) so that load(adapter=folder) finds it."""
        if self.has_adapter:
            adapters.save(self.model, folder, self._base)
        else:
            whole.save(self.model, folder, self._base)

    def load_adapter(self, folder: Path) -> None:
        """Read what save_adapter wrote. Raises ModelError when it is damaged, or another model's."""
        self._refuse_a_second()
        self.model = weights.load_trained(self.model, self.family, folder, self._base)
        self._whole_from = folder if whole.is_in(folder) else None

    def merged(self, folder: Path, probes: Sequence[Ask]) -> Merged:
        """Write base and adapter as one whole checkpoint; this model becomes it, without an adapter.

        Quantised weights are made whole first. probes: asks whose logits are compared before and after.
        Raises ModelError without an adapter.
        """
        if not self.has_adapter:
            raise ModelError(
                f"{self.name} has no adapter to merge",
                code="adapter-absent",
                hint="train one: fgvr-kit train",
            )
        before = self.logits_of(probes)
        was_training = self.model.training
        with tempfile.TemporaryDirectory() as kept:
            adapters.save(self.model, Path(kept), self._base)
            digest = digest_files(Path(kept) / adapters.WEIGHTS)
            self.model = adapters.merge(self.model, Path(kept))
        self.model.train(was_training)
        after = self.logits_of(probes)
        self._base = replace(self._base, merged=digest)
        weights.save_checkpoint(self.model, self.processor, folder, self.note, digest)
        gaps = [float((a - b).abs().max()) for a, b in zip(before, after, strict=True)]
        return Merged(folder, max(gaps), max(float(one.abs().max()) for one in before))

    def trainable_parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def _refuse_a_second(self) -> None:
        if self.has_adapter:
            raise ModelError(
                f"{self.name} has an adapter already",
                code="adapter-present",
                hint="train that one further, or load the model without it",
            )

    @abstractmethod
    def logits_of(self, asks: Sequence[Ask]) -> list[Tensor]:
        """Of each ask, (T, V) float32 on the CPU."""
