from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.backends.transformers import Settings, make
from fgvr_kit.embedding import clip_key
from fgvr_kit.fingerprint import digest_files
from fgvr_kit.training.checkpoints.checkpoint import model_identity

MIB = 1 << 20


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "deep" / "weights.bin").write_bytes(bytes(5 * MIB))
    return folder


def poke(file: Path, place: int) -> None:
    """One other byte, the size kept."""
    with file.open("r+b") as content:
        content.seek(place)
        content.write(b"x")


@pytest.mark.parametrize("place", [0, MIB - 1, 4 * MIB, 5 * MIB - 1])
def test_both_ends_of_a_large_file_count(model: Path, place: int) -> None:
    weights = model / "deep" / "weights.bin"
    folder, alone = digest_files(model), digest_files(weights)
    poke(weights, place)
    assert digest_files(model) != folder
    assert digest_files(weights) != alone


def test_names_and_sizes_count_and_hidden_files_and_the_place_do_not(model: Path) -> None:
    before = digest_files(model)
    (model / ".cache").mkdir()
    (model / ".cache" / "lock").write_text("x")
    (model / "deep" / ".DS_Store").write_text("x")
    moved = model.rename(model.with_name("moved"))
    assert digest_files(moved) == before
    (moved / "config.json").rename(moved / "other.json")
    renamed = digest_files(moved)
    (moved / "other.json").write_text("{} ")
    assert len({before, renamed, digest_files(moved)}) == 3


def test_a_hidden_file_that_is_named_is_read(tmp_path: Path) -> None:
    file = tmp_path / ".weights.pt"
    file.write_bytes(b"one")
    before = digest_files(file)
    file.write_bytes(b"two")
    assert digest_files(file) != before


def test_other_weights_of_the_same_size_are_another_model_everywhere(model: Path) -> None:
    def identities() -> list[str]:
        backend = make(str(model), Settings(), model.parent)
        weights = model / "deep" / "weights.bin"
        return [
            model_identity(model.parent, "model"),
            backend.conditions["weights"],
            clip_key(f"local-dir:{model}"),
            clip_key(f"ViT-B-32:{weights}"),
        ]

    before = identities()
    poke(model / "deep" / "weights.bin", 5 * MIB - 1)
    assert [old == new for old, new in zip(before, identities(), strict=True)] == [False] * 4
