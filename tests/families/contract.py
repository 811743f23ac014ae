"""What every family must do. `Contract` is inherited once and runs on a tiny checkpoint of each model type.

Photographs are noise: a flat colour looks alike to a random vision tower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fgvr_kit.families import turns
from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.families.sequences import prefix
from fgvr_kit.families.sequences.reading import Sights

LETTERS = ["A", "B", "C", "D"]
QUESTION = "Which of these choices is shown in the image?\nA. one\nB. two\nC. three\nD. four"


def photo(seed: int, width: int = 150, height: int = 150) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


ASKS = [
    Ask(QUESTION, (photo(1),)),
    Ask("What colour is the wing, and what shape has the tip?", (photo(2, 90, 60),), system="Be brief."),
    Ask("Describe it.", (photo(3, 60, 120),)),
]
_WORDS = ("What colour?", "What shape has the tip of the wing?", "A?", "Describe it in five sentences.")
QUESTIONS = [
    *(Ask(text, (photo(1),)) for text in _WORDS),
    *(Ask(text, (photo(2, 90, 60),), system="Be brief.") for text in _WORDS),
    Ask("Which one?", (photo(1), photo(3, 60, 120))),
    Ask("And which\ncolours?", (photo(1), photo(3, 60, 120))),
    Ask("And which else?", (photo(1),), turns=(("The first", "Are you sure?"),)),
]
"""Eleven questions about three sights."""
ANSWERS = ["B", "The wing is brown and the tip is pointed.", "Small, with dark spots"]


def count_looks(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each forward pass of the vision tower."""
    looks: list[int] = []
    look = vlm.base_model.get_image_features

    @wraps(look)  # its parameters are looked at
    def counted(*args: Any, **kwargs: Any) -> Any:
        looks.append(1)
        return look(*args, **kwargs)

    monkeypatch.setattr(vlm.base_model, "get_image_features", counted)
    return looks


class Contract:
    """Fixtures: vlm (shared, left as it was), fresh (a function that loads one to change), checkpoint."""

    def test_the_processor_is_set_as_the_family_says(self, vlm: Vlm) -> None:
        found = {name: getattr(vlm.processor.image_processor, name) for name in vlm.family.processor_kwargs}
        assert found == dict(vlm.family.processor_kwargs)

    # --- answering ------------------------------------------------------------------------------------------

    def test_greedy_text_is_what_stock_transformers_says(self, vlm: Vlm, checkpoint: Path) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        model = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()
        processor = AutoProcessor.from_pretrained(checkpoint, **vlm.family.processor_kwargs)
        content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        inputs = processor(text=[text], images=[[photo(1)]], return_tensors="pt")
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

    # --- one look an image ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("worth", [1, 10**9], ids=["one beginning", "whole prompts"])
    def test_questions_about_one_image_cost_one_look_and_are_answered_the_same(
        self, vlm: Vlm, monkeypatch: pytest.MonkeyPatch, worth: int
    ) -> None:
        alone = [vlm.generate([ask], max_new_tokens=6)[0] for ask in QUESTIONS]
        scores = torch.cat([vlm.choose([ask], LETTERS) for ask in QUESTIONS])
        assert len({said.text for said in alone}) > 6  # untrained, and yet it does not say the same to all
        looks = count_looks(vlm, monkeypatch)
        monkeypatch.setattr(prefix, "WORTH", worth)
        assert (prefix.shared(vlm, vlm.read(QUESTIONS), "left") is not None) == (worth == 1)
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
        plain = vlm.generate(QUESTIONS[:6], max_new_tokens=6)
        monkeypatch.setattr(vlm, "sights", Sights(2**20))
        looks = count_looks(vlm, monkeypatch)
        assert vlm.generate(QUESTIONS[:2], max_new_tokens=6) == plain[:2]
        copies = [replace(ask, images=tuple(image.copy() for image in ask.images)) for ask in QUESTIONS[:6]]
        assert vlm.generate(copies[2:4], max_new_tokens=6) == plain[2:4]
        assert len(looks) == 1
        assert vlm.generate(copies, max_new_tokens=6) == plain  # two of another image among them
        assert len(looks) == 2

    # --- training batches -----------------------------------------------------------------------------------

    def test_only_the_answer_and_its_end_are_supervised(self, vlm: Vlm) -> None:
        encoded = vlm.encode(ASKS, ANSWERS)
        supervised = [vlm.tokenizer.decode(row[row != -100]).strip() for row in encoded.labels]
        assert supervised == [answer + vlm.end_of_turn for answer in ANSWERS]
        kept = encoded.labels != -100
        assert torch.equal(encoded.labels[kept], encoded.inputs["input_ids"][kept])
        assert encoded.inputs["attention_mask"][kept].all()

    def test_merged_hidden_states_are_the_stock_forward(self, vlm: Vlm) -> None:
        inputs = vlm.encode(ASKS, ANSWERS).inputs
        with torch.no_grad():
            hidden = vlm.hidden_states(inputs, vlm.image_features(inputs))
            stock = vlm.base_model(**inputs).logits
            real = inputs["attention_mask"].bool()
            torch.testing.assert_close(vlm.logits(hidden)[real], stock[real], atol=1e-4, rtol=1e-4)

    def test_image_features_come_one_tensor_a_row(self, vlm: Vlm) -> None:
        two = Ask("Compare.", (photo(6), photo(7, 80, 80)))
        inputs = vlm.encode([ASKS[0], Ask("No image."), two], ["A", "B", "C"]).inputs
        with torch.no_grad():
            sizes = [len(rows) for rows in vlm.image_features(inputs)]
            alone = vlm.image_features(vlm.encode([two], ["C"]).inputs)[0]
            torch.testing.assert_close(vlm.image_features(inputs)[2], alone, atol=1e-4, rtol=1e-4)
        assert sizes[0] > 0
        assert sizes[1] == 0
        assert sizes[2] == len(alone)

    # --- vectors --------------------------------------------------------------------------------------------

    def test_a_text_vector_does_not_depend_on_its_companions(self, vlm: Vlm) -> None:
        texts = [f"a wing with {n} spots " * (1 + n % 7) for n in range(40)]
        with torch.no_grad():
            alone = vlm.embed_texts(["a coin"])
            among = vlm.embed_texts([*texts[:20], "a coin", *texts[20:]])
            unsorted = vlm.embed_texts([*texts[:20], "a coin", *texts[20:]], bucket=False)
        torch.testing.assert_close(among[20:21], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(unsorted, among, atol=1e-5, rtol=1e-4)
        assert among.shape[0] == 41

    def test_a_text_vector_is_the_state_at_one_end_token(self, vlm: Vlm) -> None:
        tokenizer = vlm.tokenizer
        ids = tokenizer("a coin", add_special_tokens=False)["input_ids"]
        start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        row = torch.tensor([[*start, *ids, tokenizer.eos_token_id]])
        with torch.no_grad():
            expected = vlm.base_model.get_decoder()(input_ids=row).last_hidden_state[:, -1]
            torch.testing.assert_close(vlm.embed_texts(["a coin"]), expected, atol=1e-5, rtol=1e-4)

    def test_an_object_vector_is_the_state_after_the_image_alone(self, vlm: Vlm) -> None:
        """Against the stock forward of the same short prompt, which finds positions and features itself."""
        inputs = vlm.encode([ASKS[0]], ["A"]).inputs
        kept = vlm.tokenizer.convert_tokens_to_ids([vlm.processor.image_token, *vlm.family.image_marks])
        ids = [i for i in inputs["input_ids"][0].tolist() if i in kept]
        prompt: dict[str, Any] = {"input_ids": torch.tensor([[*ids, vlm.tokenizer.eos_token_id]])}
        text_sized = {"input_ids", "attention_mask", "mm_token_type_ids"}
        prompt |= {name: value for name, value in inputs.items() if name not in text_sized}
        if "mm_token_type_ids" in inputs:
            prompt["mm_token_type_ids"] = (prompt["input_ids"] == kept[0]).int()
        with torch.no_grad():
            expected = vlm.base_model(**prompt).logits[:, -1]
            got = vlm.logits(vlm.embed_objects(inputs, vlm.image_features(inputs)))
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)

    def test_an_object_vector_does_not_depend_on_its_companions(self, vlm: Vlm) -> None:
        inputs, alone = vlm.encode(ASKS, ANSWERS).inputs, vlm.encode(ASKS[1:2], ANSWERS[1:2]).inputs
        with torch.no_grad():
            among = vlm.embed_objects(inputs, vlm.image_features(inputs))[1:2]
            one = vlm.embed_objects(alone, vlm.image_features(alone))
        torch.testing.assert_close(among, one, atol=1e-4, rtol=1e-3)

    # --- adapter --------------------------------------------------------------------------------------------

    def test_the_adapter_lies_on_text_model_and_connector_only(self, fresh: Callable[..., Vlm]) -> None:
        vlm = fresh()
        vlm.attach_lora(r=2, alpha=4, dropout=0.0, seed=0)
        places = {id(module): name for name, module in vlm.base_model.named_modules()}
        text = places[id(vlm.base_model.get_decoder())]
        rooms = (f"{text}.", f"{vlm.family.connector}.")
        trained = [n for n, p in vlm.base_model.named_parameters() if p.requires_grad]
        assert [n for n in trained if not n.startswith(rooms)] == []
        assert all(any(n.startswith(room) for n in trained) for room in rooms)
        assert sum("language" in n or "text" in n for n in trained) == 2 * 2 * 7  # layers x (A, B) x Linear
        assert vlm.trainable_parameters() == sum(
            p.numel() for n, p in vlm.base_model.named_parameters() if "lora_" in n
        )

    def test_every_loss_reaches_the_adapter(self, fresh: Callable[..., Vlm]) -> None:
        vlm = fresh()
        vlm.attach_lora(r=2, alpha=4, dropout=0.0, seed=0)
        vlm.model.train()
        encoded = vlm.encode(ASKS, ANSWERS)
        features = vlm.image_features(encoded.inputs)
        hidden = vlm.hidden_states(encoded.inputs, features)
        kept = encoded.labels[:, 1:] != -100
        loss = torch.nn.functional.cross_entropy(
            vlm.logits(hidden[:, :-1][kept]), encoded.labels[:, 1:][kept]
        )
        loss.backward(retain_graph=True)
        weights = {n: p for n, p in vlm.model.named_parameters() if "lora_B" in n}
        assert [n for n, p in weights.items() if p.grad is None or not p.grad.any()] == []
        bridge = [p for n, p in weights.items() if f".{vlm.family.connector}." in n]
        vlm.model.zero_grad()
        vlm.embed_objects(encoded.inputs, features).sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in bridge)
        vlm.model.zero_grad()
        vlm.embed_texts(["a coin"]).sum().backward()
        assert any(p.grad is not None and p.grad.any() for p in weights.values())
        assert all(p.grad is None or not p.grad.any() for p in bridge)

    def test_a_saved_adapter_answers_the_same_when_loaded(
        self, fresh: Callable[..., Vlm], tmp_path: Path
    ) -> None:
        vlm = fresh()
        before = vlm.choose(ASKS, LETTERS)
        vlm.attach_lora(r=2, alpha=4, dropout=0.1, seed=3)
        torch.testing.assert_close(vlm.choose(ASKS, LETTERS), before)  # a new adapter changes nothing
        with torch.no_grad():
            for n, p in vlm.model.named_parameters():
                if "lora_B" in n:
                    p.fill_(0.05)
        tuned = vlm.choose(ASKS, LETTERS)
        assert (tuned - before).abs().max() > 1e-3
        vlm.save_adapter(tmp_path / "adapter")
        again = fresh(adapter=tmp_path / "adapter")
        assert torch.equal(again.choose(ASKS, LETTERS), tuned)
        assert again.generate(ASKS, max_new_tokens=4) == vlm.generate(ASKS, max_new_tokens=4)
        assert again.trainable_parameters() == vlm.trainable_parameters()

    # --- 4 bit ----------------------------------------------------------------------------------------------

    def test_four_bit_spares_vision_connector_and_head(self, fresh: Callable[..., Vlm]) -> None:
        from bitsandbytes.nn import Linear4bit

        vlm = fresh(quantize="nf4")
        small = {n for n, m in vlm.model.named_modules() if isinstance(m, Linear4bit)}
        places = {id(module): name for name, module in vlm.model.named_modules()}
        text = places[id(vlm.model.get_decoder())]
        assert len(small) == 2 * 7
        assert all(n.startswith(f"{text}.layers.") for n in small)

    def test_four_bit_training_after_an_answer_does_not_crash(self, fresh: Callable[..., Vlm]) -> None:
        vlm = fresh(quantize="nf4")
        before = vlm.choose(ASKS, LETTERS)
        vlm.attach_lora(r=2, alpha=4, dropout=0.0, seed=0)
        vlm.model.train()
        vlm.embed_texts(["a coin", "two coins"]).sum().backward()
        assert vlm.model.training
        torch.testing.assert_close(vlm.choose(ASKS, LETTERS), before, atol=1e-5, rtol=1e-4)
