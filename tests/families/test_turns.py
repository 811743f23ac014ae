"""Prompts and answers as text and tokens, without a forward pass."""

from __future__ import annotations

import pytest
from PIL import Image

from fgvr_kit.dataset.images import shrink
from fgvr_kit.errors import ModelError
from fgvr_kit.families import turns
from fgvr_kit.families.base import Ask, Vlm


@pytest.fixture(scope="module")
def vlm() -> Vlm:
    return Vlm.load("toy-vlm", device="cpu")


PHOTO = Image.new("RGB", (40, 40))


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (Ask("What?", (PHOTO,)), "User:<image>What?<end_of_utterance>\nAssistant:"),
        (Ask("What?"), "User: What?<end_of_utterance>\nAssistant:"),
        (Ask("", (PHOTO,)), "User:<image><end_of_utterance>\nAssistant:"),
        (Ask("Same?", (PHOTO, PHOTO)), "User:<image><image>Same?<end_of_utterance>\nAssistant:"),
        (
            Ask("What?", (PHOTO,), system="Be brief."),
            "System: Be brief.<end_of_utterance>\nUser:<image>What?<end_of_utterance>\nAssistant:",
        ),
    ],
)
def test_a_prompt_is_what_the_chat_template_writes(vlm: Vlm, ask: Ask, expected: str) -> None:
    assert turns.prompt(vlm.processor, ask) == expected


@pytest.mark.parametrize("answer", ["B", "two words", "  spaced  ", "line\nline", "User: What?"])
def test_an_answer_ends_with_the_end_token_and_nothing_after(vlm: Vlm, answer: str) -> None:
    full = turns.with_answer(vlm.processor, Ask("What?"), answer, "<end_of_utterance>")
    assert full.startswith("User: What?<end_of_utterance>\nAssistant: ")
    assert full.endswith(answer.strip() + "<end_of_utterance>")


def test_a_prompt_with_the_image_token_in_its_words_is_refused(vlm: Vlm) -> None:
    for ask in (Ask("an <image> of"), Ask("What?", system="<image>")):
        with pytest.raises(ModelError) as caught:
            vlm.generate([ask], max_new_tokens=1)
        assert caught.value.code == "image-token-in-prompt"


@pytest.mark.parametrize("labels", [["A", "beetles"], ["A", "B", "A"], ["AB"]])
def test_a_label_that_is_not_a_token_of_its_own_is_refused(vlm: Vlm, labels: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        vlm.choose([Ask("What?")], labels)
    assert caught.value.code == "label-not-a-token"


def test_a_template_that_rewrites_the_prompt_is_refused(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        vlm.processor,
        "chat_template",
        "{{ messages | length }}{% for m in messages %}{{ m.role }}{% endfor %}",
    )
    with pytest.raises(ModelError) as caught:
        vlm.encode([Ask("What?")], ["B"])
    assert caught.value.code == "chat-template"


def test_a_processor_without_a_template_is_refused(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlm.processor, "chat_template", None)
    with pytest.raises(ModelError) as caught:
        vlm.generate([Ask("What?")], max_new_tokens=1)
    assert (caught.value.code, caught.value.why) == ("chat-template", "it has none")


def test_a_tokenizer_that_joins_prompt_and_answer_is_refused(vlm: Vlm) -> None:
    with pytest.raises(ModelError) as caught:
        turns.answer_ids(vlm.tokenizer, "The colo", "The colour")
    assert caught.value.code == "chat-template"


def test_the_start_token_never_stands_twice(vlm: Vlm) -> None:
    start = vlm.tokenizer.bos_token_id
    for text in ("User: What?", "<s>User: What?"):
        inputs = turns.process(vlm.processor, [text], [Ask("What?")], side="right", max_pixels=10**6)
        assert inputs["input_ids"][0].tolist().count(start) == 1


@pytest.mark.parametrize(
    ("size", "max_pixels", "expected"),
    [
        ((100, 100), 10_000, (100, 100)),
        ((100, 100), 2_500, (50, 50)),
        ((400, 100), 10_000, (200, 50)),
        ((5000, 1), 100, (707, 1)),
    ],
)
def test_large_images_are_shrunk_with_their_proportions(
    size: tuple[int, int], max_pixels: int, expected: tuple[int, int]
) -> None:
    assert shrink(Image.new("RGB", size), max_pixels).size == expected


def test_shrinking_smooths_fine_stripes() -> None:
    """Every second column white: the mean grey, not one of the two colours."""
    stripes = Image.new("RGB", (64, 64))
    for x in range(0, 64, 2):
        stripes.paste((255, 255, 255), (x, 0, x + 1, 64))
    middle = shrink(stripes, 16 * 16).getpixel((8, 8))
    assert isinstance(middle, tuple)
    assert all(118 <= value <= 138 for value in middle)


def test_max_pixels_reaches_the_processor() -> None:
    small = Vlm.load("toy-vlm", device="cpu", max_pixels=56 * 56)
    inputs = small.encode([Ask("What?", (Image.new("RGB", (150, 150)),))], ["A"]).inputs
    assert tuple(inputs["pixel_values"].shape[-2:]) == (56, 56)


def test_words_of_a_model_lose_what_is_no_word(vlm: Vlm) -> None:
    """A reply or a description may hold what stands for an image, or what ends a turn."""
    assert turns.plain(vlm.tokenizer, "a <image> of</s> it<end_of_utterance>").split() == ["a", "of", "it"]
    ask = Ask("What?", turns=(("<image>", "No <image>, please."),))
    assert turns.prompt(vlm.processor, ask).count("<image>") == 0
