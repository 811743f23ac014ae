"""What the GPU tests run on, the one large model that they share, and where their figures go.

FGVR_GPU_TESTS_ON_CPU=tiny runs every line of them on a CPU with a tiny model: a rehearsal without a GPU.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.gpu.figures import Figures

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm
    from fgvr_kit.types import ImageRef
    from tests.gpu.eight_billion import Shape

_BEGAN = time.monotonic()
_KEPT = pytest.StashKey[Figures]()
_FREE_GB = 40  # to write 17 GB and have some left
_FILES = (
    "test_walk", "test_exact", "test_embedding", "test_eight_billion", "test_stages", "test_passes",
    "test_flow",
)  # fmt: skip
_WEIGHTS = ("nf4", "none")


@pytest.fixture(scope="session")
def device() -> str:
    """ "cuda", or "cpu" in a rehearsal; without either the test is skipped."""
    if os.environ.get("FGVR_GPU_TESTS_ON_CPU") == "tiny":
        return "cpu"
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA GPU here; FGVR_GPU_TESTS_ON_CPU=tiny rehearses without one")
    return "cuda"


@pytest.fixture(scope="session")
def figures(device: str, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Figures:
    """figures.json in $OUT, or in a temporary folder."""
    out = os.environ.get("OUT")
    folder = Path(out) if out else tmp_path_factory.mktemp("figures")
    pytestconfig.stash[_KEPT] = Figures(folder / "figures.json", device=device)
    return pytestconfig.stash[_KEPT]


@pytest.fixture(autouse=True)
def _in_time() -> None:
    """A machine that is lent for minutes: FGVR_GPU_TESTS_SECONDS after the beginning no test is begun."""
    if time.monotonic() - _BEGAN > float(os.environ.get("FGVR_GPU_TESTS_SECONDS", "inf")):
        pytest.skip("FGVR_GPU_TESTS_SECONDS are over")


# --- the large model ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shape(device: str, figures: Figures) -> Iterator[Shape]:
    """The shape for this device. Other tests run under one thread; images are prepared by more here."""
    import torch

    from tests.gpu.eight_billion import BIG, TINY

    before = torch.get_num_threads()
    if device == "cuda":
        torch.set_num_threads(8)
    figures.put("images are prepared by", cpu_threads=torch.get_num_threads())
    yield BIG if device == "cuda" else TINY
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def images(shape: Shape, tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    """As many photographs as the largest step takes, and some more."""
    from tests.gpu import eight_billion

    n = max(shape.align_batch, shape.instruct_batch) + 4
    return eight_billion.photographs(shape, n, tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="session", params=_WEIGHTS)
def weights(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def vlm(
    weights: str,
    shape: Shape,
    device: str,
    figures: Figures,
    toy_vlm_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Vlm]:
    """The model that all share, one kind of weights after the other.

    none: made in memory.  nf4: written to disk, and read as a user's checkpoint is.
    """
    from transformers import AutoProcessor

    from fgvr_kit.families.base import Vlm
    from tests.gpu import eight_billion, meter

    meter.forget_peak()
    before = meter.allocated_gb() or 0.0
    started = meter.finished()
    loaded = eight_billion.build(shape, AutoProcessor.from_pretrained(toy_vlm_path), device)
    n_parameters = sum(p.numel() for p in loaded.model.parameters())
    group = f"{shape.name}, {weights}"
    figures.put(group, seconds_to_make=meter.finished() - started)
    if weights == "nf4":
        folder = tmp_path_factory.mktemp("checkpoint")
        refuse_full_disk(folder, device, figures, group)
        started = meter.finished()
        eight_billion.save(loaded, folder)
        seconds_to_write = meter.finished() - started
        del loaded
        meter.forget_peak()
        started = meter.finished()
        loaded = Vlm.load(str(folder), device=device, quantize="auto" if device == "cuda" else "nf4")
        figures.put(
            group,
            seconds_to_write=seconds_to_write,
            seconds_to_load=meter.finished() - started,
            peak_gb_of_loading=meter.peak_gb(),
        )
        shutil.rmtree(folder)
    meter.forget_peak()
    in_use = meter.allocated_gb()
    figures.put(
        group,
        million_parameters=n_parameters / 1e6,
        gb_after_load=None if in_use is None else in_use - before,
    )
    yield loaded
    loaded.model = None  # the fixture's own variable is not the only one
    del loaded
    meter.forget_peak()


@pytest.fixture
def tuned(vlm: Vlm) -> Iterator[Vlm]:
    """With an adapter of the recipe's size, trained or not. What a test leaves on the GPU is let go."""
    from tests.gpu import eight_billion, meter

    if not vlm.has_adapter:
        eight_billion.adapt(vlm)
    vlm.model.gradient_checkpointing_disable()
    meter.forget_peak()
    yield vlm
    vlm.model.zero_grad(set_to_none=True)
    for held in ("last_exc", "last_value", "last_traceback"):  # of a test that failed, with all its tensors
        vars(sys).pop(held, None)
    meter.forget_peak()


@pytest.fixture(scope="session")
def matmul_rate(device: str, figures: Figures) -> float:
    """FLOP/s of one large matrix product in what the model computes in: what can be had of this device."""
    from tests.gpu import meter

    rate = meter.matmul_rate(device)
    figures.put("a matrix product of random numbers", tflops_a_second=rate / 1e12)
    return rate


def refuse_full_disk(folder: Path, device: str, figures: Figures, group: str) -> None:
    """Skip where a checkpoint of the large shape cannot be written."""
    free = shutil.disk_usage(folder).free / 1e9
    if device == "cuda" and free < _FREE_GB:
        figures.put(group, skipped=f"{free:.0f} GB free on disk, {_FREE_GB} wanted")
        pytest.skip("not enough room on disk for the checkpoint")


# --- order and report ---------------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Small models first, then all tests of one large model, then those of the next: it is made once each."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, int]:
    if item.path.parent != Path(__file__).parent:
        return -1, 0
    shares_model = "vlm" in getattr(item, "fixturenames", ())
    group = 1 + _WEIGHTS.index(item.callspec.params["weights"]) if shares_model else 0  # type: ignore[attr-defined]
    return group, _FILES.index(item.path.stem)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash.get(_KEPT, None):
        terminalreporter.section(f"figures ({figures.path})")
        for line in figures.lines():
            terminalreporter.write_line(line)
