"""What the toy is trained on is what fgvr-kit asks it, token for token; a killed training goes on as if it was not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from examples.toy import learning, model, tokens
from examples.toy.export import export
from examples.toy.packing import Packer
from examples.toy.plan import Plan
from examples.toy.training import Training
from fgvr_kit.families.base import Ask, Vlm
from fgvr_kit.toy.world import texts
from fgvr_kit.toy.world.turns import Turn


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tokens.tokenizer()


@pytest.fixture(scope="module")
def vlm(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Vlm:
    """Random weights in the shape of the toy, through files."""
    torch.manual_seed(0)
    folder = export(model.new(tokenizer), tokenizer, tmp_path_factory.mktemp("toy"), "0 steps")
    return Vlm.load(str(folder), device="cpu")


def ask(turn: Turn, pixels: np.ndarray) -> Ask:
    return Ask(turn.text, (Image.fromarray(pixels),) if turn.sees else (), turns=turn.before)


def test_packed_turns_are_read_as_the_processor_reads_them(vlm: Vlm, tokenizer: Any) -> None:
    packer = Packer(tokenizer)
    batch = packer.batch(1, 0, 6, 400)
    pairs = [(turn, batch.pixels[row]) for row, made in enumerate(batch.turns) for turn in made]
    pairs.append((texts.mended(np.random.default_rng(0)), batch.pixels[0]))
    assert len(pairs) > 20
    for turn, pixels in pairs:
        asked, answer = packer.ids_of(turn)
        encoded = vlm.encode([ask(turn, pixels)], [turn.answer])
        prefix = packer.prefix if turn.sees else []
        assert encoded.inputs["input_ids"][0].tolist() == [*prefix, *asked, *answer]
        assert [n for n in encoded.labels[0].tolist() if n >= 0] == answer


def test_packed_turns_have_the_states_that_they_have_alone(vlm: Vlm, tokenizer: Any) -> None:
    batch = Packer(tokenizer).batch(1, 3, 2, 300)
    net = vlm.base_model
    with torch.no_grad():
        _, states = learning.image_states(net, learning.pixels(batch.pixels, "cpu"))
        packed = learning.text_states(net, states, batch)
        for row, made in enumerate(batch.turns):
            for number, turn in enumerate(made, start=1):
                inputs = vlm.encode([ask(turn, batch.pixels[row])], [turn.answer]).inputs
                features = vlm.image_features(inputs)
                alone = vlm.hidden_states(inputs, features)[0]
                mine = packed[row, torch.from_numpy(batch.part[row] == number)]
                torch.testing.assert_close(mine, alone[-len(mine) :], atol=2e-4, rtol=1e-3)
                if turn.sees:
                    torch.testing.assert_close(features[0], states[row], atol=2e-4, rtol=1e-3)


def test_weights_are_tied_through_files_and_small_enough(vlm: Vlm, tmp_path: Path) -> None:
    net = vlm.base_model
    assert net.lm_head.weight is net.model.text_model.embed_tokens.weight
    assert sum(one.numel() for one in net.parameters()) < 6e6
    layers = [one for one in net.modules() if isinstance(one, torch.nn.Linear)]
    assert not [one.in_features for one in layers if one.in_features % 64]


def test_patches_start_uncorrelated_and_alike_strong(tokenizer: Any) -> None:
    net = model.new(tokenizer)
    seen = learning.pixels(Packer(tokenizer).pictures(1, 0, 60).pixels, "cpu")
    model.open_eyes(net, seen)
    with torch.no_grad():
        states = (
            net.model.vision_model.embeddings.patch_embedding(seen).flatten(2).transpose(1, 2).flatten(0, 1)
        )
    spread = torch.cov(states.T)
    strong = spread.diagonal()[-60:]  # of the main directions; the faintest stay fainter
    torch.testing.assert_close(strong, torch.full_like(strong, 0.25), atol=0.02, rtol=0)
    assert float((spread - spread.diagonal().diag()).abs().max()) < 0.01
    assert float(states.mean(dim=0).abs().max()) < 0.01


def test_every_letter_is_one_token_and_any_text_survives(tokenizer: Any) -> None:
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        assert len(tokenizer(f" {letter}", add_special_tokens=False)["input_ids"]) == 1
    text = "Schöner Käfer — 甲虫 🪲 <b>\t\\n"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_held_out_answers_are_counted_by_task(tokenizer: Any) -> None:
    """Right is what greedy decoding would write: a model whose head is made to fit says so."""
    torch.manual_seed(0)
    net, batch = model.new(tokenizer), Packer(tokenizer).batch(1, 0, 2, 200)
    _, states = learning.image_states(net, learning.pixels(batch.pixels, "cpu"))
    found = learning.answered(net, states.detach(), batch)
    assert [turn for turn, _ in found] == [turn for made in batch.turns for turn in made]
    assert not any(right for _, right in found)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(60):
        _, states = learning.image_states(net, learning.pixels(batch.pixels, "cpu"))
        learning.words_loss(net, states, batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(right for _, right in learning.answered(net, states.detach(), batch))


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Training, "measure", lambda _: {})  # hundreds of pictures
    plan = replace(Plan(), look_steps=2, talk_steps=4, look_rows=4, rows=2, long_rows=1)
    whole = Training(tmp_path / "whole", plan, "cpu")
    whole.run()
    cut = Training(tmp_path / "cut", plan, "cpu")
    for _ in range(3):
        cut._one_step()
        cut.step += 1
    cut._save()
    again = Training(tmp_path / "cut", plan, "cpu")
    assert again.step == 3
    again.run()
    for mine, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_training_goes_on_with_its_own_words(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts are part of what the words are made of: edited in between, they must not change them."""
    first = tokens.kept(tmp_path)
    monkeypatch.setattr(tokens, "SENTENCES", ["Wholly other words."] * 900)
    again = tokens.kept(tmp_path)
    assert again.get_vocab() == first.get_vocab() == tokenizer.get_vocab()
    text = '<s>User: Which marking? A. map<end_of_utterance>\nAssistant: {"colour": "gold"}'
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.eos_token_id == tokenizer.eos_token_id


@pytest.mark.slow
def test_another_plan_does_not_go_on_with_these_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Training, "measure", lambda _: {})
    plan = replace(Plan(), look_steps=1, talk_steps=0, look_rows=2)
    Training(tmp_path, plan, "cpu").run()
    with pytest.raises(SystemExit, match="another plan"):
        Training(tmp_path, replace(plan, matrix_rate=1.0), "cpu")
