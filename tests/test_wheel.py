"""The package as a stranger gets it: a wheel, alone in a fresh environment, without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from fgvr_kit import shipped
from tests.photographs import class_folders

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and its core dependencies, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    what = ["install", "--quiet", str(wheel), "-c", str(ROOT / "constraints.txt")]
    uv = Path(sys.executable).with_name("uv")
    installers = [[str(uv), "pip", *what, "--python", str(python)]] if uv.exists() else []
    installers.append([sys.executable, "-m", "pip", "--python", str(python), *what])
    for command in installers:  # uv is quicker; pip knows proxies and certificates that uv is not told of
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr
    return folder


def run(environment: Path, *args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [str(environment / "bin" / "fgvr-kit"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=clean, check=False)


def test_prompts_templates_and_the_example_are_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for room in ("prompts", "templates", "examples"):
        source = shipped.folder(room)  # type: ignore[arg-type]
        files = {
            f"fgvr_kit/{room}/{p.relative_to(source).as_posix()}" for p in source.rglob("*") if p.is_file()
        }
        assert files <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_core_installs_without_torch_and_works(environment: Path, tmp_path: Path) -> None:
    class_folders(tmp_path / "pests", {"bee": 6, "wasp": 6})
    assert run(environment, "--help", cwd=tmp_path).returncode == 0
    made = run(environment, "init", "pests", "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert run(environment, "prompts", "eject", "ask/choice", cwd=tmp_path).returncode == 0
    assert (tmp_path / "prompts" / "ask" / "choice.md").read_text() == (
        shipped.folder("prompts") / "ask" / "choice.md"
    ).read_text()
    status = run(environment, "status", "--json", cwd=tmp_path)
    assert json.loads(status.stdout)["data"]["steps"][0]["state"] == "done", status.stderr
    no_torch = subprocess.run(
        [str(environment / "bin" / "python"), "-c", "import torch"], capture_output=True, check=False
    )
    assert no_torch.returncode == 1


def test_what_needs_torch_names_the_extra(environment: Path, tmp_path: Path) -> None:
    class_folders(tmp_path / "pests", {"bee": 6, "wasp": 6})
    run(environment, "init", "pests", cwd=tmp_path)
    for args in (
        ["mine", "--model", "toy-clip"],
        ["attributes", "discover", "--backend", "transformers:toy-vlm"],
    ):
        done = run(environment, *args, "--json", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert json.loads(done.stdout)["error"]["code"] == "missing-extra"
        assert "fgvr-kit[local]" in json.loads(done.stdout)["error"]["hint"]
