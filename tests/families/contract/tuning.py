"""What a family learns: where the adapter lies, what reaches it, and that it comes back as it was saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fgvr_kit.families.base import Vlm
from tests.families.contract.scene import ANSWERS, ASKS, LETTERS
from tests.families.contract.vectors import answer_loss

LORA: dict[str, Any] = {"r": 2, "alpha": 4, "dropout": 0.0, "seed": 0}


def shake(vlm: Vlm) -> None:
    """Move what is trained away from its start."""
    torch.manual_seed(5)
    with torch.no_grad():
        for _, weight in sorted(trained(vlm).items()):
            weight.add_(0.05 * torch.randn_like(weight))


def trained(vlm: Vlm) -> dict[str, torch.nn.Parameter]:
    return {n: p for n, p in vlm.model.named_parameters() if p.requires_grad}


class Tuning:
    def test_the_adapter_lies_on_text_model_and_connector_only(self, fresh: Callable[..., Vlm]) -> None:
        vlm = fresh()
        vlm.attach_lora(**LORA)
        places = {id(module): name for name, module in vlm.base_model.named_modules()}
        text = places[id(vlm.base_model.get_decoder())]
        rooms = {text: 0} | dict.fromkeys(vlm.family.connector, 0)
        for name, weight in vlm.base_model.named_parameters():
            if weight.requires_grad:
                room = next((room for room in rooms if name.startswith(f"{room}.")), None)
                assert room, f"{name} is trained"
                rooms[room] += 1
        assert rooms[text] == 2 * 2 * 7  # layers x (A, B) x Linear
        assert all(rooms.values())
        eyes = [w for n, w in vlm.base_model.named_parameters() if vlm.family.is_eye(n)]
        assert eyes
        assert not any(weight.requires_grad for weight in eyes)

    def test_every_loss_reaches_the_adapter(self, fresh: Callable[..., Vlm]) -> None:
        vlm = fresh()
        vlm.attach_lora(**LORA)
        vlm.model.train()
        encoded = vlm.encode(ASKS, ANSWERS)
        answer_loss(vlm, encoded.inputs, encoded.labels).backward()
        weights = {n: p for n, p in trained(vlm).items() if "lora_A" not in n}  # of B = 0, A has no gradient
        assert [n for n, p in weights.items() if p.grad is None or not p.grad.any()] == []
        bridge = [p for n, p in weights.items() if vlm.family.is_bridge(n.removeprefix("base_model.model."))]
        assert bridge
        vlm.model.zero_grad()
        vlm.embed_objects(encoded.inputs, vlm.image_features(encoded.inputs)).sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in bridge)
        vlm.model.zero_grad()
        vlm.embed_texts(["a coin"]).sum().backward()
        assert any(p.grad is not None and p.grad.any() for p in weights.values())
        assert all(p.grad is None or not p.grad.any() for p in bridge)

    def test_the_loss_falls(self, fresh: Callable[..., Vlm]) -> None:
        vlm = fresh()
        vlm.attach_lora(**{**LORA, "r": 8, "alpha": 16})
        vlm.model.train()
        encoded = vlm.encode(ASKS, ANSWERS)
        optimizer = torch.optim.AdamW(trained(vlm).values(), lr=1e-2)
        losses: list[float] = []
        for _ in range(6):
            loss = answer_loss(vlm, encoded.inputs, encoded.labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        assert losses[-1] < losses[0] - 0.25

    def test_it_answers_and_learns_in_bf16(self, fresh: Callable[..., Vlm], tmp_path: Path) -> None:
        """As it is loaded on a GPU: the base in bf16, the adapter in 32 bit, autocast in training alone."""
        vlm = fresh()
        whole = vlm.choose(ASKS, LETTERS)
        vlm.model.to(torch.bfloat16)
        assert (vlm.choose(ASKS, LETTERS) - whole).abs().max() < 0.3
        vlm.attach_lora(**LORA)
        assert {weight.dtype for weight in trained(vlm).values()} == {torch.float32}
        vlm.model.train()
        encoded = vlm.encode(ASKS, ANSWERS)
        with torch.autocast("cpu", torch.bfloat16):
            loss = answer_loss(vlm, encoded.inputs, encoded.labels)
            loss = loss + vlm.embed_objects(encoded.inputs, vlm.image_features(encoded.inputs)).float().mean()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained(vlm).values())
        shake(vlm)
        tuned = vlm.choose(ASKS, LETTERS)
        vlm.generate(ASKS, max_new_tokens=2)
        assert (vlm.merged(tmp_path / "merged", ASKS)).difference < 0.3
        assert (vlm.choose(ASKS, LETTERS) - tuned).abs().max() < 0.3

    def test_gradients_are_the_same_when_activations_are_computed_twice(
        self, fresh: Callable[..., Vlm]
    ) -> None:
        vlm = fresh()
        vlm.attach_lora(**LORA)
        shake(vlm)
        vlm.model.train()
        encoded = vlm.encode(ASKS, ANSWERS)
        found: list[dict[str, torch.Tensor]] = []
        for twice in (False, True):
            if twice:
                options = {"use_reentrant": False}
                vlm.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
            layer = vlm.base_model.get_decoder().layers[0]
            passes: list[int] = []
            hook = layer.mlp.register_forward_pre_hook(lambda *_, n=passes: n.append(1))
            vlm.model.zero_grad()
            answer_loss(vlm, encoded.inputs, encoded.labels).backward()
            hook.remove()
            assert len(passes) == (2 if twice else 1)
            found.append({n: p.grad.clone() for n, p in trained(vlm).items() if p.grad is not None})
        assert found[0].keys() == found[1].keys() == trained(vlm).keys()
        for name, gradient in found[0].items():
            torch.testing.assert_close(found[1][name], gradient, atol=1e-6, rtol=1e-4)

    @pytest.mark.parametrize("how", ["lora", "dora", "full"])
    def test_what_was_trained_answers_the_same_when_loaded(
        self, fresh: Callable[..., Vlm], tmp_path: Path, how: str
    ) -> None:
        vlm = fresh()
        before = vlm.choose(ASKS, LETTERS)
        if how == "full":
            vlm.unfreeze()
        else:
            vlm.attach_lora(r=2, alpha=4, dropout=0.1, seed=3, dora=how == "dora")
        torch.testing.assert_close(vlm.choose(ASKS, LETTERS), before)  # a new adapter changes nothing
        shake(vlm)
        tuned = vlm.choose(ASKS, LETTERS)
        assert (tuned - before).abs().max() > 1e-3
        vlm.save_adapter(tmp_path / "adapter")
        again = fresh(adapter=tmp_path / "adapter")
        assert torch.equal(again.choose(ASKS, LETTERS), tuned)
        assert again.generate(ASKS[:2], max_new_tokens=4) == vlm.generate(ASKS[:2], max_new_tokens=4)
        if how == "full":
            again.unfreeze()
        assert again.trainable_parameters() == vlm.trainable_parameters()

    def test_full_training_leaves_the_vision_tower_alone(self, fresh: Callable[..., Vlm]) -> None:
        vlm = fresh()
        vlm.unfreeze()
        still = {n for n, p in vlm.model.named_parameters() if not p.requires_grad}
        assert still == {n for n, _ in vlm.model.named_parameters() if vlm.family.is_eye(n)}
        assert any(vlm.family.is_bridge(n) for n in trained(vlm))

    def test_a_merged_adapter_is_a_checkpoint_that_says_the_same(
        self, fresh: Callable[..., Vlm], tmp_path: Path
    ) -> None:
        vlm = fresh()
        vlm.attach_lora(**LORA)
        shake(vlm)
        tuned = vlm.choose(ASKS, LETTERS)
        merged = vlm.merged(tmp_path / "merged", ASKS)
        assert merged.largest > 0.1
        assert merged.difference < 1e-4 * merged.largest
        again = Vlm.load(str(tmp_path / "merged"), device="cpu")
        for one in (vlm, again):
            assert not one.has_adapter
            torch.testing.assert_close(one.choose(ASKS, LETTERS), tuned, atol=1e-4, rtol=1e-4)
        again.attach_lora(**LORA)
