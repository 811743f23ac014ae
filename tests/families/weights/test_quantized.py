"""What "auto" comes to, and that small weights lie where they should."""

from __future__ import annotations

import sys
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fgvr_kit.errors import ModelError
from fgvr_kit.families import known_families
from fgvr_kit.families.base import Vlm
from fgvr_kit.families.weights import quantized
from fgvr_kit.families.weights.quantized import check_spared, has_cuda, resolved
from tests.cli.conftest import python
from tests.families.contract import ASKS, LETTERS
from tests.families.spoilt import load


@pytest.mark.parametrize(
    ("quantize", "device", "gpu", "expected"),
    [
        ("auto", "auto", True, "nf4"),
        ("auto", "auto", False, "none"),
        ("auto", "cpu", True, "none"),
        ("auto", "mps", False, "none"),
        ("auto", "cuda", False, "nf4"),
        ("auto", "cuda:1", True, "nf4"),
        ("int8", "auto", False, "int8"),
        ("none", "cuda", True, "none"),
    ],
)
def test_auto_is_4_bit_on_a_gpu_alone(
    monkeypatch: pytest.MonkeyPatch, quantize: str, device: str, gpu: bool, expected: str
) -> None:
    monkeypatch.setattr(quantized, "has_cuda", lambda: gpu)
    assert resolved(quantize, device) == expected


def test_a_gpu_is_found_without_torch_as_torch_finds_it() -> None:
    code = (
        "import sys; from fgvr_kit.families.weights.quantized import has_cuda;"
        "print(has_cuda(), 'torch' in sys.modules)"
    )
    assert python(code).stdout.split() == [str(torch.cuda.is_available()), "False"]


@pytest.mark.parametrize(
    ("version", "gpus", "visible", "expected"),
    [
        ("cuda: str | None = '12.8'", 1, None, True),
        ("cuda: str | None = '12.8'", 1, "0", True),
        ("cuda: str | None = '12.8'", 1, "", False),
        ("cuda: str | None = '12.8'", 1, "-1", False),
        ("cuda: str | None = '12.8'", 0, None, False),
        ("cuda: str | None = None", 1, None, False),
    ],
)
def test_a_gpu_counts_when_torch_was_built_for_it_and_nobody_hides_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: str,
    gpus: int,
    visible: str | None,
    expected: bool,
) -> None:
    (tmp_path / "version.py").write_text(f"__version__ = '2'\n{version}\nhip: str | None = None\n")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(quantized.importlib.util, "find_spec", lambda _: spec)
    monkeypatch.setattr(quantized, "_nvidia_gpus", lambda: gpus)
    monkeypatch.delitem(sys.modules, "torch")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    quantized._torch_is_built_for.cache_clear()
    assert has_cuda() == expected
    quantized._torch_is_built_for.cache_clear()


def test_names_without_their_path_would_spare_nothing(
    monkeypatch: pytest.MonkeyPatch, toy_vlm_path: Path
) -> None:
    """transformers 5 matches from the start of the path: the bare list quantises the vision tower, silently."""
    from transformers import BitsAndBytesConfig

    def bare(kind: str, family: Any, dtype: Any) -> Any:
        names = ["vision_model", "connector", "lm_head"]
        return BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=names)

    monkeypatch.setattr("fgvr_kit.families.weights.config_of", bare)
    with pytest.raises(ModelError) as caught:
        Vlm.load("toy-vlm", device="cpu", quantize="nf4")
    assert caught.value.code == "quantized-wrongly"
    assert "model.vision_model" in str(caught.value.why)


def test_weights_that_stayed_whole_are_told() -> None:
    vlm = load("toy-vlm", quantize="none")
    assert vlm.quantized == "none"
    with pytest.raises(ModelError) as caught:
        check_spared(vlm.model, known_families()["idefics2"])
    assert caught.value.code == "quantized-wrongly"


def test_4_bit_weights_are_not_repacked_by_the_first_answer() -> None:
    """On CPUs with AVX512-BF16 (elsewhere only the switch can be seen)."""
    vlm = load("toy-vlm", quantize="nf4")
    layers = quantized.small_layers(vlm.model)
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers.values())
    before = {name: layer.weight.data.clone() for name, layer in layers.items()}
    vlm.generate([ASKS[0]], max_new_tokens=2)
    assert all(torch.equal(layer.weight.data, before[name]) for name, layer in layers.items())


def test_small_weights_cannot_be_trained_whole() -> None:
    vlm = load("toy-vlm", quantize="int8")
    with pytest.raises(ModelError) as caught:
        vlm.unfreeze()
    assert caught.value.code == "quantized-full"


def test_a_merged_adapter_of_a_4_bit_model_is_loaded_whole_and_says_the_same(tmp_path: Path) -> None:
    vlm = load("toy-vlm", quantize="nf4")
    vlm.attach_lora(r=2, alpha=4, dropout=0.0, seed=0)
    vlm.merged(tmp_path / "merged", ASKS)
    again = load(tmp_path / "merged", quantize="none")
    assert again.quantized == "none"
    torch.testing.assert_close(again.choose(ASKS, LETTERS), vlm.choose(ASKS, LETTERS), atol=1e-5, rtol=1e-4)


def test_dora_is_trained_on_4_bit_weights_and_refused_on_8_bit_ones(tmp_path: Path) -> None:
    vlm = load("toy-vlm", quantize="nf4")
    vlm.attach_lora(r=2, alpha=4, dropout=0.0, seed=0, dora=True)
    merged = vlm.merged(tmp_path / "merged", ASKS)
    assert merged.difference < 1e-4 * merged.largest
    vlm = load("toy-vlm", quantize="int8")
    with pytest.raises(ModelError) as caught:
        vlm.attach_lora(r=2, alpha=4, dropout=0.0, seed=0, dora=True)
    assert caught.value.code == "dora-int8"


def test_merging_without_making_weights_whole_would_cost_what_the_measure_shows(tmp_path: Path) -> None:
    """peft merges into 4 bit, and rounds again: the reason why `merged` does not."""
    torch.manual_seed(0)
    vlm = load("toy-vlm", quantize="nf4")
    vlm.attach_lora(r=2, alpha=4, dropout=0.0, seed=0)
    with torch.no_grad():
        for name, weight in vlm.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    before = vlm.choose(ASKS, LETTERS)
    again = deepcopy(vlm)
    again.model = again.model.merge_and_unload()
    vlm.merged(tmp_path / "merged", ASKS)
    assert (vlm.choose(ASKS, LETTERS) - before).abs().max() < 1e-4
    assert (again.choose(ASKS, LETTERS) - before).abs().max() > 1e-3
