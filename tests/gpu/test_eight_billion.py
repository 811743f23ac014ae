"""What a model of 8B shape costs on this GPU before it is trained: memory, and seconds an answer.

Random weights: sizes and times are those of the real model, answers mean nothing.
"""

from __future__ import annotations

import pytest
import torch

from fgvr_kit.families.base import Ask, Vlm
from tests.families.contract import LETTERS, photo
from tests.gpu import eight_billion, meter
from tests.gpu.eight_billion import Shape
from tests.gpu.figures import Figures

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(240)]

CHOICE = "Which of these choices is shown in the image?\nA. one\nB. two\nC. three\nD. four"


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
