"""Small models in full precision: what a GPU computes is what the mathematics says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fgvr_kit.families.base import Vlm
from fgvr_kit.families.sequences import packing
from fgvr_kit.training.data.batch import AlignCollator
from fgvr_kit.training.data.steps import Micro
from fgvr_kit.training.losses import answer_loss
from fgvr_kit.training.objectives.contrast import plan_contrast
from fgvr_kit.training.objectives.finedefics import Align
from fgvr_kit.training.objectives.gradient_cache import embed
from fgvr_kit.training.objectives.learning import tokens_of
from tests.bench import six_passes
from tests.gpu import eight_billion, two_processes
from tests.gpu.eight_billion import TINY
from tests.gpu.figures import Figures
from tests.gpu.taken import align
from tests.training import learned

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(150)]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_cached_gradients_with_dropout_are_those_of_one_big_batch(
    checkpointing: bool, device: str, figures: Figures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second pass of gradient caching draws the random numbers of the first: on CUDA from the GPU's own state."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    vlm = learned.toy(dropout=0.2)
    vlm.model.to(device)
    if checkpointing:
        vlm.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    rounds = learned.micros(vlm, learned.align_rows(tmp_path), [3, 3, 2])
    objective = align()
    assert packing.isolates(vlm.base_model, vlm.family)
    torch.manual_seed(5)
    _, cached = learned.learn(vlm, objective, rounds)
    torch.manual_seed(5)
    whole = in_one_graph(vlm, objective, rounds)
    torch.manual_seed(6)
    other = in_one_graph(vlm, objective, rounds)
    apart, chance = difference(cached, whole), difference(other, whole)
    figures.put(
        f"gradient caching with dropout, {'recomputed' if checkpointing else 'kept'} activations",
        difference_from_one_big_batch=apart,
        difference_by_other_random_numbers=chance,
    )
    assert chance > 1e-2, "dropout does something"
    assert apart <= (1e-5 if device == "cpu" else 1e-4)


def in_one_graph(vlm: Vlm, objective: Align, rounds: Sequence[Micro]) -> dict[str, Tensor]:
    """Gradients of a step whose micro-batches all stay in memory: nothing is computed twice."""
    vlm.model.zero_grad()
    batches = [micro.batch for micro in rounds]
    plan = plan_contrast([[batch.words for batch in batches]])
    passes = [embed(vlm, batch, share) for batch, share in zip(batches, plan.shares[0], strict=True)]
    total = objective._compare(torch.cat([one.vectors for one in passes]), plan.places).total
    for batch, one in zip(batches, passes, strict=True):
        states = vlm.embed_step(batch.inputs, one.features, labels=batch.labels, objects=False)
        total = total + answer_loss(vlm.logits(states.answers), states.targets, n_tokens=tokens_of(rounds))
    total.backward()
    return learned.gradients(vlm, objective)


def difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest of any weight, in shares of the largest gradient."""
    assert one.keys() == other.keys()
    largest = max(float(g.abs().max()) for g in other.values())
    assert largest > 1e-3, "there is a gradient to compare"
    return max(float((one[name] - g).abs().max()) for name, g in other.items()) / largest


def test_a_packed_pass_in_bf16_is_as_right_as_six_padded_ones(
    device: str, figures: Figures, toy_vlm_path: Path, tmp_path: Path
) -> None:
    """Both beside the released mathematics in float32, with the same weights."""
    from transformers import AutoProcessor

    exact = eight_billion.build(TINY, AutoProcessor.from_pretrained(toy_vlm_path), "cpu")
    rounded = deepcopy(exact)
    exact.model.to(device)
    rounded.model.to(device, torch.bfloat16)
    images = eight_billion.photographs(TINY, 4, tmp_path)
    rows = eight_billion.align_rows(exact, TINY, images, uneven=True)
    batch = AlignCollator(exact)(rows)["batch"]
    with torch.no_grad():
        in_float32 = float(six_passes.ours(exact, batch, rows))
        packed = float(six_passes.ours(rounded, batch, rows))
        with torch.device(device):  # the released mathematics makes tensors of its own
            truth = float(six_passes.released(exact, batch.to(device), rows, masks=True))
            padded = float(six_passes.released(rounded, batch.to(device), rows, masks=True))
    assert packing.isolates(exact.base_model, exact.family)
    assert packing.isolates(rounded.base_model, rounded.family)
    figures.put(
        "loss of stage align, tiny model, beside six padded passes in float32",
        six_padded_float32=truth,
        packed_float32=in_float32,
        six_padded_bf16=padded,
        packed_bf16=packed,
    )
    assert in_float32 == pytest.approx(truth, rel=1e-4)
    assert abs(packed - truth) <= 2 * abs(padded - truth) + 0.01 * abs(truth)


def test_two_processes_have_the_gradients_of_one(device: str, figures: Figures, tmp_path: Path) -> None:
    """Over NCCL, with a GPU each; without a GPU over gloo."""
    if device == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU here")
    if device == "cpu" and (os.cpu_count() or 1) < 3:
        pytest.skip("three processes on two cores take a minute")
    torch.save(learned.align_rows(tmp_path), tmp_path / "rows.pt")
    argv = [sys.executable, "-m", "tests.gpu.two_processes", str(tmp_path), device]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            argv, cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env=os.environ | meeting | {"RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    try:
        terms, gradients = two_processes.step(tmp_path, device)
        for process in started:
            _, said = process.communicate(timeout=120)
            assert process.returncode == 0, said[-3000:]
    finally:
        for process in started:
            process.kill()
    together, summed = torch.load(tmp_path / "together.pt", weights_only=False)
    apart = difference(summed, gradients)
    figures.put("two processes beside one, stage align", difference_of_gradients=apart)
    assert together == pytest.approx(terms, rel=1e-4)
    assert apart <= (1e-5 if device == "cpu" else 1e-4)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
