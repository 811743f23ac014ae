from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.coins import make_workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace without a list of attributes."""
    make_workspace(tmp_path)
    (tmp_path / "attributes.csv").unlink()
    return tmp_path
