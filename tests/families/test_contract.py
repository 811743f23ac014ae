from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest

from fgvr_kit import plugins
from fgvr_kit.families.base import Vlm
from tests.families import tiny
from tests.families.contract import Contract


@pytest.fixture(scope="module", params=sorted(tiny.BUILDERS))
def checkpoint(request: pytest.FixtureRequest, checkpoints: Callable[[str], Path]) -> Path:
    return checkpoints(request.param)


@pytest.fixture(scope="module")
def loaded(checkpoint: Path) -> Callable[[str], Vlm]:
    return cache(lambda quantize: Vlm.load(str(checkpoint), device="cpu", quantize=quantize))


@pytest.fixture(scope="module")
def vlm(loaded: Callable[[str], Vlm]) -> Vlm:
    return loaded("none")


@pytest.fixture
def fresh(loaded: Callable[[str], Vlm]) -> Callable[..., Vlm]:
    """A copy to change: made in a fortieth of the time that loading takes."""

    def fresh_one(quantize: str = "none", adapter: Path | None = None) -> Vlm:
        vlm = deepcopy(loaded(quantize))
        if adapter is not None:
            vlm.load_adapter(adapter)
            vlm.model.eval()
        return vlm

    return fresh_one


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
