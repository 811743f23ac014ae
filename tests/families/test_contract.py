from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit import plugins
from fgvr_kit.families.base import Vlm
from tests.families import tiny
from tests.families.contract import Contract


@pytest.fixture(scope="module", params=sorted(tiny.BUILDERS))
def checkpoint(request: pytest.FixtureRequest, checkpoints: Callable[[str], Path]) -> Path:
    return checkpoints(request.param)


@pytest.fixture(scope="module")
def vlm(checkpoint: Path) -> Vlm:
    return Vlm.load(str(checkpoint), device="cpu")


@pytest.fixture
def fresh(checkpoint: Path) -> Callable[..., Any]:
    return partial(Vlm.load, str(checkpoint), device="cpu")


class TestEveryFamily(Contract):
    pass


def test_every_model_type_of_every_plug_in_is_under_contract() -> None:
    known = {
        kind
        for name in plugins.names("families")
        for kind in plugins.load("families", name).FAMILY.model_types
    }
    assert known == set(tiny.BUILDERS)


def test_every_family_file_lists_the_model_type_it_is_named_after() -> None:
    for name in plugins.names("families"):
        assert name in plugins.load("families", name).FAMILY.model_types
