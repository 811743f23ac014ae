from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from fgvr_kit.asking.image_tokens import image_tokens, openai_patches, rule_for, sent_size
from fgvr_kit.dataset.images import shrink

# The providers' own examples, and sizes that people measured at the API.
PUBLISHED = [
    ("gpt-4o", 1024, 1024, 765),  # OpenAI, images and vision
    ("gpt-4o", 2048, 4096, 1105),
    ("gpt-4o", 128, 64, 255),  # community.openai.com 1262691: 267 with 12 of text
    ("gpt-4o-mini", 128, 64, 8500),  # ... 8512
    ("o3-2025-04-16", 128, 64, 225),  # ... 236 with 11 of text
    ("claude-opus-4-7", 3840, 2160, 4784),  # Anthropic, vision
    ("claude-opus-4-7", 1920, 1080, 2691),
    ("claude-sonnet-4-5", 3840, 2160, 1560),
    ("claude-sonnet-4-5", 1092, 1092, 1521),
    ("claude-haiku-4-5-20251001", 1000, 1000, 1296),
    ("anthropic/claude-3.5-sonnet", 200, 200, 64),
    ("gemini-2.5-flash", 384, 300, 258),  # Google, image understanding
    ("google/gemini-2.0-flash", 960, 540, 6 * 258),
    ("gemini-3-flash-preview", 1024, 768, 1120),  # Google, media resolution
    ("gemma3:4b", 900, 600, 258),
    ("llava:7b", 900, 600, 576),
    ("HuggingFaceM4/idefics2-8b", 900, 600, 66),
]


@pytest.mark.parametrize(("model", "width", "height", "tokens"), PUBLISHED)
def test_images_cost_what_the_provider_says(model: str, width: int, height: int, tokens: int) -> None:
    assert image_tokens(model, width, height).likely == tokens


def test_openais_patches_are_its_own_examples() -> None:
    assert openai_patches(1024, 1024, factor=1, budget=1536) == 1024
    assert openai_patches(1800, 2400, factor=1, budget=1536) == 1452
    assert openai_patches(1800, 2400, factor=1.62, budget=1536) == 2353


def test_where_two_editions_of_the_guide_disagree_both_are_in_the_range() -> None:
    assert image_tokens("gpt-5-mini", 320, 320) == (120, 120, 162)
    low, _, high = image_tokens("gpt-4.1-mini", 1800, 2400)
    assert low <= 2353 <= high


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-VL-7B-Instruct", "qwen3-vl:8b"])
@pytest.mark.parametrize("size", [(150, 150), (640, 480), (1024, 1024), (37, 900), (1600, 1200), (20, 20)])
def test_qwen_is_counted_as_its_image_processor_does(model: str, size: tuple[int, int]) -> None:
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    unit, least, most = (32, 65_536, 16_777_216) if "3-vl" in model else (28, 3136, 12_845_056)
    height, width = smart_resize(size[1], size[0], factor=unit, min_pixels=least, max_pixels=most)
    assert image_tokens(model, *size).likely == height * width // unit**2 + 2


@pytest.mark.parametrize("size", [(150, 150), (640, 480), (1024, 1024), (300, 900), (1600, 1200)])
@pytest.mark.parametrize(
    ("model", "tile", "tokens"), [("SmolVLM-Instruct", 384, 81), ("SmolVLM-256M-Instruct", 512, 64)]
)
def test_smolvlm_is_counted_as_its_image_processor_cuts(
    model: str, tile: int, tokens: int, size: tuple[int, int]
) -> None:
    from transformers import Idefics3ImageProcessor

    processor = Idefics3ImageProcessor(size={"longest_edge": 4 * tile}, max_image_size={"longest_edge": tile})
    _, down, across = processor.get_number_of_image_patches(size[1], size[0], {})
    assert image_tokens(model, *size).likely == tokens + 3 + down * (across * (tokens + 2) + 1)
    assert image_tokens(model, *size, in_process=True) == (tokens + 3,) * 3


def test_low_detail_costs_the_base_alone() -> None:
    assert image_tokens("gpt-4o", 1024, 1024, detail="low").likely == 85


def test_an_unknown_model_is_a_guess_with_wide_bounds() -> None:
    assert rule_for("my-own-model").is_guess
    low, likely, high = image_tokens("my-own-model", 1024, 1024)
    assert high / low > 10
    assert low < likely < high
    assert not rule_for("gpt-4o-mini").is_guess


MODELS = ["gpt-4o", "gpt-5-nano", "gpt-5.4", "gpt-6-luna", "claude-3-haiku", "claude-opus-5", "gemini-2.5-pro", "what",
          "qwen2.5vl:7b", "qwen3-vl:4b", "SmolVLM2-2.2B", "pixtral-12b", "llama3.2-vision", "llava"]  # fmt: skip


@example("pixtral-12b", 2048, 1)
@given(st.sampled_from(MODELS), st.integers(1, 9000), st.integers(1, 9000))
def test_every_size_has_ordered_bounds(model: str, width: int, height: int) -> None:
    low, likely, high = image_tokens(model, width, height)
    assert 1 <= low <= likely <= high


@given(st.integers(1, 400), st.integers(1, 400), st.integers(16, 40_000))
def test_the_size_as_sent_is_that_of_the_shrunk_image(width: int, height: int, max_pixels: int) -> None:
    assert sent_size(width, height, max_pixels) == shrink(Image.new("RGB", (width, height)), max_pixels).size
