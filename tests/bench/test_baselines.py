"""Baselines of many images: seconds, processor seconds and memory of kNN and the probe, and of the table."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from fgvr_kit.evaluation.baselines.classifier import centred
from fgvr_kit.evaluation.baselines.knn import Knn
from fgvr_kit.evaluation.baselines.material import Labelled
from fgvr_kit.evaluation.baselines.probe import Probe
from fgvr_kit.evaluation.exams import Exam
from fgvr_kit.evaluation.protocols import Question
from fgvr_kit.evaluation.ranked import predictions_of
from fgvr_kit.evaluation.scoring import Marked
from fgvr_kit.progress import SILENT
from fgvr_kit.types import Image

pytestmark = pytest.mark.bench

N_CLASSES, WIDTH = 100, 512


def clouds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    centres = np.random.default_rng(0).standard_normal((N_CLASSES, WIDTH), dtype=np.float32)
    random = np.random.default_rng(seed)
    labels = random.integers(0, N_CLASSES, n)
    return 0.12 * centres[labels] + random.standard_normal((n, WIDTH), dtype=np.float32), labels


def tell(what: str, began: tuple[float, float], extra: str = "") -> None:
    seconds, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what}: {seconds:.1f} s, {cpu:.1f} s of processor, peak {peak:,} MB {extra}", flush=True)


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def measure(n_train: int, n_test: int) -> None:
    (train, labels), (test, truth) = clouds(n_train, 1), clouds(n_test, 2)
    mean = train.mean(axis=0)
    train, test = centred(train, mean), centred(test, mean)
    images = tuple(Image(n, str(n), str(label), "train", str(n)) for n, label in enumerate(labels))
    them = Labelled(
        images, labels.astype(np.intp), np.arange(n_train) // 2, np.ones(n_train, bool), N_CLASSES
    )
    tell(f"{n_train:,} training and {n_test:,} test vectors ready", now())
    scores = np.zeros((n_test, N_CLASSES))
    for method in (Knn(), Probe()):
        began = now()
        chosen = method.choose(train, them, SILENT)
        tell(f"{method.name} chosen", began, str(chosen))
        began = now()
        answering = method.fit(train, them.labels, N_CLASSES, chosen)
        tell(f"{method.name} fitted", began)
        began = now()
        scores = np.concatenate([answering(test[start : start + 1024]) for start in range(0, n_test, 1024)])
        tell(f"{method.name} answered", began, f"{100 * (scores.argmax(axis=1) == truth).mean():.1f} % right")
    measure_table(scores, truth)


def measure_table(scores: np.ndarray, truth: np.ndarray) -> None:
    names = tuple(str(n) for n in range(N_CLASSES))
    asked = [Question(Image(n, str(n), names[t], "test", str(n)), names, "") for n, t in enumerate(truth)]
    began = now()
    found = predictions_of(asked, scores, {name: n for n, name in enumerate(names)})
    tell(f"{len(asked):,} predictions made", began)
    began = now()
    groups = {n: str(n // 2) for n in range(len(asked))}
    marked = Marked(Exam("closed", "closed", tuple(asked), ""), names, groups, n_resamples=2000, seed=0)
    row = marked.row("probe", "baseline", None, [{p.image_id: p for p in found}])
    figures = marked.scores(row)
    tell(f"{len(figures)} figures with 2,000 draws of {len(asked) // 2:,} groups", began)


def test_a_hundred_thousand_training_images(capsys: pytest.CaptureFixture[str]) -> None:
    code = "from tests.bench.test_baselines import measure; measure(100_000, 20_000)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    with capsys.disabled():
        print("\n" + told)
    assert "figures with 2,000 draws" in told
