"""What a model of 8B shape costs on this GPU: memory, seconds a training step, seconds an answer.

Random weights: sizes and times are those of the real model, losses and answers mean nothing.
"""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from fgvr_kit.errors import ModelError
from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.training.data.batch import AlignCollator
from fgvr_kit.training.data.examples import AlignExample
from fgvr_kit.training.loop.trainer import StageTrainer
from fgvr_kit.training.objectives.finedefics import Align
from fgvr_kit.training.schedule import Schedule
from tests.families.contract import LETTERS, photo
from tests.gpu import eight_billion, meter
from tests.gpu.eight_billion import BIG, TINY, Shape
from tests.gpu.figures import Figures

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(240)]

CHOICE = "Which of these choices is shown in the image?\nA. one\nB. two\nC. three\nD. four"
ALIGN = Align(attribute_temperature=0.07, category_temperature=0.07, negatives="shared", ccc="paper")
FREE_GB = 40  # to write 17 GB and have some left


@pytest.fixture(scope="module")
def shape(device: str, figures: Figures) -> Iterator[Shape]:
    """The shape for this device. Other tests run under one thread; images are prepared by more here."""
    before = torch.get_num_threads()
    if device == "cuda":
        torch.set_num_threads(8)
    figures.put("images are prepared by", cpu_threads=torch.get_num_threads())
    yield BIG if device == "cuda" else TINY
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["none", "nf4"])
def weights(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def vlm(
    weights: str,
    shape: Shape,
    device: str,
    figures: Figures,
    toy_vlm_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Vlm]:
    """none: made in memory.  nf4: written to disk, and read as a user's checkpoint is."""
    from transformers import AutoProcessor

    meter.forget_peak()
    before = meter.allocated_gb() or 0.0
    started = meter.finished()
    loaded = eight_billion.build(shape, AutoProcessor.from_pretrained(toy_vlm_path), device)
    n_parameters = sum(p.numel() for p in loaded.model.parameters())
    if weights == "none":
        figures.put(f"{shape.name}, {weights}", seconds_to_make=meter.finished() - started)
    else:
        folder = tmp_path_factory.mktemp("checkpoint")
        free = shutil.disk_usage(folder).free / meter.GB
        if device == "cuda" and free < FREE_GB:
            figures.put(f"{shape.name}, {weights}", skipped=f"{free:.0f} GB free on disk, {FREE_GB} wanted")
            pytest.skip("not enough room on disk for the checkpoint")
        started = meter.finished()
        eight_billion.save(loaded, folder)
        seconds_to_write = meter.finished() - started
        del loaded
        meter.forget_peak()
        started = meter.finished()
        loaded = Vlm.load(str(folder), device=device, quantize="auto" if device == "cuda" else "nf4")
        figures.put(
            f"{shape.name}, {weights}",
            seconds_to_write=seconds_to_write,
            seconds_to_load=meter.finished() - started,
            peak_gb_of_loading=meter.peak_gb(),
        )
        shutil.rmtree(folder)
    meter.forget_peak()
    in_use = meter.allocated_gb()
    figures.put(
        f"{shape.name}, {weights}",
        million_parameters=n_parameters / 1e6,
        gb_after_load=None if in_use is None else in_use - before,
    )
    yield loaded
    del loaded
    meter.forget_peak()


def asks(shape: Shape, question: str) -> list[Ask]:
    return [Ask(question, (photo(n, *shape.photo),)) for n in range(8)]


def test_the_weights_take_the_room_they_should(
    vlm: Vlm, weights: str, shape: Shape, device: str, figures: Figures
) -> None:
    measured = figures.measured[f"{shape.name}, {weights}"]
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    assert vlm.model.get_output_embeddings().weight.dtype == dtype
    text = vlm.model.model.text_model.layers[0].self_attn.q_proj.weight
    assert text.dtype == (torch.uint8 if weights == "nf4" else dtype)
    gb, millions = measured["gb_after_load"], measured["million_parameters"]
    if device == "cuda":
        assert isinstance(gb, float)
        assert isinstance(millions, float)
        bytes_a_parameter = gb * 1e3 / millions
        low, high = (0.5, 1.0) if weights == "nf4" else (1.9, 2.2)
        assert low < bytes_a_parameter < high


def test_letters_are_scored_for_eight_images_at_once(
    vlm: Vlm, weights: str, shape: Shape, figures: Figures
) -> None:
    batch = asks(shape, CHOICE)
    meter.forget_peak()
    scores = vlm.choose(batch, LETTERS)
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(8))
    seconds = meter.median_seconds(lambda: vlm.choose(batch, LETTERS))
    preparing = meter.median_seconds(lambda: vlm.encode(batch, ["A"] * 8))
    figures.put(
        f"{shape.name}, {weights}, choose in batches of 8",
        seconds_an_image=seconds / 8,
        of_which_about_seconds_on_the_cpu=preparing / 8,
        peak_gb=meter.peak_gb(),
    )


@pytest.mark.parametrize("n_asks", [1, 8])
def test_text_is_generated(vlm: Vlm, weights: str, shape: Shape, n_asks: int, figures: Figures) -> None:
    batch = asks(shape, eight_billion.QUESTION)[:n_asks]
    meter.forget_peak()
    vlm.generate(batch, max_new_tokens=2)
    started = meter.finished()
    said = vlm.generate(batch, max_new_tokens=shape.new_tokens)
    seconds = meter.finished() - started
    n_tokens = sum(g.output_tokens for g in said)
    assert n_asks <= n_tokens <= n_asks * shape.new_tokens
    figures.put(
        f"{shape.name}, {weights}, generate for {n_asks}",
        tokens_a_second_with_reading_the_prompt=n_tokens / seconds,
        tokens=n_tokens,
        prompt_tokens=sum(g.input_tokens for g in said),
        peak_gb=meter.peak_gb(),
    )


# --- training: last, because the model keeps its adapter ----------------------------------------------------


@pytest.fixture(scope="module")
def tuned(vlm: Vlm) -> Vlm:
    """With an adapter of the recipe's size."""
    vlm.attach_lora(r=8, alpha=8, dropout=0.2, seed=42)
    return vlm


@pytest.mark.parametrize("n_images", [2, 8])
def test_stage_align_takes_steps(
    tuned: Vlm, weights: str, shape: Shape, n_images: int, device: str, figures: Figures, tmp_path: Path
) -> None:
    rows = eight_billion.align_rows(tuned, shape, n_images, tmp_path / "photos")
    collator = AlignCollator(tuned)
    batch = collator(rows)["batch"]
    assert batch.words is not None
    assert len(batch.words.texts) == 8 * n_images  # image and three negatives: a description and a name each
    group = f"{shape.name}, {weights}, stage align, {n_images} images with 3 negatives"
    figures.put(
        group,
        trainable_million_parameters=tuned.trainable_parameters() / 1e6,
        tokens_a_row=batch.inputs["input_ids"].shape[1],
        seconds_to_prepare_on_the_cpu=meter.median_seconds(lambda: collator(rows)),
    )
    peaks: dict[bool, float | None] = {}
    for is_checkpointing in (True, False):
        way = "recomputed" if is_checkpointing else "kept"
        try:
            measured = steps(tuned, rows, shape.n_steps, is_checkpointing, tmp_path / way)
        except ModelError as error:  # a figure too: how far this GPU goes without recomputing
            if is_checkpointing or error.code != "out-of-memory":
                raise
            figures.put(group, **{f"{way}_activations": "out of memory"})
            continue
        finally:
            meter.forget_peak()
        assert all(math.isfinite(loss) for loss in measured["losses"])
        peaks[is_checkpointing] = measured["peak_gb"]
        figures.put(
            group,
            **{
                f"{way}_activations_seconds_a_step": measured["seconds"],
                f"{way}_activations_peak_gb": measured["peak_gb"],
                f"{way}_activations_last_loss": measured["losses"][-1],
            },
        )
    if device == "cuda" and False in peaks:
        assert (peaks[True] or 0) < (peaks[False] or 0)


def steps(
    vlm: Vlm, rows: list[AlignExample], n_steps: int, is_checkpointing: bool, folder: Path
) -> dict[str, Any]:
    """Optimizer steps through the recipe's own trainer, images prepared anew in each; the first is not
    timed."""
    schedule = Schedule(
        batch=len(rows),
        micro_batch=len(rows),
        epochs=n_steps,
        learning_rate=2e-4,
        warmup=0.0,
        weight_decay=0.01,
        seed=42,
        save_steps=10**6,
        gradient_checkpointing=is_checkpointing,
    )
    losses: list[float] = []
    ends: list[float] = []

    def on_step(step: int, epoch: float, terms: dict[str, float]) -> None:
        losses.append(terms["total"])
        ends.append(meter.finished())

    vlm.model.gradient_checkpointing_disable()
    meter.forget_peak()
    trainer = StageTrainer(vlm, ALIGN, rows, AlignCollator(vlm), schedule, folder, on_step)
    trainer.train_or_resume()
    assert len(losses) == n_steps
    seconds = [end - start for start, end in pairwise(ends)]
    return {"losses": losses, "seconds": statistics.median(seconds), "peak_gb": meter.peak_gb()}
