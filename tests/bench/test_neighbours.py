"""Look-alikes of 200,000 images in 1,000 classes: beside the machine's own matrix products, in bounded memory.

Each search runs in a process of its own, whose peak memory is that of the search. What it does is counted in
multiplications and additions of its matrix products, and its rate is held against a plain product of the same
process, measured before and after.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.bench

N, CLASSES, WIDTH = 200_000, 1_000, 512

SEARCH = """
import json, resource, sys, tempfile, time
import numpy as np
from fgvr_kit.pipeline.mine.guards import Pictures
from fgvr_kit.pipeline.mine.likeness import ToCentres, ToImages
from fgvr_kit.pipeline.mine.neighbours import Grouped, centres
from fgvr_kit.pipeline.mine.search import Search, Unwanted

by, n, n_classes, n_anchors, width = sys.argv[1], *map(int, sys.argv[2:6])
random = np.random.default_rng(0)

def units(n_rows):
    rows = random.standard_normal((n_rows, width), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

file = tempfile.NamedTemporaryFile()
vectors = np.memmap(file, dtype=np.float32, mode="w+", shape=(n, width))  # as they lie in a workspace
for start in range(0, n, 10_000):
    vectors[start : start + 10_000] = units(min(10_000, n - start))
texts = units(n_classes)
classes = np.sort(random.integers(0, n_classes, n))
everyone = np.arange(n)

def matmul_rate():
    first, second = units(4096), np.ascontiguousarray(units(4096).T)
    first @ second
    began = time.perf_counter()
    for _ in range(4):
        first @ second
    return 4 * 2 * 4096 * 4096 * width / (time.perf_counter() - began)

before = matmul_rate()
began = time.perf_counter()
groups = Grouped.of(classes, n_classes)
pictures = Pictures.of(vectors, everyone, everyone, np.zeros(n, dtype=bool), 0.95)
if by == "image":
    likeness = ToImages(vectors, groups, classes, pictures)
    for start in range(0, n_anchors, 4096):
        likeness.scores(everyone[start : min(n_anchors, start + 4096)])
    n_products = n_anchors * n
else:
    likeness = ToCentres(vectors, texts if by == "text" else centres(vectors, groups))
    found = Search(vectors, classes, groups, likeness, pictures, Unwanted(), 3).run()
    assert (found.members >= 0).all()
    n_products = n * n_classes + 3 * n * n // n_classes
seconds = time.perf_counter() - began
rate = 2 * width * n_products / seconds
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "rate": rate, "matmul": (before + matmul_rate()) / 2, "peak": peak}))
"""


def measured(by: str, n: int, n_classes: int, n_anchors: int = 0) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, by, *map(str, (n, n_classes, n_anchors, WIDTH))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    print(
        f"\n{n:,} x {WIDTH} among {n_classes:,} classes, by {by}: {found['seconds']:.1f} s,"
        f" {found['rate'] / 1e9:.0f} GFLOP/s of {found['matmul'] / 1e9:.0f}"
        f" ({100 * found['rate'] / found['matmul']:.0f} %), peak {found['peak'] / 1e9:.2f} GB"
    )
    return found


@pytest.mark.parametrize(("by", "n_anchors"), [("text", N), ("centroid", N), ("image", 16_384)])
def test_neighbours_beside_the_matrix_products_of_the_machine(by: str, n_anchors: int) -> None:
    """by image: of 16,384 anchors against all 200,000; the others cost the same again."""
    found = measured(by, N, CLASSES, n_anchors)
    assert found["rate"] > 0.5 * found["matmul"]
    assert found["peak"] < 1e9


def test_the_cost_is_linear_in_images() -> None:
    """Counted in products: each image with each class, and with the images of the three classes that it is likest.
    Such a product costs as much among 200,000 images as among 25,000."""
    each = []
    for n in (25_000, 50_000, 100_000, 200_000):
        found = measured("text", n, CLASSES)
        work = n * CLASSES + 3 * n * n // CLASSES
        each.append(found["matmul"] * found["seconds"] / work)  # in products of this machine at that time
    assert max(each) / min(each) < 1.6
