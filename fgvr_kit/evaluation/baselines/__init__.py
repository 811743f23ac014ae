"""What a sensible user tries before training an MLLM: CLIP as it is, its nearest neighbours, a linear probe.

All see the vectors that `mine` sees, and learn from the training images only. Validation images, where there are
any, help to choose k and the strength of the penalty; test images never do.
"""

from __future__ import annotations

from collections.abc import Sequence

from fgvr_kit.embedding import Clip
from fgvr_kit.evaluation.baselines.classifier import Classifier
from fgvr_kit.evaluation.baselines.knn import Knn
from fgvr_kit.evaluation.baselines.material import Material
from fgvr_kit.evaluation.baselines.probe import Probe
from fgvr_kit.evaluation.baselines.shots import N_DRAWS, drawn
from fgvr_kit.evaluation.baselines.zero_shot import ZeroShot
from fgvr_kit.evaluation.contenders import Contender
from fgvr_kit.workspace import Workspace


def baselines(workspace: Workspace, shots: Sequence[int] = ()) -> list[Contender]:
    """CLIP zero-shot, then kNN and the probe on all training images, then both on so many of each class.

    Nothing is computed yet. Where no class has more images than a number of shots, these shots are all there
    is: no contender of their own. Raises SettingsError where no CLIP model is chosen.
    """
    mine = workspace.settings.mine
    clip = Clip(
        mine.model,
        device=workspace.settings.train.device,
        precision=mine.precision,
        workers=mine.workers,
    )
    material = Material(workspace, clip)
    found: list[Contender] = [ZeroShot(material)]
    whole = material.labelled
    if not whole.n_train:
        return found
    found += [Classifier(method, material, whole) for method in (Knn(), Probe())]
    for n in sorted({n for n in shots if n < whole.largest_class}):
        draws = [drawn(whole, n, seed=workspace.settings.evaluate.seed, draw=draw) for draw in range(N_DRAWS)]
        for method in (Knn(), Probe()):
            found += [Classifier(method, material, draw, n_shots=n, draw=d) for d, draw in enumerate(draws)]
    return found
