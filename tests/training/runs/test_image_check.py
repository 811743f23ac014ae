from __future__ import annotations

from typing import Any

import pytest
import torch

from fgvr_kit.errors import ModelError
from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.examples import align_examples, both_examples, instruct_examples
from fgvr_kit.training.runs.image_check import refuse_blind
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is put together so that its pictures do not arrive."""
    inner = Vlm.image_features

    def nothing(vlm: Vlm, inputs: Any) -> list[torch.Tensor]:
        return [torch.zeros_like(rows) for rows in inner(vlm, inputs)]

    monkeypatch.setattr(Vlm, "image_features", nothing)


@pytest.mark.parametrize("make", [align_examples, instruct_examples, both_examples])
def test_a_model_that_sees_may_train(workspace: Workspace, make: Any) -> None:
    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none")
    before = torch.get_rng_state()
    refuse_blind(vlm, make(workspace).rows)
    assert not vlm.model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_training_a_model_that_does_not_see_is_refused_before_the_first_step(
    workspace: Workspace, blind: None
) -> None:
    with pytest.raises(ModelError) as caught:
        train_recipe(workspace)
    assert caught.value.code == "image-not-seen"
    assert workspace.store.count("steps") == 0


def test_one_picture_cannot_be_swapped(workspace: Workspace, blind: None) -> None:
    rows = align_examples(workspace).rows
    refuse_blind(Vlm.load("toy-vlm", device="cpu", quantize="none"), [rows[0], rows[0]])
