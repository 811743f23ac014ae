"""CLIP zero-shot: the class whose text is most similar to the image. Nothing is learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgvr_kit.evaluation.baselines.classifier import ClipContender
from fgvr_kit.evaluation.baselines.material import Material
from fgvr_kit.fingerprint import fingerprint
from fgvr_kit.pipeline.mine.texts import texts_of
from fgvr_kit.progress import Progress

if TYPE_CHECKING:
    from fgvr_kit.evaluation.baselines.classifier import Answering


ZERO_SHOT = "CLIP zero-shot"


class ZeroShot(ClipContender):
    """With the class prompt of [mine]: hard options are those that it mistakes itself, so that it is right about the
    options exactly where it is right about all classes."""

    def __init__(self, material: Material) -> None:
        workspace = material.workspace
        self._texts = list(texts_of(workspace, workspace.classes()).values())
        super().__init__(material, ZERO_SHOT, f"{material.clip.key} zero-shot {fingerprint(self._texts)}")

    def fitted(self, progress: Progress) -> Answering:
        store, clip = self.material.workspace.store, self.material.clip
        classes = clip.classes(store, self._texts)  # (C, D)
        scale = clip.scale(store)
        return lambda vectors: scale * (vectors @ classes.T)
