from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fgvr_kit import toy
from fgvr_kit.errors import ModelError
from fgvr_kit.families.base import Vlm
from fgvr_kit.training.runs import memory
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace


def test_parameters_are_counted_without_loading(tmp_path: Path, toy_vlm_path: Path) -> None:
    model = Vlm.load("toy-vlm", device="cpu", quantize="none").model
    assert memory.parameters_of(toy_vlm_path) == sum(p.numel() for p in model.parameters())
    assert memory.parameters_of(tmp_path) is None


def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(
    reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "parameters_of", lambda _: 8_400_000_000)
    monkeypatch.setattr(memory, "_memory", lambda _: (False, 16.0 * 2**30))
    monkeypatch.setattr(Vlm, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    path = toy.path_of("toy-vlm")
    with reopen(f"train.model='{path}'") as workspace, pytest.raises(ModelError) as caught:
        train_recipe(workspace)
    assert caught.value.code == "model-too-large"
    assert "up to 3.4 billion" in caught.value.hint
    assert "7 GiB" in caught.value.hint


@pytest.mark.parametrize(
    ("quantize", "gib", "fits"),
    [("nf4", 8, True), ("nf4", 6, False), ("none", 24, True), ("none", 16, False)],
)
def test_quantised_weights_need_less(
    reopen: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch, toy_vlm_path: Path,
    quantize: str, gib: int, fits: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(memory, "parameters_of", lambda _: 8_400_000_000)
    monkeypatch.setattr(memory, "_memory", lambda _: (True, gib * 2.0**30))
    with reopen(f"train.model='{toy_vlm_path}'", f"train.quantize='{quantize}'") as workspace:
        if fits:
            memory.refuse_too_large(workspace)
        else:
            with pytest.raises(ModelError):
                memory.refuse_too_large(workspace)
