"""A job for a GPU in a cloud."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from fgvr_kit.errors import FgvrError, ModelError
from fgvr_kit.training.planning.cloud import GPUS, sky_job
from fgvr_kit.workspace import Workspace

Reopen = Callable[..., Workspace]


@pytest.mark.parametrize(
    ("settings", "smallest"),
    [
        (("train.model=org/big-8b", "train.quantize=nf4"), "L4"),
        (("train.model=org/Big-7B-Instruct", "train.quantize=none"), "L4"),
        (("train.model=org/big-32B", "train.quantize=none"), "A100-80GB"),
        (("train.model=org/small-2b", "train.tune=full", "train.quantize=none"), "A100"),
        (("train.model=org/unknown",), "L4"),
    ],
)
def test_the_gpus_are_those_that_hold_the_model(
    reopen: Reopen, settings: tuple[str, ...], smallest: str
) -> None:
    with reopen(*settings) as workspace:
        offered = yaml.safe_load(sky_job(workspace))["resources"]["accelerators"]
    assert min(offered, key=lambda name: (GPUS[name], list(GPUS).index(name))) == smallest


def test_a_model_that_no_gpu_holds_is_an_error(reopen: Reopen) -> None:
    with reopen("train.model=org/huge-70b", "train.tune=full", "train.quantize=none") as workspace:
        with pytest.raises(ModelError) as caught:
            sky_job(workspace)
        assert caught.value.code == "model-too-large"


def test_images_that_lie_elsewhere_travel_too(workspace: Workspace, tmp_path: Path) -> None:
    shutil.move(workspace.root / "images", tmp_path / "my pictures")
    with Workspace(workspace.root, [f"dataset.path={tmp_path / 'my pictures'}"]) as moved:
        job = yaml.safe_load(sky_job(moved, ["domain.notes=b c"]))
    assert job["file_mounts"] == {"~/fgvr-images": str(tmp_path / "my pictures")}
    assert job["run"].splitlines()[1:] == [
        "export FGVR_DATASET__PATH=~/fgvr-images",
        "fgvr-kit train --set 'domain.notes=b c' --set train.device=cuda",
    ]


def test_of_a_table_elsewhere_its_folder_travels(workspace: Workspace, tmp_path: Path) -> None:
    shutil.move(workspace.root / "images", tmp_path / "pictures")
    (tmp_path / "pictures" / "coco.json").write_text("{}")
    with Workspace(workspace.root, [f"dataset.path={tmp_path / 'pictures' / 'coco.json'}"]) as moved:
        job = yaml.safe_load(sky_job(moved))
    assert job["file_mounts"] == {"~/fgvr-images": str(tmp_path / "pictures")}
    assert job["run"].splitlines()[1] == "export FGVR_DATASET__PATH=~/fgvr-images/coco.json"


@pytest.mark.parametrize(
    ("settings", "code"),
    [(("train.tune=full",), "quantized-full"), (("dataset.path=nowhere",), "dataset-not-found")],
)
def test_a_job_that_could_not_run_is_not_written(
    reopen: Reopen, settings: tuple[str, ...], code: str
) -> None:
    """On this machine without a GPU "auto" stores whole weights, there it would be 4 bit."""
    with reopen(*settings, "train.model=org/small-2b") as workspace, pytest.raises(FgvrError) as caught:
        sky_job(workspace)
    assert caught.value.code == code


def test_a_model_that_lies_elsewhere_would_not_travel(
    reopen: Reopen, toy_vlm_path: Path, workspace: Workspace
) -> None:
    with reopen(f"train.model={toy_vlm_path}") as elsewhere, pytest.raises(ModelError) as caught:
        sky_job(elsewhere)
    assert caught.value.code == "model-is-here"
    shutil.copytree(toy_vlm_path, workspace.root / "base")
    with reopen("train.model=base") as beside:
        assert sky_job(beside)
