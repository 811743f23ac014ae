from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.embedding.specs import clip_key, parse
from fgvr_kit.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "name", "pretrained", "readable"),
    [
        ("ViT-L-14:laion2b_s32b_b82k", "ViT-L-14", "laion2b_s32b_b82k", "ViT-L-14-laion2b-s32b-b82k"),
        ("hf-hub:timm/ViT-B-16-SigLIP", "hf-hub:timm/ViT-B-16-SigLIP", "", "hf-hub-timm-ViT-B-16-SigLIP"),
        ("local-dir:/models/mine", "local-dir:/models/mine", "", "mine"),
        ("ViT-B-32:C:\\weights\\b.pt", "ViT-B-32", "C:\\weights\\b.pt", "ViT-B-32-C-weights-b.pt"),
    ],
)
def test_a_spec_says_model_and_weights(text: str, name: str, pretrained: str, readable: str) -> None:
    spec = parse(text)
    assert (spec.name, spec.pretrained, spec.readable) == (name, pretrained, readable)


def test_a_file_of_weights_is_found_and_named_shortly(tmp_path: Path) -> None:
    (tmp_path / "epoch 9.pt").write_bytes(b"x")
    spec = parse(f"ViT-B-32:{tmp_path / 'epoch 9.pt'}")
    assert spec.file == tmp_path / "epoch 9.pt"
    assert spec.readable == "ViT-B-32-epoch-9"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no-mine-model"),
        ("ViT-L-14", "mine-model-spec"),
        ("ViT-L-14:", "mine-model-spec"),
        (":a", "mine-model-spec"),
    ],
)
def test_a_spec_that_says_too_little_is_refused(text: str, code: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert caught.value.code == code


def test_the_key_follows_what_is_in_the_weights_and_not_their_time(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"one")
    before = clip_key(f"ViT-B-32:{file}")
    file.write_bytes(b"one")
    assert clip_key(f"ViT-B-32:{file}") == before
    file.write_bytes(b"two")
    assert clip_key(f"ViT-B-32:{file}") != before
    assert clip_key(f"ViT-B-16:{file}") != clip_key(f"ViT-B-32:{file}")
