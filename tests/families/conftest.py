from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """model_type -> a tiny checkpoint of it, built once a session."""
    import torch

    from tests.families import tiny

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("checkpoints")

    def checkpoint(model_type: str) -> Path:
        folder = root / model_type
        return folder if folder.is_dir() else (tiny.BUILDERS | tiny.GUESTS)[model_type](folder)

    return checkpoint


@pytest.fixture
def copy(toy_vlm_path: Path, tmp_path: Path) -> Path:
    """The toy's checkpoint, to be spoilt."""
    return Path(shutil.copytree(toy_vlm_path, tmp_path / "model"))
