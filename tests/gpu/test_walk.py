"""The toy walk on a GPU: both stages train and resume, 4 bit lies where it should, answers equal the CPU's."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from fgvr_kit.embedding import Clip
from fgvr_kit.families.base import Vlm
from fgvr_kit.recipes import finedefics
from fgvr_kit.store import Store
from fgvr_kit.training.checkpoints.checkpoint import run_folder
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace
from tests.families.contract import ASKS, LETTERS
from tests.gpu.figures import Figures
from tests.gpu.meter import finished
from tests.training.conftest import build_workspace

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(150)]

Weights = Literal["none", "nf4"]
Walk = Callable[[str, Weights], Workspace]


@pytest.fixture(scope="module")
def walk(device: str, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """walk(name, weights): a made-up workspace with settings for this device, not trained yet."""
    root = tmp_path_factory.mktemp("walks")

    def build(name: str, weights: Weights) -> Workspace:
        build_workspace(root / name).close()
        return Workspace(root / name, [f"train.device={device}", f"train.quantize={asked(weights, device)}"])

    return build


@pytest.fixture(scope="module")
def trained(walk: Walk) -> Workspace:
    """Both stages trained on the device with plain weights. Do not change it."""
    workspace = walk("undisturbed", "none")
    train_recipe(workspace)
    return workspace


def asked(weights: Weights, device: str) -> str:
    """What [train] quantize says: on CUDA "auto" is 4 bit."""
    return "auto" if weights == "nf4" and device == "cuda" else weights


def adapter(workspace: Workspace, stage: str) -> dict[str, Tensor]:
    folder = run_folder(workspace, stage, finedefics.stage_fingerprints(workspace)[stage])
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Length of the difference of two adapters, all weights in a row."""
    assert one.keys() == other.keys()
    return math.sqrt(sum(float((one[n].double() - other[n].double()).square().sum()) for n in one))


def losses(workspace: Workspace) -> dict[str, list[float]]:
    """stage -> total of each step."""
    store = workspace.store
    return {row["stage"]: [s["terms"]["total"] for s in store.steps(row["id"])] for row in store.runs()}


# --- training ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["none", "nf4"])
def test_both_stages_train_and_the_adapter_answers(
    weights: Weights, walk: Walk, device: str, figures: Figures
) -> None:
    started = finished()
    with walk(f"walk-{weights}", weights) as workspace:
        checkpoint, summaries = train_recipe(workspace)
        seconds = finished() - started
        totals = losses(workspace)
        assert {stage: len(steps) for stage, steps in totals.items()} == {"align": 3, "instruct": 3}
        assert all(math.isfinite(total) for steps in totals.values() for total in steps)
        assert all("untrained toy model" in " ".join(summary.notes) for summary in summaries)
        vlm = Vlm.load(
            "toy-vlm", device=device, quantize=workspace.settings.train.quantize, adapter=checkpoint.adapter
        )
        assert vlm.device.type == device
        changed = [name for name, p in vlm.model.named_parameters() if "lora_B" in name and p.any()]
        assert changed, "lora_B starts at zero"
        assert_a_distribution(vlm.choose(ASKS, LETTERS))
        said = vlm.generate(ASKS, max_new_tokens=4)
        assert [(0 < g.output_tokens <= 4, g.input_tokens > 0) for g in said] == [(True, True)] * 3
    figures.put(
        f"toy walk, {weights}",
        seconds_of_both_stages=seconds,
        **{f"{stage}_loss_of_step_{n}": v for stage, vs in totals.items() for n, v in enumerate(vs, 1)},
    )


def test_the_first_step_has_the_loss_it_has_on_a_cpu(
    trained: Workspace, walk: Walk, figures: Figures
) -> None:
    """The order of examples and the adapter's start come from seeds, and dropout stands before a B of zeros:
    what is left is bf16 against fp32, under temperatures that multiply cosines by 14."""
    with walk("on-cpu", "none") as built, Workspace(built.root, ["train.device=cpu"]) as workspace:
        train_recipe(workspace)
        here, there = losses(trained)["align"][0], losses(workspace)["align"][0]
    figures.put("first loss of stage align", on_this_device=here, on_the_cpu=there)
    assert here == pytest.approx(there, rel=0.05)


def test_a_killed_run_ends_where_an_undisturbed_one_does(
    trained: Workspace, walk: Walk, figures: Figures
) -> None:
    """kill -9 while the second checkpoint is half-written. Kernels may add in another order from run to run,
    so the measure is the way an adapter went in training, and a second undisturbed run stands beside it.
    On a CPU a resume that loses the optimizer ends 0.27 to 0.41 of the way apart, one that loses the random
    states 0.14 to 0.21; noise of 0.1 % on every gradient makes 0.01."""
    with walk("killed", "none") as killed:
        script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import torch
from pathlib import Path
from fgvr_kit.training.runs.run import train_recipe
from fgvr_kit.workspace import Workspace
torch.set_num_threads(1)
save = torch.save
def save_and_die(what, path, *args, **kwargs):
    if "checkpoint-3" in str(path):
        os.kill(os.getpid(), signal.SIGKILL)
    save(what, path, *args, **kwargs)
torch.save = save_and_die
device, quantize = {killed.settings.train.device!r}, {killed.settings.train.quantize!r}
train_recipe(Workspace(Path({str(killed.root)!r}), [f"train.device={{device}}", f"train.quantize={{quantize}}"]))
"""
        done = subprocess.run(
            [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        fingerprint = finedefics.stage_fingerprints(killed)["align"]
        checkpoints = run_folder(killed, "align", fingerprint) / "checkpoints"
        assert sorted(p.name for p in checkpoints.iterdir()) == ["checkpoint-2", "checkpoint-3"]
        train_recipe(killed)
        resumed = {stage: adapter(killed, stage) for stage in finedefics.STAGES}
        assert losses(killed).keys() == losses(trained).keys()
    with walk("again", "none") as again:
        train_recipe(again)
        repeated = {stage: adapter(again, stage) for stage in finedefics.STAGES}
    start = fresh_adapter(trained)
    for stage in finedefics.STAGES:
        undisturbed = adapter(trained, stage)
        way = distance(undisturbed, start)
        apart = distance(resumed[stage], undisturbed) / way
        noise = distance(repeated[stage], undisturbed) / way
        figures.put(
            f"killed and resumed, {stage}",
            apart_as_share_of_the_way=apart,
            two_undisturbed_runs_apart=noise,
            largest_difference_of_a_weight=max(
                float((resumed[stage][n] - w).abs().max()) for n, w in undisturbed.items()
            ),
        )
        assert apart < 0.02 + 2 * noise


def fresh_adapter(workspace: Workspace) -> dict[str, Tensor]:
    """The adapter that stage align started from."""
    train, settings = workspace.settings.train, finedefics.read_settings(workspace)
    vlm = Vlm.load(train.model, device=train.device, quantize=train.quantize)
    vlm.attach_lora(r=settings.rank, alpha=settings.alpha, dropout=settings.dropout, seed=settings.seed)
    folder = workspace.root / "fresh-adapter"
    vlm.save_adapter(folder)
    return load_file(folder / "adapter_model.safetensors")


# --- weights and answers ----------------------------------------------------------------------------------


def test_four_bit_holds_the_text_model_and_nothing_else(device: str) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    vlm = Vlm.load("toy-vlm", device=device, quantize="auto" if device == "cuda" else "nf4")
    linear = {n: m for n, m in vlm.model.named_modules() if isinstance(m, nn.Linear)}
    in_4_bit = {n for n, m in linear.items() if isinstance(m, bitsandbytes.nn.Linear4bit)}
    assert in_4_bit == {n for n in linear if n.startswith("model.text_model.layers.")}
    assert {linear[n].weight.dtype for n in in_4_bit} == {torch.uint8}
    plain = {vlm.family.vision, vlm.family.connector, "lm_head"}
    assert {p for n in linear.keys() - in_4_bit for p in plain if n.startswith(p)} == plain


def test_letter_probabilities_are_those_of_the_cpu(
    device: str, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # it is on for convolutions, as shipped
    expected = Vlm.load("toy-vlm", device="cpu", quantize="none").choose(ASKS, LETTERS).exp()
    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none")
    vlm.model.to(device)  # loaded onto CUDA the weights would be bf16
    assert vlm.device.type == device
    exact = vlm.choose(ASKS, LETTERS).exp()
    as_loaded = Vlm.load("toy-vlm", device=device, quantize="none").choose(ASKS, LETTERS).exp()
    four_bit = Vlm.load("toy-vlm", device=device, quantize="nf4").choose(ASKS, LETTERS)
    figures.put(
        "letter probabilities of the toy, largest difference from fp32 on the CPU",
        fp32=float((exact - expected).abs().max()),
        as_loaded=float((as_loaded - expected).abs().max()),
        nf4=float((four_bit.exp() - expected).abs().max()),
    )
    torch.testing.assert_close(exact, expected, atol=1e-3, rtol=0)
    assert_a_distribution(four_bit)


def test_clip_vectors_are_those_of_the_cpu(
    device: str, trained: Workspace, tmp_path: Path, figures: Figures
) -> None:
    pytest.importorskip("open_clip")
    images = [trained.ref_of(image) for image in trained.store.images("train")]
    vectors: list[NDArray[np.float32]] = []
    for place in ("cpu", device):
        store = Store(tmp_path / str(len(vectors)) / "fgvr.db")
        vectors.append(Clip("toy-clip", device=place).images(store, images, batch_size=5))
        store.close()
    cosines = (vectors[0] * vectors[1]).sum(axis=1)
    figures.put("vectors of the toy CLIP, this device and the CPU", smallest_cosine=float(cosines.min()))
    assert (cosines > 0.999).all()


def assert_a_distribution(log_probabilities: Tensor) -> None:
    assert log_probabilities.shape == (len(ASKS), len(LETTERS))
    torch.testing.assert_close(log_probabilities.exp().sum(dim=1), torch.ones(len(ASKS)))
