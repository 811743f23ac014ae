"""The toy models: the same bytes every time, marked as untrained, usable without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from fgvr_kit import toy
from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.toy.clip import build_clip
from fgvr_kit.toy.vlm import build_vlm


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("name", "build"), [("toy-vlm", build_vlm), ("toy-clip", build_clip)])
def test_two_builds_are_the_same_bytes_and_leave_the_random_state_alone(
    name: str, build: Callable[[Path], Path], tmp_path: Path
) -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    build(tmp_path / "again")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert contents(toy.path_of(name)) == contents(build(tmp_path / "and again"))
    assert contents(tmp_path / "again") == contents(tmp_path / "and again")


@pytest.mark.parametrize("name", toy.NAMES)
def test_a_toy_says_that_it_is_untrained(name: str) -> None:
    assert toy.note_of(toy.path_of(name)) == "untrained toy model"


def test_a_folder_without_a_card_has_no_note(tmp_path: Path) -> None:
    assert toy.note_of(tmp_path) is None


def test_a_toy_is_built_once_and_found_again(cache_folder: Path) -> None:
    folder = toy.path_of("toy-clip")
    stamp = (folder / "card.json").stat().st_mtime_ns
    assert toy.path_of("toy-clip") == folder
    assert folder.parent == cache_folder / "toy"
    assert (folder / "card.json").stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_two_processes_may_build_at_once(tmp_path: Path) -> None:
    """Both find the whole checkpoint, and no draft is left behind."""
    code = "from fgvr_kit import toy; print(toy.path_of('toy-clip'))"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "FGVR_CACHE": str(tmp_path)},
        )
        for _ in range(2)
    ]
    said = {run.communicate(timeout=120)[0].strip() for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert len(said) == 1
    assert [path.name for path in (tmp_path / "toy").iterdir()] == [Path(said.pop()).name]


def test_a_lost_race_keeps_the_copy_that_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    winner = tmp_path / "toy" / "toy-clip-race"

    def build_while_another_finishes(draft: Path) -> None:
        (draft / "card.json").write_text("ours")
        winner.mkdir()
        (winner / "card.json").write_text("theirs")

    monkeypatch.setenv("FGVR_CACHE", str(tmp_path))
    monkeypatch.setattr(toy, "fingerprint", lambda *_: "race")
    monkeypatch.setattr("fgvr_kit.toy.clip.build_clip", build_while_another_finishes)
    assert toy.path_of("toy-clip") == winner
    assert (winner / "card.json").read_text() == "theirs"
    assert list((tmp_path / "toy").iterdir()) == [winner]


def test_importing_the_toys_imports_no_torch() -> None:
    code = (
        "import sys, fgvr_kit.toy, fgvr_kit.families.base, fgvr_kit.families.llava;"
        "print([name for name in ('torch', 'transformers', 'open_clip') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_toy_vlm_is_an_ordinary_checkpoint(toy_vlm_path: Path) -> None:
    vlm = Vlm.load("toy-vlm", device="cpu")
    assert vlm.name == "toy-vlm"
    assert vlm.note == "untrained toy model"
    assert vlm.family.model_types == ("idefics2",)
    inputs = vlm.encode([Ask("Which?", (Image.new("RGB", (150, 150), "teal"),))], ["A"]).inputs
    assert tuple(inputs["pixel_values"].shape) == (1, 1, 3, 112, 112)
    assert [tuple(f.shape) for f in vlm.image_features(inputs)] == [(8, 64)]
    assert vlm.base_model.config.text_config.max_position_embeddings >= 1024


def test_every_letter_is_one_token_and_any_text_survives(toy_vlm_path: Path) -> None:
    vlm = Vlm.load("toy-vlm", device="cpu")
    letters = [chr(ord("A") + n) for n in range(26)]
    assert vlm.choose([Ask("Which?")], letters).shape == (1, 26)
    text = "Schöner Käfer — 甲虫 🪲 <b>\t\\n"
    ids = vlm.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert vlm.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_every_linear_layer_can_be_stored_in_blocks_of_64(toy_vlm_path: Path) -> None:
    vlm = Vlm.load("toy-vlm", device="cpu")
    layers = {n: m for n, m in vlm.model.named_modules() if isinstance(m, torch.nn.Linear)}
    assert len(layers) > 20
    assert [n for n, layer in layers.items() if layer.in_features % 64] == []


def test_the_toy_clip_tells_images_and_texts_apart(toy_clip_model: str) -> None:
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(toy_clip_model)
    model.eval()
    tokenizer = open_clip.get_tokenizer(toy_clip_model)
    photos = [Image.new("RGB", (150, 100), colour) for colour in ("red", "navy")]
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(p) for p in photos]), normalize=True)
        texts = model.encode_text(tokenizer(["a photo of a coin", "a photo of a beetle"]), normalize=True)
    assert images.shape == texts.shape == (2, 64)
    torch.testing.assert_close(images.norm(dim=1), torch.ones(2))
    assert (images[0] - images[1]).abs().max() > 1e-3
    assert (texts[0] - texts[1]).abs().max() > 1e-3
