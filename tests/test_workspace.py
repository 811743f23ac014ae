from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.workspace import place_of


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("hf:org/name@main", "org--name@main"), ("hf:./pests", ".--pests"), ("hf:..", "folder-2"),
        ("hf:.", "folder-1"), ("hf:", "folder-0"), ("hf:/", "folder-0"), ("hf:../..", "..--.."),
    ],
)  # fmt: skip
def test_a_copy_of_a_hub_dataset_has_a_folder_of_its_own(tmp_path: Path, path: str, folder: str) -> None:
    assert place_of(path, tmp_path) == tmp_path / ".fgvr" / "hub" / folder


def test_other_paths_start_from_the_workspace(tmp_path: Path) -> None:
    assert place_of("../pests", tmp_path / "work") == tmp_path / "pests"
    assert place_of("/pests", tmp_path) == Path("/pests")
