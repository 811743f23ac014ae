"""Weights in 4 and 8 bit: only the text model's, trained without harm, and whole again before they are merged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fgvr_kit.families.base import Vlm
from fgvr_kit.families.weights.quantized import small_layers
from tests.families.contract.scene import ANSWERS, ASKS, LETTERS
from tests.families.contract.tuning import LORA, shake, trained
from tests.families.contract.vectors import answer_loss

of_either = pytest.mark.parametrize("quantize", ["nf4", "int8"])


class SmallWeights:
    @of_either
    def test_small_weights_spare_vision_connector_and_head(
        self, fresh: Callable[..., Vlm], quantize: str
    ) -> None:
        vlm = fresh(quantize=quantize)
        places = {id(module): name for name, module in vlm.model.named_modules()}
        text = places[id(vlm.model.get_decoder())]
        small = small_layers(vlm.model)
        assert len(small) == 2 * 7
        assert all(n.startswith(f"{text}.layers.") for n in small)
        assert vlm.quantized == quantize

    @of_either
    def test_small_weights_are_trained_after_an_answer_and_come_back(
        self, fresh: Callable[..., Vlm], tmp_path: Path, quantize: str
    ) -> None:
        vlm = fresh(quantize=quantize)
        before = vlm.choose(ASKS, LETTERS)
        vlm.attach_lora(**LORA)
        vlm.model.train()
        encoded = vlm.encode(ASKS, ANSWERS)
        answer_loss(vlm, encoded.inputs, encoded.labels).backward()
        assert all(p.grad is not None for p in trained(vlm).values())
        assert vlm.model.training
        torch.testing.assert_close(vlm.choose(ASKS, LETTERS), before, atol=1e-5, rtol=1e-4)
        shake(vlm)
        tuned = vlm.choose(ASKS, LETTERS)
        vlm.save_adapter(tmp_path)
        again = fresh(quantize=quantize, adapter=tmp_path)
        assert torch.equal(again.choose(ASKS, LETTERS), tuned)

    @of_either
    def test_small_weights_are_whole_again_before_an_adapter_is_merged(
        self, fresh: Callable[..., Vlm], tmp_path: Path, quantize: str
    ) -> None:
        vlm = fresh(quantize=quantize)
        vlm.choose(ASKS, LETTERS)  # where 4-bit weights would be repacked in place
        vlm.attach_lora(**LORA)
        shake(vlm)
        merged = vlm.merged(tmp_path / "merged", ASKS)
        # 4 bit: exact. 8 bit: activations are rounded to 8 bit too, and are not once the weights are whole.
        assert merged.difference < merged.largest * (1e-4 if quantize == "nf4" else 0.1)
        assert vlm.quantized == "none"
