"""What a family answers: the words and scores of stock transformers, whatever else is in the batch."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from fgvr_kit.families import turns
from fgvr_kit.families.base import Ask, Generated, Vlm
from fgvr_kit.families.sequences import prefix
from fgvr_kit.families.sequences.reading import Sights
from tests.families.contract.scene import ASKS, LETTERS, QUESTION, QUESTIONS, count_looks, photo


@cache
def one_by_one(vlm: Vlm) -> tuple[list[Generated], torch.Tensor]:
    """What is said to each of QUESTIONS alone."""
    said = [vlm.generate([ask], max_new_tokens=6)[0] for ask in QUESTIONS]
    return said, torch.cat([vlm.choose([ask], LETTERS) for ask in QUESTIONS])


class Answers:
    def test_the_processor_is_set_as_the_family_says(self, vlm: Vlm) -> None:
        found = {name: getattr(vlm.processor.image_processor, name) for name in vlm.family.processor_kwargs}
        assert found == dict(vlm.family.processor_kwargs)

    def test_greedy_text_is_what_stock_transformers_says(self, vlm: Vlm, checkpoint: Path) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        model = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()
        processor = AutoProcessor.from_pretrained(checkpoint, **vlm.family.processor_kwargs)
        content = [{"type": "image", "image": photo(1)}, {"type": "text", "text": QUESTION}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True,
            return_dict=True, return_tensors="pt",
        )  # fmt: skip
        out = model.generate(**inputs, max_new_tokens=6, do_sample=False)
        expected = processor.tokenizer.decode(
            out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        said = vlm.generate(ASKS[:1], max_new_tokens=6)[0]
        assert said.text == expected.strip()
        assert said.input_tokens == inputs["input_ids"].shape[1]

    def test_a_batch_says_what_each_row_says_alone(self, vlm: Vlm) -> None:
        asks = [Ask("Name a colour."), *ASKS, Ask("Two at once?", (photo(4), photo(5)))]
        together = vlm.generate(asks, max_new_tokens=5)
        assert together == [vlm.generate([ask], max_new_tokens=5)[0] for ask in asks]

    def test_letter_scores_depend_on_the_image(self, vlm: Vlm) -> None:
        one, other = vlm.choose([Ask(QUESTION, (photo(n),)) for n in (1, 2)], LETTERS)
        assert (one - other).abs().max() > 1e-3

    def test_letter_scores_are_a_distribution_that_companions_do_not_change(self, vlm: Vlm) -> None:
        asks = [Ask("Yes?"), *ASKS]
        together = vlm.choose(asks, LETTERS)
        assert together.shape == (4, 4)
        assert together.dtype == torch.float32
        torch.testing.assert_close(together.exp().sum(dim=1), torch.ones(4))
        alone = torch.cat([vlm.choose([ask], LETTERS) for ask in asks])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)

    def test_letter_scores_are_the_stock_logits_of_the_next_token(self, vlm: Vlm) -> None:
        encoded = vlm.encode([ASKS[0]] * 4, LETTERS)
        first = (encoded.labels >= 0).int().argmax(dim=1)  # (4,) place of the letter
        ids = encoded.labels[torch.arange(4), first]
        with torch.no_grad():
            logits = vlm.base_model(**encoded.inputs).logits[0, first[0] - 1, ids]
        torch.testing.assert_close(
            vlm.choose([ASKS[0]], LETTERS)[0], logits.log_softmax(-1), atol=1e-4, rtol=1e-4
        )

    @pytest.mark.parametrize("worth", [1, 10**9], ids=["one beginning", "whole prompts"])
    def test_questions_about_one_image_cost_one_look_and_are_answered_the_same(
        self, vlm: Vlm, monkeypatch: pytest.MonkeyPatch, worth: int
    ) -> None:
        alone, scores = one_by_one(vlm)
        assert len({said.text for said in alone}) > 6  # untrained, and yet it does not say the same to all
        looks = count_looks(vlm, monkeypatch)
        monkeypatch.setattr(prefix, "WORTH", worth)
        inputs = prefix.shared(vlm, vlm.read(QUESTIONS), "left")
        # Where more than embeddings goes to the text model, the first pass is ours in any case.
        assert (inputs is not None) == (worth == 1 or vlm.family.model_types[0] in {"gemma3", "qwen3_vl"})
        assert len(looks) == 1
        assert vlm.generate(QUESTIONS, max_new_tokens=6) == alone
        assert len(looks) == 2
        torch.testing.assert_close(vlm.choose(QUESTIONS, LETTERS), scores, atol=1e-5, rtol=1e-4)

    def test_a_question_about_a_seen_image_reads_as_the_processor_writes_it(self, vlm: Vlm) -> None:
        together = vlm.read(QUESTIONS)
        for ask, one in zip(QUESTIONS, together, strict=True):
            own = turns.process(vlm.processor, [one.prompt], [ask], side="left", max_pixels=vlm.max_pixels)
            assert list(one.ids) == own["input_ids"][0].tolist()

    def test_images_seen_before_are_not_looked_at_again(
        self, vlm: Vlm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain = one_by_one(vlm)[0][:6]
        monkeypatch.setattr(vlm, "sights", Sights(2**20))
        looks = count_looks(vlm, monkeypatch)
        assert vlm.generate(QUESTIONS[:2], max_new_tokens=6) == plain[:2]
        copies = [replace(ask, images=tuple(image.copy() for image in ask.images)) for ask in QUESTIONS[:6]]
        assert vlm.generate(copies[2:4], max_new_tokens=6) == plain[2:4]
        assert len(looks) == 1
        assert vlm.generate(copies, max_new_tokens=6) == plain  # two of another image among them
        assert len(looks) == 2
