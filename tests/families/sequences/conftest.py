from __future__ import annotations

import pytest

from fgvr_kit.families.base import Vlm


@pytest.fixture(scope="module")
def vlm() -> Vlm:
    """The toy, shared; left as it was."""
    return Vlm.load("toy-vlm", device="cpu")
