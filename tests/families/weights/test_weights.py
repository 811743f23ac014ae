"""What opening a checkpoint tells the user when it goes wrong."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fgvr_kit import plugins
from fgvr_kit.errors import MissingExtra, ModelError
from fgvr_kit.families import weights as weights_room
from fgvr_kit.families.base import Vlm
from fgvr_kit.families.weights.finding import commit_of, config_in
from tests.families.spoilt import code_of, edit, error_of, load


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "model-not-found"


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "some/where/deep", "org/not-downloaded"])
def test_a_name_that_leads_nowhere_is_told(name: str) -> None:
    assert code_of(name) == "model-not-found"


def test_a_hub_id_that_cannot_be_reached_is_told_how_to_get_there() -> None:
    with pytest.raises(ModelError, match="org/not-downloaded") as caught:
        load("org/not-downloaded")
    assert "hf download org/not-downloaded --local-dir" in caught.value.hint


def test_an_architecture_that_transformers_does_not_know_is_told(copy: Path) -> None:
    edit(copy / "config.json", model_type="of-tomorrow")
    assert code_of(copy) == "model-unreadable"


def test_one_that_is_written_like_a_known_one_names_that(copy: Path) -> None:
    edit(copy / "config.json", model_type="internvl_chat", auto_map={"AutoConfig": "mine.Config"})
    error = error_of(copy)
    assert error.code == "family-unknown"
    assert "OpenGVLab/InternVL3-1B-hf" in str(error.why)


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
    assert code_of(copy) == "model-incomplete"


def test_a_shard_that_was_not_downloaded_is_told(copy: Path) -> None:
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (copy / "model.safetensors").rename(copy / names["a"])
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    error = error_of(copy)
    assert error.code == "model-incomplete"
    assert error.why == f"1 of 2 files are missing, such as {names['b']}"


@pytest.mark.parametrize("gone", ["preprocessor_config.json", "tokenizer.json"])
def test_a_checkpoint_without_its_processor_is_told(copy: Path, gone: str) -> None:
    for file in copy.glob("*processor*") if gone.startswith("pre") else copy.glob("tokenizer*"):
        file.unlink()
    assert code_of(copy) == "processor-missing"


def test_a_processor_that_needs_another_package_is_told(
    checkpoints: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.smolvlm import processing_smolvlm

    folder = checkpoints("smolvlm")
    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    error = error_of(folder)
    assert error.code == "package-missing"
    assert "num2words" in str(error.why)
    assert "fgvr-kit[local]" in error.hint


def test_an_adapter_in_place_of_a_model_names_its_base(tmp_path: Path) -> None:
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.0, seed=0)
    vlm.save_adapter(tmp_path)
    error = error_of(tmp_path)
    assert error.code == "model-is-adapter"
    assert "toy-vlm" in error.hint


def test_a_model_of_words_is_told_apart(checkpoints: Callable[[str], Path]) -> None:
    assert code_of(checkpoints("llama")) == "no-vlm"


class GatedRepoError(OSError):
    """As the hub's own, which cannot be made without a response."""


class RepositoryNotFoundError(OSError):
    pass


@pytest.mark.parametrize(
    ("cause", "code", "hint"),
    [
        (GatedRepoError, "model-gated", "https://huggingface.co/org/model"),
        (RepositoryNotFoundError, "model-not-found", "hf auth login"),
    ],
)
def test_what_the_hub_refuses_is_told_with_the_way_in(
    monkeypatch: pytest.MonkeyPatch, cause: type[OSError], code: str, hint: str
) -> None:
    from transformers import AutoConfig

    def refuse(*_: object, **__: object) -> None:
        raise OSError("You are trying to access a gated repo.") from cause("403")

    monkeypatch.setattr(AutoConfig, "from_pretrained", refuse)
    error = error_of("org/model")
    assert error.code == code
    assert hint in error.hint


def test_code_that_a_checkpoint_brings_is_not_run(copy: Path) -> None:
    edit(copy / "config.json", model_type="of-its-own", auto_map={"AutoConfig": "mine.Config"})
    (copy / "mine.py").write_text("raise SystemExit")
    error = error_of(copy)
    assert error.code == "model-unreadable"
    assert "program code of its own" in str(error.why)


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


def test_a_card_of_an_ordinary_checkpoint_leaves_no_note(copy: Path) -> None:
    (copy / "card.json").unlink()
    assert load(copy).note is None


def test_a_large_model_that_nobody_holds_is_gone_before_the_next_one_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trainer leaves it in a cycle, where it would stay until Python looks for cycles by itself."""
    monkeypatch.setattr("fgvr_kit.families.weights._HEAVY", 1000)
    vlm = Vlm.load("toy-vlm", device="cpu")
    vlm.model.itself = [vlm.model]
    gone = weakref.ref(vlm.model)
    gc.disable()
    try:
        del vlm
        assert gone() is not None
        Vlm.load("toy-vlm", device="cpu")
        assert gone() is None
    finally:
        gc.enable()


def test_a_hub_model_is_opened_at_the_revision_that_is_named(
    toy_vlm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of the hub's cache, as it lies after two downloads: main has moved on since v1."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--org--tiny"
    (repo / "refs").mkdir(parents=True)
    for revision, commit in (("v1", "1" * 40), ("main", "2" * 40)):
        (repo / "refs" / revision).write_text(commit)
        shutil.copytree(toy_vlm_path, repo / "snapshots" / commit)
    shifted = repo / "snapshots" / ("2" * 40) / "model.safetensors"
    save_file({name: weight + 1 for name, weight in load_file(shifted).items()}, shifted, {"format": "pt"})
    first, now, plain = (
        Vlm.load(name, device="cpu") for name in ("org/tiny@v1", "org/tiny", str(toy_vlm_path))
    )
    commits = [commit_of(name) for name in ("org/tiny@v1", "org/tiny", str(toy_vlm_path), "toy-vlm")]
    assert commits == ["1" * 40, "2" * 40, None, None]
    weights = [next(vlm.model.parameters()) for vlm in (first, now, plain)]
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])
    assert config_in("org/tiny@v1")["model_type"] == "idefics2"


def test_each_process_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbered bug 15 of the release: every process of a machine on its first GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for rank, device in (("0", "cuda:0"), ("3", "cuda:3")):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert str(weights_room._device(torch, "auto")) == device
