from __future__ import annotations

from pathlib import Path

import numpy as np

from fgvr_kit.embedding import Clip
from fgvr_kit.evaluation.baselines.material import Material
from fgvr_kit.evaluation.baselines.zero_shot import ZeroShot
from fgvr_kit.evaluation.contenders import Sheet
from fgvr_kit.evaluation.exams import closed_exam
from fgvr_kit.pipeline.init import init
from fgvr_kit.progress import SILENT
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders


def test_it_names_the_class_whose_text_has_the_largest_cosine(tmp_path: Path, toy_clip_model: str) -> None:
    init(
        class_folders(tmp_path / "things", {f"{s}/{n}": 5 for s in ("train", "test") for n in "abc"}),
        tmp_path,
    )
    with Workspace(tmp_path, ["mine.model=toy-clip", "train.device=cpu"]) as workspace:
        clip = Clip("toy-clip", device="cpu")
        exam = closed_exam(workspace)
        ((protocol, found),) = ZeroShot(Material(workspace, clip)).answer(
            workspace, [Sheet(exam, frozenset())], SILENT
        )
        refs = [workspace.ref_of(image) for image in workspace.store.images("test")]
        images = clip.images(workspace.store, refs, batch_size=4)
        cosines = images @ clip.texts(workspace.store, [f"an image of a {name}" for name in "abc"]).T
        scale = clip.scale(workspace.store)
    assert protocol == exam.protocol
    assert [p.predicted for p in found] == ["abc"[n] for n in cosines.argmax(axis=1)]
    expected = np.exp(scale * cosines) / np.exp(scale * cosines).sum(axis=1, keepdims=True)
    assert np.allclose(np.exp([p.scores for p in found]), expected, atol=1e-4)
