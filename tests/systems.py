"""What a test needs of the system it runs on, said once."""

from __future__ import annotations

import sys

import pytest

names_are_bytes = pytest.mark.skipif(
    sys.platform != "linux",
    reason="macOS and Windows keep file names as text: a name that is not UTF-8 cannot be made there",
)
