from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgvr_kit import toy
from fgvr_kit.embedding import Clip, weights
from fgvr_kit.embedding.specs import parse
from fgvr_kit.errors import ModelError
from fgvr_kit.store import Store
from fgvr_kit.toy.clip import CONFIG

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")
pytestmark = pytest.mark.usefixtures("toy_clip_model")

NAME, REPO = "tiny-clip", "somebody/tiny"
SIGLIP_MEAN = (0.5, 0.5, 0.5)


def tag(**options: Any) -> dict[str, Any]:
    from open_clip.pretrained import _pcfg

    return _pcfg(hf_hub=f"{REPO}/", **options)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """An architecture as small as the toy that open_clip knows by name; the tags of its weights."""
    from open_clip import factory, pretrained

    tags = {"first_2b": tag(), "first_400m": tag(quick_gelu=True, mean=SIGLIP_MEAN, resize_mode="squash")}
    monkeypatch.setitem(factory._MODEL_CONFIGS, NAME, json.loads(json.dumps(CONFIG["model_cfg"])))
    monkeypatch.setitem(pretrained._PRETRAINED, NAME, tags)
    return tags


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The weights of the toy."""
    target = tmp_path / "weights.safetensors"
    shutil.copy(toy.path_of("toy-clip") / "open_clip_model.safetensors", target)
    return target


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts files of the toy into an otherwise empty cache of the hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / f"models--{REPO.replace('/', '--')}"

    def put(*names: str) -> Path:
        snapshot = folder / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("abc")
        for name in names:
            shutil.copy(toy.path_of("toy-clip") / name, snapshot / name)
        return snapshot

    return put


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    from open_clip import pretrained

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("the hub was asked for a file")

    monkeypatch.setattr(pretrained, "hf_hub_download", refuse)


def refused(text: str) -> ModelError:
    with pytest.raises(ModelError) as caught:
        weights.create(parse(text), "fp32", "cpu")
    return caught.value


def test_an_unknown_architecture_is_told_with_the_closest_one() -> None:
    error = refused("ViT-B-23:openai")
    assert error.code == "clip-unknown"
    assert "ViT-B-32" in error.hint


def test_an_unknown_tag_is_told_with_the_closest_one_of_that_architecture_and_the_others() -> None:
    error = refused(f"{NAME}:first_2bb")
    assert error.code == "clip-unknown-weights"
    assert f"did you mean '{NAME}:first_2b'?" in error.hint
    assert "first_400m" in error.hint
    assert "did you mean" not in refused(f"{NAME}:xyz").hint


@pytest.mark.parametrize("place", ["nowhere/weights", "weights.pt"])
def test_a_file_that_is_not_there_is_no_unknown_tag(place: str) -> None:
    error = refused(f"{NAME}:{place}")
    assert error.code == "clip-unreachable"
    assert place in error.message


@pytest.mark.usefixtures("cached", "no_download")
@pytest.mark.parametrize("text", [f"{NAME}:first_2b", f"hf-hub:{REPO}"])
def test_weights_that_cannot_be_reached_are_told_at_once_with_what_to_fetch(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(HfApi, "model_info", unreachable)
    began = time.monotonic()
    error = refused(text)
    assert time.monotonic() - began < 10  # the hub's own client tries for 23 s, for each of several files
    assert error.code == "clip-unreachable"
    assert "open_clip_model.safetensors" in (error.where or "")
    assert f"hf download {REPO} --local-dir FOLDER" in error.hint
    assert "local-dir:FOLDER" in error.hint
    assert error.why == "Name or service not known"


@pytest.mark.usefixtures("cached", "no_download")
def test_downloads_that_are_switched_off_are_told() -> None:
    """HF_HUB_OFFLINE is on in all tests; --offline sets it too."""
    error = refused(f"{NAME}:first_2b")
    assert error.code == "clip-unreachable"
    assert "offline" in (error.why or "").lower()


@pytest.mark.usefixtures("no_download")
@pytest.mark.parametrize("text", [f"{NAME}:first_2b", f"hf-hub:{REPO}"])
def test_what_is_in_the_cache_is_used_without_asking_the_hub(cached: Callable[..., Path], text: str) -> None:
    cached("open_clip_model.safetensors", "open_clip_config.json")
    net, _ = weights.create(parse(text), "fp32", "cpu")
    expected, _ = weights.create(parse("toy-clip"), "fp32", "cpu")
    assert torch.equal(net.text_projection, expected.text_projection)


def test_a_tag_brings_its_own_preprocessing_and_activation(cached: Callable[..., Path]) -> None:
    """ "ViT-L-14:openai" is such a tag: without QuickGELU its vectors are not those it was trained for."""
    cached("open_clip_model.safetensors")
    plain, usual = weights.create(parse(f"{NAME}:first_2b"), "fp32", "cpu")
    quick, squashed = weights.create(parse(f"{NAME}:first_400m"), "fp32", "cpu")
    assert "QuickGELU" in str(quick)
    assert "QuickGELU" not in str(plain)
    assert tuple(squashed.transforms[-1].mean) == SIGLIP_MEAN
    assert tuple(usual.transforms[-1].mean) != SIGLIP_MEAN


def test_a_file_is_prepared_for_as_all_weights_of_its_architecture_were(
    file: Path, tiny: dict[str, dict[str, Any]]
) -> None:
    spec = parse(f"{NAME}:{file}")
    assert tuple(weights.create(spec, "fp32", "cpu")[1].transforms[-1].mean) != SIGLIP_MEAN
    del tiny["first_2b"]
    assert tuple(weights.create(spec, "fp32", "cpu")[1].transforms[-1].mean) == SIGLIP_MEAN


def test_weights_of_another_architecture_are_told(file: Path) -> None:
    config = open_clip.factory._MODEL_CONFIGS[NAME]
    config["vision_cfg"]["layers"] = 3
    error = refused(f"{NAME}:{file}")
    assert (error.code, error.where) == ("clip-other-weights", str(file))
    assert "resblocks.2" in (error.why or "")


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def no_weights(file: Path) -> None:
    file.write_bytes(b"\xff\xd8 not weights at all")


@pytest.mark.parametrize("damage", [cut_off, no_weights])
@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_a_damaged_file_is_told(file: Path, damage: Callable[[Path], None], ending: str) -> None:
    from safetensors.torch import load_file

    target = file.with_name(f"damaged{ending}")
    shutil.copy(file, target) if ending == file.suffix else torch.save(load_file(file), target)
    assert weights.create(parse(f"{NAME}:{target}"), "fp32", "cpu")
    damage(target)
    error = refused(f"{NAME}:{target}")
    assert (error.code, error.where) == ("clip-damaged", str(target))


@pytest.mark.parametrize("logit_scale", [float("nan"), 200.0])
def test_a_scale_that_is_not_finite_is_refused_before_anything_is_stored(
    file: Path, store: Store, logit_scale: float
) -> None:
    from safetensors.torch import load_file, save_file

    save_file(load_file(file) | {"logit_scale": torch.tensor(logit_scale)}, file)
    clip = Clip(f"{NAME}:{file}", device="cpu")
    with pytest.raises(ModelError) as caught:
        clip.scale(store)
    assert caught.value.code == "embedding-not-finite"
    assert not list(store.path.parent.glob("vectors/*"))


def test_a_folder_without_a_model_or_without_weights_is_told(tmp_path: Path) -> None:
    assert refused(f"local-dir:{tmp_path / 'nowhere'}").code == "clip-unreachable"
    assert refused(f"local-dir:{tmp_path}").code == "clip-unreachable"
    (tmp_path / "open_clip_config.json").write_text(json.dumps(CONFIG))
    assert refused(f"local-dir:{tmp_path}").code == "clip-damaged"  # open_clip would draw random weights


def test_a_model_too_large_for_the_machine_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(open_clip, "create_model_from_pretrained", full)
    assert refused(f"{NAME}:{file}").code == "out-of-memory"


@pytest.mark.usefixtures("cached", "no_download")
def test_a_tokenizer_that_lies_on_the_hub_is_asked_for_only_with_texts(
    file: Path, store: Any, refs: Any
) -> None:
    open_clip.factory._MODEL_CONFIGS[NAME]["text_cfg"]["hf_tokenizer_name"] = "somebody/words"
    clip = Clip(f"{NAME}:{file}", device="cpu")
    assert clip.images(store, refs(2), batch_size=2).shape == (2, 64)
    with pytest.raises(ModelError) as caught:
        clip.texts(store, ["a bee"])
    assert (caught.value.code, caught.value.where) == ("clip-no-tokenizer", "somebody/words")
    assert "hf download somebody/words" in caught.value.hint
