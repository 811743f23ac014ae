from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.doctor import hardware
from fgvr_kit.doctor.diagnosis import Diagnosis
from fgvr_kit.doctor.examine import examine
from fgvr_kit.surroundings import Driver, Gpu
from tests.doctor.conftest import TORCH, WITH_GPU, Packages


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else's workspace, GPU or Ollama."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with_driver(monkeypatch, Driver())


def with_driver(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> None:
    monkeypatch.setattr("fgvr_kit.doctor.examine.ask_driver", lambda: driver)


def by_name(found: list[Diagnosis]) -> dict[str, Diagnosis]:
    return {diagnosis.name: diagnosis for diagnosis in found}


def test_a_whole_installation_without_a_gpu_has_one_warning(packages: Packages) -> None:
    packages.whole()
    found = examine()
    assert [f.name for f in found if f.state == "warning"] == ["gpu"]
    assert [f for f in found if f.state == "problem"] == []
    assert all(bool(f.fix) == (f.state != "ok") for f in found)


def test_a_gpu_that_computes_is_told_with_bitsandbytes(
    packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages.whole()
    packages.module("torch", TORCH + WITH_GPU)
    packages.module("bitsandbytes", "raise RuntimeError('no kernel')")
    with_driver(monkeypatch, Driver((Gpu("NVIDIA L4", 2**34, 2**34, "580"),)))
    found = by_name(examine())
    assert (found["gpu"].state, found["torch-gpu"].state) == ("ok", "ok")
    assert found["bitsandbytes"].state == "problem"


def test_a_broken_pair_is_one_problem_and_not_five(packages: Packages) -> None:
    packages.whole()
    for name in ("torchvision", "open_clip", "peft"):
        packages.module(name, "raise RuntimeError('operator torchvision::nms does not exist')")
    problems = [f.name for f in examine(deep=True) if f.state == "problem"]
    assert problems == ["torch"]


def test_transformers_and_peft_are_imported_when_asked_for(packages: Packages) -> None:
    packages.whole()
    packages.module("peft", "raise ImportError(\"cannot import name 'HybridCache' from 'transformers'\")")
    assert by_name(examine())["libraries"].state == "ok"
    assert by_name(examine(deep=True))["peft"].state == "problem"


def test_a_check_that_fails_itself_is_a_finding(packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Diagnosis]:
        raise RuntimeError("a bug")

    packages.whole()
    monkeypatch.setattr(hardware, "memory", broken)
    found = by_name(examine())
    assert found["memory"].state == "warning"
    assert "a bug" in found["memory"].seen
    assert "workspace" in found


def test_without_torch_nothing_is_imported(packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgvr_kit.doctor.packages.has_torch", lambda: False)
    packages.module("torch", "raise RuntimeError('imported')")
    assert "torch" not in by_name(examine())


def test_models_are_asked_only_when_wanted(packages: Packages) -> None:
    packages.whole()
    overrides = ["extract.backend=replay:x.jsonl"]
    assert "answers" not in by_name(examine(None, overrides))
    assert by_name(examine(None, overrides, models=True))["answers"].state == "ok"
