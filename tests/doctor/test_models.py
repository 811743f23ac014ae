from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgvr_kit import toy
from fgvr_kit.doctor import child, clip_names
from fgvr_kit.doctor.models import clip_model, hub_model, model_place
from tests.doctor.conftest import Packages, packages  # noqa: F401 (a fixture)

REPO = "Qwen/Qwen2.5-VL-7B-Instruct"


def cached(home: Path, repo: str, **files: bytes) -> Path:
    folder = home / "hub" / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for name, data in files.items():
        (snapshot / name.replace("__", ".")).write_bytes(data)
    return folder


def test_a_hub_id_that_is_not_here_would_be_downloaded_and_its_size_is_guessed(tmp_path: Path) -> None:
    found = hub_model(REPO, "train.model", {"HF_HOME": str(tmp_path)})
    assert (found.name, found.state) == ("train.model", "unchecked")
    assert "not in the cache, about 14 GB by its name" in found.seen
    assert f"hf download {REPO}" in found.fix


def test_without_downloads_it_is_a_problem(tmp_path: Path) -> None:
    found = hub_model(REPO, "train.model", {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"})
    assert found.state == "problem"
    assert "HF_HUB_OFFLINE" in found.fix


def test_weights_in_the_cache_are_ok_with_their_size(tmp_path: Path) -> None:
    cached(tmp_path, REPO, config__json=b"{}", model__safetensors=bytes(3_000_000))
    found = hub_model(REPO, "train.model", {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"})
    assert (found.state, found.seen) == ("ok", f"{REPO}: in the cache, 3.0 MB")


def test_a_download_that_did_not_end_is_not_ok_and_its_index_tells_the_size(tmp_path: Path) -> None:
    index = json.dumps({"metadata": {"total_size": 16_800_000_000}}).encode()
    folder = cached(tmp_path, REPO, model__safetensors=b"x")
    (folder / "snapshots/abc/model.safetensors.index.json").write_bytes(index)
    (folder / "blobs").mkdir()
    (folder / "blobs" / "0f.incomplete").touch()
    found = hub_model(REPO, "train.model", {"HF_HOME": str(tmp_path)})
    assert found.state == "unchecked"
    assert "partly there already, 16.8 GB" in found.seen


def test_a_folder_is_looked_into(tmp_path: Path) -> None:
    assert model_place("./mine", str(tmp_path), "train.model").state == "problem"
    (tmp_path / "config.json").write_text("{}")
    assert model_place("./mine", str(tmp_path), "train.model").state == "ok"
    assert {model_place(name, name, "train.model", {}).state for name in toy.NAMES} == {"ok"}


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the child would say, without the seconds in which it imports torch once more."""

    def run(_: str, name: str, tag: str, **__: object) -> child.Said:
        lines: list[dict[str, object]] = []
        monkeypatch.setattr(clip_names, "say", lambda **line: lines.append(json.loads(json.dumps(line))))
        clip_names.main(name, tag)
        return child.Said(tuple(lines))

    monkeypatch.setattr(child, "run", run)


def test_names_of_open_clip_are_looked_up_in_a_process_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    found = clip_model("ViT-L-14:laion3b", "mine.model", {"HF_HOME": str(tmp_path)})
    assert found
    assert (found.state, "no weights 'laion3b'" in found.seen) == ("problem", True)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("spec", "state", "told"),
    [
        (
            "ViT-L-14:laion2b_s32b_b82k",
            "unchecked",
            "laion/CLIP-ViT-L-14-laion2B-s32B-b82K: not in the cache",
        ),
        ("ViT-L-15:laion2b_s32b_b82k", "problem", "no architecture 'ViT-L-15'"),
        ("ViT-L-14:laion3b", "problem", "no weights 'laion3b'"),
        ("hf-hub:timm/ViT-B-16-SigLIP", "unchecked", "not in the cache"),
        ("local-dir:/nowhere", "problem", "no folder with a model"),
        ("toy-clip", "ok", "toy-clip"),
    ],
)
def test_names_of_open_clip_are_looked_up_without_a_network(
    tmp_path: Path, spec: str, state: str, told: str
) -> None:
    pytest.importorskip("open_clip")
    found = clip_model(spec, "mine.model", {"HF_HOME": str(tmp_path)})
    assert found
    assert found.state == state
    assert told in found.seen
    assert bool(found.fix) == (state != "ok")


@pytest.mark.usefixtures("in_this_process")
def test_weights_in_a_file_of_ones_own_are_ok(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    file = tmp_path / "mine.pt"
    file.write_bytes(b"x" * 1000)
    found = clip_model(f"ViT-B-32:{file}", "mine.model", {})
    assert found
    assert (found.state, "a file" in found.seen) == ("ok", True)


def test_an_open_clip_that_cannot_be_imported_is_no_crash(packages: Packages) -> None:  # noqa: F811
    packages.module("open_clip", "raise RuntimeError('no torch')")
    found = clip_model("ViT-L-14:openai", "mine.model", {})
    assert found
    assert found.state == "unchecked"
    assert "no torch" in found.seen


def test_an_open_clip_that_hangs_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "run", lambda *_, **__: child.Said((), "did not end within 120 s"))
    found = clip_model("ViT-L-14:openai", "mine.model", {})
    assert found
    assert "did not end" in found.seen


def test_no_name_is_no_diagnosis() -> None:
    assert clip_model("", "mine.model", {}) is None
