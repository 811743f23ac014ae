"""What the GPU tests run on, and where their figures go.

FGVR_GPU_TESTS_ON_CPU=tiny runs every line of them on a CPU with a tiny model: a rehearsal without a GPU.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.gpu.figures import Figures

_KEPT = pytest.StashKey[Figures]()


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file last, so that a call that runs out of time has the others."""
    items.sort(key=lambda item: "gpu/test_eight_billion.py" in item.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash.get(_KEPT, None):
        terminalreporter.section(f"figures ({figures.path})")
        for line in figures.lines():
            terminalreporter.write_line(line)
