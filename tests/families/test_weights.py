"""What opening a checkpoint or an adapter tells the user when it goes wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fgvr_kit import plugins
from fgvr_kit.errors import MissingExtra, ModelError
from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.families.weights import family_of


def load(place: Path | str, **options: object) -> Vlm:
    return Vlm.load(str(place), device="cpu", **options)  # type: ignore[arg-type]


@pytest.fixture
def copy(toy_vlm_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_vlm_path, tmp_path / "model"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def code_of(place: Path | str, **options: object) -> str:
    with pytest.raises(ModelError) as caught:
        load(place, **options)
    assert caught.value.hint
    return caught.value.code


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "model-not-found"


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "some/where/deep", "org/not-downloaded"])
def test_a_name_that_leads_nowhere_is_told(name: str) -> None:
    assert code_of(name) == "model-not-found"


def test_a_hub_id_that_cannot_be_reached_is_told_how_to_get_there() -> None:
    with pytest.raises(ModelError, match="org/not-downloaded") as caught:
        load("org/not-downloaded")
    assert "hf download org/not-downloaded --local-dir" in caught.value.hint


def test_an_unknown_family_is_told_with_the_known_ones(copy: Path) -> None:
    edit(copy / "config.json", model_type="blip")
    with pytest.raises(ModelError) as caught:
        load(copy)
    assert caught.value.code == "family-unknown"
    assert "'blip'" in caught.value.message
    assert caught.value.why == "known: idefics2, idefics3, llava, qwen2_5_vl, qwen2_vl, smolvlm"


def test_an_architecture_that_transformers_does_not_know_is_told(copy: Path) -> None:
    edit(copy / "config.json", model_type="of-tomorrow")
    assert code_of(copy) == "model-unreadable"


def test_missing_weights_are_not_replaced_by_random_ones(copy: Path) -> None:
    file = copy / "model.safetensors"
    kept = load_file(file)
    del kept["model.text_model.norm.weight"]
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(ModelError) as caught:
        load(copy)
    assert caught.value.code == "model-incomplete"
    assert caught.value.why == "1 weights are missing, such as 'model.text_model.norm.weight'"


def test_a_file_that_was_cut_short_is_told(copy: Path) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert code_of(copy) == "model-broken"


def test_a_folder_without_weights_is_told(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert code_of(copy) == "model-not-found"


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError) as caught:
        Vlm.load("toy-vlm", device="cuda")
    assert caught.value.code == "no-gpu"


def test_a_package_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *_: object) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(plugins.importlib, "import_module", refuse)
    with pytest.raises(MissingExtra, match="running a model in this process needs the package 'torch'") as e:
        load("anything")
    assert e.value.hint == "pip install 'fgvr-kit[local]'"


def test_every_model_type_leads_to_its_family() -> None:
    assert family_of("idefics3", "x") is family_of("smolvlm", "x")
    assert family_of("qwen2_vl", "x").plain_positions is False


def test_a_card_of_an_ordinary_checkpoint_leaves_no_note(copy: Path) -> None:
    (copy / "card.json").unlink()
    assert load(copy).note is None


# --- adapters ---------------------------------------------------------------------------------------------


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
    with pytest.raises(ModelError) as caught:
        load("toy-vlm", adapter=tmp_path)
    assert caught.value.code == "adapter-mismatch"
    assert caught.value.why == f"1 weights have no counterpart, such as {lost!r}"


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


# --- answering --------------------------------------------------------------------------------------------


def test_answers_do_not_depend_on_sampling_settings_of_the_checkpoint(copy: Path) -> None:
    ask = Ask("Which?", (Image.new("RGB", (60, 60), "red"),))
    plain = load("toy-vlm").generate([ask], max_new_tokens=8)
    edit(copy / "generation_config.json", do_sample=True, temperature=9.0, repetition_penalty=3.0)
    assert load(copy).generate([ask], max_new_tokens=8) == plain


def test_an_answer_that_ends_says_stop_and_leaves_its_end_out() -> None:
    vlm = load("toy-vlm")
    long = vlm.generate([Ask("Which?"), Ask("Describe it, please.")], max_new_tokens=6)
    assert [g.finish_reason for g in long] == ["length", "length"]
    assert [g.output_tokens for g in long] == [6, 6]
    prompt = vlm.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "text", "text": "Which?"}]}], add_generation_prompt=True
    )
    ids = vlm.tokenizer(prompt, return_tensors="pt")["input_ids"]
    third = vlm.model.generate(ids, max_new_tokens=3, do_sample=False)[0, -1]
    vlm.model.generation_config.eos_token_id = int(third)
    ended = vlm.generate([Ask("Which?"), Ask("Describe it, please.")], max_new_tokens=6)[0]
    assert (ended.finish_reason, ended.output_tokens) == ("stop", 3)
    assert long[0].text.startswith(ended.text)


def test_answering_leaves_training_as_it_was() -> None:
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.5, seed=0)
    vlm.model.train()
    with torch.no_grad():
        for name, weight in vlm.model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.1)
    one, two = (vlm.choose([Ask("Which?")], ["A", "B"]) for _ in range(2))
    assert torch.equal(one, two)  # no dropout
    assert vlm.model.training


def test_nothing_asked_is_nothing_answered() -> None:
    vlm = load("toy-vlm")
    assert vlm.generate([], max_new_tokens=4) == []
    assert vlm.choose([], ["A", "B"]).shape == (0, 2)
    assert vlm.embed_texts([]).shape == (0, 64)
