from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.doctor.diagnosis import Diagnosis
from fgvr_kit.doctor.place import Place, look
from fgvr_kit.store import Store
from tests.photographs import class_folders


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace as somebody may have left it: fgvr.toml and images, init not run."""
    class_folders(tmp_path / "pests", {"bee": 1})
    root = tmp_path / "work"
    root.mkdir()
    (root / "fgvr.toml").write_text('[dataset]\npath = "../pests"\n')
    return root


def state(place: Place) -> dict[str, str]:
    return {diagnosis.name: diagnosis.state for diagnosis in place.diagnoses}


def test_no_workspace_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert state(look(None)) == {"workspace": "ok"}


def test_a_named_folder_that_is_none_is_a_problem(tmp_path: Path) -> None:
    assert state(look(tmp_path)) == {"workspace": "problem"}


def test_the_workspace_is_found_from_below(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "prompts").mkdir()
    monkeypatch.chdir(root / "prompts")
    place = look(None)
    assert place.root == root
    assert state(place)["workspace"] == "ok"
    assert state(place)["images"] == "ok"


@pytest.mark.parametrize("text", ["[dataset\n", "[domane]\nunit = 1\n", '[mine]\nn_negatives = "many"\n'])
def test_a_wrong_fgvr_toml_is_a_problem_and_the_rest_goes_on(root: Path, text: str) -> None:
    (root / "fgvr.toml").write_text(text)
    place = look(root)
    assert state(place) == {"settings": "problem"}
    assert place.diagnoses[0].fix
    assert place.backends == {}


def test_a_fgvr_toml_that_cannot_be_read_is_a_problem(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)
    assert state(look(root)) == {"settings": "problem"}


def test_a_wrong_set_is_a_problem_outside_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = look(None, ["extrakt.backend=x:y"])
    assert state(place) == {"workspace": "ok", "settings": "problem"}
    assert "did you mean [extract]" in place.diagnoses[1].fix


def test_looking_makes_no_database(root: Path) -> None:
    assert state(look(root))["database"] == "problem"
    assert not (root / ".fgvr").exists()


def test_a_database_without_images_is_a_problem(root: Path) -> None:
    Store(root / ".fgvr" / "fgvr.db").close()
    assert state(look(root))["database"] == "problem"


def test_a_damaged_database_is_a_problem(root: Path) -> None:
    (root / ".fgvr").mkdir()
    (root / ".fgvr" / "fgvr.db").write_bytes(b"not a database" * 1000)
    assert state(look(root))["database"] == "problem"


def test_a_database_that_fails_later_does_not_end_doctor(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    def failing(*_: object) -> int:
        raise sqlite3.DatabaseError("database disk image is malformed")

    Store(root / ".fgvr" / "fgvr.db").close()
    monkeypatch.setattr("fgvr_kit.store.Store.count", failing)
    found = next(diagnosis for diagnosis in look(root).diagnoses if diagnosis.name == "database")
    assert found.state == "problem"
    assert "malformed" in found.seen
    assert found.fix


def test_an_image_folder_that_is_gone_is_a_problem(root: Path) -> None:
    (root / "../pests").resolve().rename(root / "elsewhere")
    assert state(look(root))["images"] == "problem"


@pytest.mark.parametrize(
    ("override", "name", "fix"),
    [
        ("extract.backend=opnai:gpt", "extract.backend", "openai"),
        ("extract.backend=openai", "extract.backend", "BACKEND:MODEL"),
        ("discover.backend=replay:none.jsonl", "discover.backend", "replay:FILE"),
        ("mine.model=ViT-L-14", "mine.model", "ARCHITECTURE:PRETRAINED"),
        ("train.model=./nowhere", "train.model", "config.json"),
        ("train.recipe=finedefix", "train.recipe", "finedefics"),
    ],
)
def test_a_name_that_cannot_be_one_is_a_problem(root: Path, override: str, name: str, fix: str) -> None:
    found = next(diagnosis for diagnosis in look(root, [override]).diagnoses if diagnosis.name == name)
    assert found.state == "problem"
    assert fix in found.fix


def named(root: Path, override: str) -> Diagnosis:
    name = override.partition("=")[0]
    return next(diagnosis for diagnosis in look(root, [override]).diagnoses if diagnosis.name == name)


@pytest.mark.parametrize("spec", ["openai:gpt-9-vision", "ollama:qwen3-vl:8b"])
def test_a_model_that_nobody_has_asked_is_not_called_ok(root: Path, spec: str) -> None:
    found = named(root, f"extract.backend={spec}")
    assert found.state == "unchecked"
    assert spec in found.seen
    assert "--models" in found.fix


def test_names_that_can_be_ones_are_listed_and_nothing_is_loaded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(root))
    overrides = [
        "extract.backend=ollama:qwen3-vl:8b", "mine.model=toy-clip", "train.model=HuggingFaceM4/idefics2-8b",
    ]  # fmt: skip
    place = look(root, overrides)
    found = {diagnosis.name: diagnosis for diagnosis in place.diagnoses}
    for override, state in zip(overrides, ("unchecked", "ok", "unchecked"), strict=True):
        name, _, value = override.partition("=")
        assert found[name].state == state
        assert value in found[name].seen
    assert place.wanted("ollama") == {"extract.backend": "qwen3-vl:8b"}
    assert place.wanted("openai") == {}


def test_a_template_asks_nobody(root: Path) -> None:
    place = look(root, ["describe.backend=opnai:x", "describe.by=template"])
    assert place.backends == {}
    assert "describe.backend" not in state(place)


def test_a_wrong_attributes_csv_is_a_problem(root: Path) -> None:
    (root / "attributes.csv").write_text("attribute,question\ncolour,Which?\ncolour,Which?\n")
    assert state(look(root))["attributes"] == "problem"
