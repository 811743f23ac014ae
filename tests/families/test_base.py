"""What holds of answering whatever the family: settings of the checkpoint, ends, training, nothing asked."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from fgvr_kit.families.base import Ask
from tests.families.spoilt import edit, load


def test_answers_do_not_depend_on_sampling_settings_of_the_checkpoint(copy: Path) -> None:
    ask = Ask("Which?", (Image.new("RGB", (60, 60), "red"),))
    plain = load("toy-vlm").generate([ask], max_new_tokens=8)
    edit(copy / "generation_config.json", do_sample=True, temperature=9.0, repetition_penalty=3.0)
    assert load(copy).generate([ask], max_new_tokens=8) == plain


def test_an_answer_that_ends_says_stop_and_leaves_its_end_out() -> None:
    vlm = load("toy-vlm")
    long = vlm.generate([Ask("Which?"), Ask("Describe it, please.")], max_new_tokens=6)
    assert [g.finish_reason for g in long] == ["length", "length"]
    assert [g.output_tokens for g in long] == [6, 6]
    prompt = vlm.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "text", "text": "Which?"}]}], add_generation_prompt=True
    )
    ids = vlm.tokenizer(prompt, return_tensors="pt")["input_ids"]
    third = vlm.model.generate(ids, max_new_tokens=3, do_sample=False)[0, -1]
    vlm.model.generation_config.eos_token_id = int(third)
    ended = vlm.generate([Ask("Which?"), Ask("Describe it, please.")], max_new_tokens=6)[0]
    assert (ended.finish_reason, ended.output_tokens) == ("stop", 3)
    assert long[0].text.startswith(ended.text)


def test_answering_leaves_training_as_it_was() -> None:
    vlm = load("toy-vlm")
    vlm.attach_lora(r=2, alpha=2, dropout=0.5, seed=0)
    vlm.model.train()
    with torch.no_grad():
        for name, weight in vlm.model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.1)
    one, two = (vlm.choose([Ask("Which?")], ["A", "B"]) for _ in range(2))
    assert torch.equal(one, two)  # no dropout
    assert vlm.model.training


def test_nothing_asked_is_nothing_answered() -> None:
    vlm = load("toy-vlm")
    assert vlm.generate([], max_new_tokens=4) == []
    assert vlm.choose([], ["A", "B"]).shape == (0, 2)
    assert vlm.embed_texts([]).shape == (0, 64)
