"""Adapters: which layers they lie on, whose they are, and that nothing of them is lost without a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fgvr_kit.errors import ModelError
from fgvr_kit.families.base import Vlm
from tests.families.contract import ASKS, LETTERS
from tests.families.spoilt import code_of, edit, error_of, load


def test_a_folder_without_an_adapter_is_told(tmp_path: Path) -> None:
    assert code_of("toy-vlm", adapter=tmp_path) == "adapter-not-found"


def test_an_adapter_of_another_architecture_is_told(
    checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    other = load(checkpoints("llava"))
    other.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    other.save_adapter(tmp_path)
    assert code_of("toy-vlm", adapter=tmp_path) == "adapter-mismatch"


def test_an_adapter_of_another_size_is_told(tmp_path: Path) -> None:
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    vlm.save_adapter(tmp_path)
    edit(tmp_path / "adapter_config.json", r=4)
    assert code_of("toy-vlm", adapter=tmp_path) == "adapter-mismatch"


def test_an_adapter_that_lost_a_layer_is_told(tmp_path: Path) -> None:
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    vlm.save_adapter(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    kept = load_file(file)
    lost = sorted(kept)[0]
    del kept[lost]
    save_file(kept, file, metadata={"format": "pt"})
    error = error_of("toy-vlm", adapter=tmp_path)
    assert error.code == "adapter-mismatch"
    assert error.why == f"1 weights have no counterpart, such as {lost!r}"


def test_a_parameter_that_the_model_has_no_place_for_is_not_dropped(tmp_path: Path) -> None:
    """PEFT would load the rest, and say nothing."""
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    vlm.save_adapter(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    extra = "base_model.model.temperatures.log_t"
    save_file({**load_file(file), extra: torch.zeros(1)}, file, metadata={"format": "pt"})
    error = error_of("toy-vlm", adapter=tmp_path)
    assert error.code == "adapter-mismatch"
    assert error.why == f"1 weights have no counterpart, such as {extra!r}"


@pytest.mark.parametrize("how", ["lora", "full"])
def test_what_was_trained_on_other_weights_of_the_same_shape_is_told_with_both_names(
    copy: Path, tmp_path: Path, how: str
) -> None:
    file = copy / "model.safetensors"
    held = load_file(file)
    held["model.text_model.embed_tokens.weight"] = torch.randn_like(
        held["model.text_model.embed_tokens.weight"]
    )
    save_file(held, file, metadata={"format": "pt"})
    other = load(copy)
    if how == "lora":
        other.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    else:
        other.unfreeze()
    other.save_adapter(tmp_path / "adapter")
    error = error_of("toy-vlm", adapter=tmp_path / "adapter")
    assert error.code == "adapter-mismatch"
    assert str(copy) in error.message
    assert "toy-vlm" in error.message


@pytest.mark.parametrize("change", ["lost", "extra", "size"])
def test_full_weights_that_do_not_fit_are_told(tmp_path: Path, change: str) -> None:
    vlm = load("toy-vlm")
    vlm.unfreeze()
    vlm.save_adapter(tmp_path)
    file = tmp_path / "model.safetensors"
    held = load_file(file)
    name = sorted(held)[0]
    if change == "lost":
        del held[name]
    elif change == "extra":
        held["another"] = torch.zeros(1)
    else:
        held[name] = held[name][:1].clone()
    save_file(held, file, metadata={"format": "pt"})
    assert code_of("toy-vlm", adapter=tmp_path) == "adapter-mismatch"


@pytest.mark.parametrize("how", ["lora", "full"])
def test_a_file_that_was_cut_short_is_told(tmp_path: Path, how: str) -> None:
    vlm = load("toy-vlm")
    if how == "lora":
        vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    else:
        vlm.unfreeze()
    vlm.save_adapter(tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:500])
    assert code_of("toy-vlm", adapter=tmp_path) == "adapter-broken"


def test_precision_of_the_base_does_not_make_it_another_model(copy: Path, tmp_path: Path) -> None:
    file = copy / "model.safetensors"
    save_file({n: w.to(torch.bfloat16) for n, w in load_file(file).items()}, file, metadata={"format": "pt"})
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    vlm.save_adapter(tmp_path / "adapter")
    assert load(copy, adapter=tmp_path / "adapter").has_adapter


# --- where it lies ----------------------------------------------------------------------------------------


def test_own_targets_are_anchored_to_the_whole_path() -> None:
    vlm = load("toy-vlm")
    vlm.attach_lora(
        r=2, alpha=2, dropout=0.0, seed=0, targets=r"model\.text_model\.layers\.1\..*\.(q|v)_proj"
    )
    trained = [n for n, p in vlm.base_model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 2
    assert all(n.startswith("model.text_model.layers.1.self_attn.") for n in trained)


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        ("q_proj", "no Linear layer has a path that matches it"),
        (r".*\.q_proj", "it hits 2 layers of the vision tower"),
        ("(", "it is no regular expression"),
    ],
)
def test_targets_that_hit_nothing_or_the_vision_tower_are_refused(targets: str, why: str) -> None:
    vlm = load("toy-vlm")
    with pytest.raises(ModelError) as caught:
        vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0, targets=targets)
    assert caught.value.code == "lora-targets"
    assert why in str(caught.value.why)
    assert not vlm.has_adapter


# --- what is trained whole --------------------------------------------------------------------------------


def test_a_connector_trained_whole_beside_a_bf16_model_is_not_rounded(
    checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    """Gemma 3: steps of 1e-5 on weights of 0.1 vanish in bf16."""

    def bf16(adapter: Path | None = None) -> Vlm:
        vlm = load(checkpoints("gemma3"))
        vlm.model.to(torch.bfloat16)
        if adapter is None:
            vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
        else:
            vlm.load_adapter(adapter)
        return vlm

    vlm = bf16()
    name, weight = next(
        (n, p) for n, p in vlm.model.named_parameters() if p.requires_grad and "mm_input" in n
    )
    assert weight.dtype == torch.float32
    with torch.no_grad():
        weight.add_(1e-5)
    scores = vlm.choose(ASKS, LETTERS)
    vlm.save_adapter(tmp_path)
    again = bf16(tmp_path)
    assert torch.equal(dict(again.model.named_parameters())[name], weight)
    assert torch.equal(again.choose(ASKS, LETTERS), scores)


def test_full_training_goes_on_in_32_bit_from_what_was_saved(tmp_path: Path) -> None:
    vlm = load("toy-vlm")
    vlm.unfreeze()
    with torch.no_grad():
        for weight in vlm.model.parameters():
            weight.add_(1e-5 * weight.requires_grad)
    vlm.save_adapter(tmp_path)
    again = load("toy-vlm")
    again.model.to(torch.bfloat16)
    again.load_adapter(tmp_path)
    assert {p.dtype for p in again.model.parameters()} == {torch.bfloat16}  # answers as fast as the base does
    again.unfreeze()
    expected = dict(vlm.model.named_parameters())
    assert all(torch.equal(p, expected[n]) for n, p in again.model.named_parameters() if p.requires_grad)


def test_a_checkpoint_of_the_trainer_is_resumed_from_full_weights(tmp_path: Path) -> None:
    """The name of the file is the Trainer's."""
    from transformers.utils import SAFE_WEIGHTS_NAME

    vlm = load("toy-vlm")
    vlm.unfreeze()
    vlm.save_adapter(tmp_path)
    assert (tmp_path / SAFE_WEIGHTS_NAME).is_file()


def test_there_must_be_an_adapter_to_merge(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load("toy-vlm").merged(tmp_path, ASKS)
    assert caught.value.code == "adapter-absent"


def test_a_merged_toy_still_says_what_it_is(tmp_path: Path) -> None:
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    vlm.merged(tmp_path / "merged", ASKS[:1])
    assert load(tmp_path / "merged").note == vlm.note is not None


def test_a_second_adapter_is_refused() -> None:
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    with pytest.raises(ModelError) as caught:
        vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    assert caught.value.code == "adapter-present"


def test_an_adapter_names_its_base_model_and_no_path(tmp_path: Path, toy_vlm_path: Path) -> None:
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    vlm.save_adapter(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "toy-vlm"
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert str(toy_vlm_path).encode() not in written


def test_the_seed_alone_decides_a_fresh_adapter() -> None:
    drawn = []
    for noise, seed in ((1, 7), (2, 7), (2, 8)):
        vlm = load("toy-vlm")
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        drawn.append(torch.cat([p.flatten() for p in vlm.model.parameters() if p.requires_grad]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])
