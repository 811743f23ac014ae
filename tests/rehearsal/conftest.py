from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.coins import make_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six coins and their attributes."""
    return make_workspace(tmp_path)
