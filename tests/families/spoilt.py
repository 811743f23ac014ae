"""Checkpoints that are not what they should be, and what opening them says."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit.errors import ModelError
from fgvr_kit.families.base import Vlm
from fgvr_kit.families.weights.quantized import Quantize


def load(place: Path | str, *, adapter: Path | None = None, quantize: Quantize = "none") -> Vlm:
    """Like Vlm.load; the toy is a copy, made in a fortieth of the time that loading takes."""
    if place != "toy-vlm":
        return Vlm.load(str(place), device="cpu", adapter=adapter, quantize=quantize)
    vlm = deepcopy(_toy(quantize))
    if adapter is not None:
        vlm.load_adapter(adapter)
        vlm.model.eval()
    return vlm


@cache
def _toy(quantize: Quantize) -> Vlm:
    return Vlm.load("toy-vlm", device="cpu", quantize=quantize)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def error_of(place: Path | str, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(place, **options)
    assert caught.value.hint
    return caught.value


def code_of(place: Path | str, **options: Any) -> str:
    return error_of(place, **options).code
