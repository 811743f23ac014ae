"""One packed pass against padded passes of each kind of sequence: the same states and the same gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fgvr_kit.families.base import Vlm
from fgvr_kit.families.sequences import attention, packing
from fgvr_kit.families.sequences.step import States
from fgvr_kit.families.turns import Encoded
from tests.families import tiny
from tests.families.contract.scene import ANSWERS, ASKS

LONG = "a wing with dark spots and pale stripes " * 30
TEXTS = ["A", "", LONG, "a coin", *(f"a wing with {n} spots " * (1 + n % 7) for n in range(20))]
CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module", params=sorted(tiny.BUILDERS))
def tuned(request: pytest.FixtureRequest, checkpoints: Callable[[str], Path]) -> Vlm:
    """Each family with an adapter that does something."""
    return with_adapter(Vlm.load(str(checkpoints(request.param)), device="cpu", quantize="none"))


@pytest.fixture
def toy() -> Vlm:
    return with_adapter(Vlm.load("toy-vlm", device="cpu", quantize="none"))


def with_adapter(vlm: Vlm) -> Vlm:
    vlm.attach_lora(r=2, alpha=4, dropout=0.0, seed=0)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in vlm.model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=noise) / 20)
    return vlm


def padded(vlm: Vlm, encoded: Encoded, features: list[Tensor]) -> States:
    """What embed_step promises, out of a padded pass of each kind."""
    hidden, kept = vlm.hidden_states(encoded.inputs, features), encoded.labels[:, 1:] >= 0
    return States(
        hidden[:, :-1][kept],
        encoded.labels[:, 1:][kept],
        vlm.embed_objects(encoded.inputs, features),
        vlm.embed_texts(TEXTS, bucket=False),
    )


def packed(vlm: Vlm, encoded: Encoded, features: list[Tensor]) -> States:
    return vlm.embed_step(encoded.inputs, features, TEXTS, labels=encoded.labels)


def gradients(vlm: Vlm, make: Callable[..., States]) -> tuple[States, dict[str, Tensor]]:
    vlm.model.zero_grad()
    encoded = vlm.encode(ASKS, ANSWERS)
    states = make(vlm, encoded, vlm.image_features(encoded.inputs))
    weights = torch.Generator().manual_seed(2)
    parts = (states.answers, states.objects, states.texts)
    torch.stack([(p * torch.randn(p.shape, generator=weights)).sum() for p in parts]).sum().backward()
    return states, {n: p.grad for n, p in vlm.model.named_parameters() if p.grad is not None}


def assert_alike(found: States, expected: States) -> None:
    for name in ("answers", "objects", "texts"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), **CLOSE)
    assert torch.equal(found.targets, expected.targets)


@contextmanager
def passes(vlm: Vlm) -> Iterator[list[int]]:
    """Grows with each pass of the text model."""
    found: list[int] = []
    handle = vlm.base_model.get_decoder().register_forward_hook(lambda *_: found.append(1))
    yield found
    handle.remove()


def test_one_packed_pass_gives_the_states_and_gradients_of_padded_passes(tuned: Vlm) -> None:
    assert packing.isolates(tuned.base_model, tuned.family)
    expected, of_padded = gradients(tuned, padded)
    with passes(tuned) as n_passes:
        found, of_packed = gradients(tuned, packed)
    assert len(n_passes) == 1
    assert_alike(found, expected)
    assert of_packed.keys() == of_padded.keys()
    for name, gradient in of_packed.items():
        assert (gradient - of_padded[name]).norm() <= 1e-5 * of_padded[name].norm(), name


def test_a_packed_vector_does_not_depend_on_its_companions(tuned: Vlm) -> None:
    inputs, one = tuned.encode(ASKS, ANSWERS).inputs, tuned.encode(ASKS[1:2], ANSWERS[1:2]).inputs
    companions = [f"a wing with {n} spots " * (1 + n % 7) for n in range(40)]
    with torch.no_grad():
        alone = tuned.embed_step(one, tuned.image_features(one), ["a coin"])
        among = tuned.embed_step(
            inputs, tuned.image_features(inputs), [*companions[:20], "a coin", *companions[20:]]
        )
    torch.testing.assert_close(among.texts[20:21], alone.texts, **CLOSE)
    torch.testing.assert_close(among.objects[1:2], alone.objects, **CLOSE)
    assert len(among.texts) == 41
    assert len(among.answers) == len(among.targets) == 0


def test_what_is_not_asked_for_has_no_rows(toy: Vlm) -> None:
    encoded = toy.encode(ASKS, ANSWERS)
    features = toy.image_features(encoded.inputs)
    states = toy.embed_step(encoded.inputs, features, labels=encoded.labels, objects=False)
    assert [len(states.objects), len(states.texts)] == [0, 0]
    assert len(states.answers) == len(states.targets) > 0
    none = toy.embed_step({}, [], objects=False)
    assert none.answers.shape == none.objects.shape == none.texts.shape == (0, states.answers.shape[1])


def test_gradient_checkpointing_changes_no_gradient(toy: Vlm) -> None:
    toy.model.train()
    _, expected = gradients(toy, packed)
    toy.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    _, found = gradients(toy, packed)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], **CLOSE)


def test_a_window_over_the_last_tokens_is_kept(toy: Vlm) -> None:
    before, _ = gradients(toy, padded)
    toy.base_model.get_decoder().config.sliding_window = 8
    expected, _ = gradients(toy, padded)
    assert (expected.texts - before.texts).abs().max() > 1e-3
    found, _ = gradients(toy, packed)
    assert_alike(found, expected)


def test_a_text_model_that_lets_packed_texts_see_each_other_is_driven_by_padded_passes(
    toy: Vlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = gradients(toy, padded)
    apart = attention.groups_of
    monkeypatch.setattr(attention, "groups_of", lambda lengths, device: apart([sum(lengths)], device))
    with passes(toy) as n_passes:
        found, _ = gradients(toy, packed)
    assert not packing.isolates(toy.base_model, toy.family)
    assert len(n_passes) > 3
    assert_alike(found, expected)


def test_other_kinds_of_attention_are_driven_by_padded_passes(toy: Vlm) -> None:
    toy.base_model.get_decoder().config._attn_implementation = "eager"
    expected, _ = gradients(toy, padded)
    found, _ = gradients(toy, packed)
    assert not packing.isolates(toy.base_model, toy.family)
    assert_alike(found, expected)


def test_a_copy_of_a_model_that_was_packed_is_packed(toy: Vlm) -> None:
    expected, _ = gradients(toy, packed)
    again = deepcopy(toy)
    found, _ = gradients(again, packed)
    assert packing.isolates(again.base_model, again.family)
    assert_alike(found, expected)


def test_answers_are_what_they_were_before_a_packed_pass(toy: Vlm) -> None:
    fresh = deepcopy(toy)
    gradients(toy, packed)
    assert toy.generate(ASKS, max_new_tokens=6) == fresh.generate(ASKS, max_new_tokens=6)
    assert torch.equal(toy.choose(ASKS, ["A", "B"]), fresh.choose(ASKS, ["A", "B"]))
