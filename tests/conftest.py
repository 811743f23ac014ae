"""What every test runs under: one thread, no hub, a cache of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, by whichever test does
os.environ["HF_HUB_OFFLINE"] = "1"
# Tests that were started in the background (`make test &`) ignore Ctrl-C, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """FGVR_CACHE for the whole session: toy models are built once, nothing is read from the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("FGVR_CACHE")
    os.environ["FGVR_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["FGVR_CACHE"]
    else:
        os.environ["FGVR_CACHE"] = before


@pytest.fixture(scope="session")
def toy_vlm_path(cache_folder: Path) -> Path:
    """The checkpoint folder of "toy-vlm"."""
    _one_thread()
    from fgvr_kit import toy

    return toy.path_of("toy-vlm")


@pytest.fixture(scope="session")
def toy_clip_model(cache_folder: Path) -> str:
    """The toy CLIP as open_clip names it: "local-dir:FOLDER"."""
    _one_thread()
    from fgvr_kit import toy

    return f"local-dir:{toy.path_of('toy-clip')}"


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


# The same examples in every run: what CI says must not depend on luck. FGVR_EXPLORE=1 looks for new ones.
with suppress(ModuleNotFoundError):  # a machine that only runs tests/gpu need not have it
    from hypothesis import settings

    settings.register_profile("fgvr", derandomize="FGVR_EXPLORE" not in os.environ)
    settings.load_profile("fgvr")
