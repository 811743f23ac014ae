"""The training of the toy CLIP on picture and caption; it goes on where it was killed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from examples.toy import clip_captions as captions
from examples.toy import clip_model, learning
from examples.toy.plan import HELD_OUT_SEED
from fgvr_kit.toy.world import scenes
from fgvr_kit.toy.world.facts import Facts

SEED = 2  # other worlds than the VLM's
_ROWS = 128
_ATTRIBUTES = 6
_RATE = 1.5e-3
_WARM = 50
_SAVE_SECONDS = 120.0
_SHOW_STEPS = 20


class ClipTraining:
    """What is trained, and how far it is. steps decide the weights with the VLM's state that it starts from."""

    def __init__(self, folder: Path, tokenizer: Any, vlm: dict[str, Any], steps: int, device: str) -> None:
        self.folder, self.steps, self.device = folder, steps, device
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(SEED)
        self.clip = clip_model.new(vlm, len(tokenizer)).to(device)
        self._words = clip_model.words(tokenizer)
        slow, fast = [], []
        for name, one in self.clip.named_parameters():
            (slow if name.startswith("visual.") and name.split(".")[-1] != "proj" else fast).append(one)
        groups = [{"params": slow, "rate": 0.3 * _RATE}, {"params": fast, "rate": _RATE}]
        self._optimizer = torch.optim.AdamW(groups, lr=_RATE, betas=(0.9, 0.98), weight_decay=0.02)
        self.step = 0
        self._resume()

    def run(self, until: float | None = None) -> None:
        """All steps that are left, or those before time.monotonic() is `until`."""
        saved = time.monotonic()
        losses: list[tuple[float, float]] = []
        while self.step < self.steps and (until is None or time.monotonic() < until):
            losses.append(self._one_step())
            self.step += 1
            if self.step % _SHOW_STEPS == 0:
                captions_loss, lines_loss = (
                    round(float(np.mean(one)), 4) for one in zip(*losses, strict=True)
                )
                self._tell(
                    {"step": self.step, "of": self.steps, "captions": captions_loss, "lines": lines_loss}
                )
                losses = []
            if self.step % (10 * _SHOW_STEPS) == 0 or self.step == self.steps:
                self._tell({"step": self.step, "held out": self.measure()})
            if time.monotonic() - saved > _SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        self._save()

    def _one_step(self) -> tuple[float, float]:
        share = min(1.0, (self.step + 1) / _WARM) * min(1.0, 2 * (self.steps - self.step) / self.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * share
        rng = np.random.default_rng([SEED, self.step])
        facts, pixels = self._pictures(SEED, self.step * _ROWS, _ROWS)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16):
            images = self.clip.encode_image(pixels, normalize=True).float()
            contrast = self._contrast(images, [captions.caption(one, rng) for one in facts])
            lines = self._lines(images, facts, rng)
            loss = contrast + lines
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.clip.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.clip.logit_scale.clamp_(max=float(np.log(100)))
        return float(contrast.detach()), float(lines.detach())

    def _contrast(self, images: Tensor, told: list[str]) -> Tensor:
        """Symmetric InfoNCE; a caption that another picture has too is a right answer for both."""
        logits = self.clip.logit_scale.exp() * images @ self._texts(told).T
        same = torch.tensor([[a == b for b in told] for a in told], device=logits.device).float()
        wanted = same / same.sum(dim=1, keepdim=True)
        return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2

    def _lines(self, images: Tensor, facts: list[Facts], rng: np.random.Generator) -> Tensor:
        """Which of the lines of an attribute's values is right, for some attributes."""
        pairs = captions.asked(facts, rng, _ATTRIBUTES)
        told = [captions.lines(attribute, kind, rng) for kind, attribute in pairs]
        vectors = self._texts([line for one in told for line in one]).split([len(one) for one in told])
        losses = []
        for (kind, attribute), of_values in zip(pairs, vectors, strict=True):
            right = torch.from_numpy(captions.numbers(facts, kind, attribute)).to(images.device)
            logits = self.clip.logit_scale.exp() * images @ of_values.T
            losses.append(F.cross_entropy(logits, right, ignore_index=-100))
        return torch.stack(losses).mean()

    def _texts(self, told: list[str]) -> Tensor:
        ids = self._words(
            told, padding="max_length", truncation=True, max_length=clip_model.CONTEXT, return_tensors="pt"
        )
        return self.clip.encode_text(ids["input_ids"].to(self.device), normalize=True).float()

    def _pictures(self, seed: int, first: int, rows: int) -> tuple[list[Facts], Tensor]:
        found = [scenes.scene(seed, first + n) for n in range(rows)]
        return [one.facts for one in found], learning.pixels(
            np.stack([one.pixels for one in found]), self.device
        )

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """On worlds never trained on: the right caption among 64 (chance 0.016), the right value of attributes."""
        rng = np.random.default_rng(0)
        facts, pixels = self._pictures(HELD_OUT_SEED, 0, 256)
        images = self.clip.encode_image(pixels, normalize=True)
        told = self._texts([captions.caption(one, rng) for one in facts])
        right = [(images[k : k + 64] @ told[k : k + 64].T).argmax(dim=1) == torch.arange(64, device=self.device)
                 for k in range(0, 256, 64)]  # fmt: skip
        found = {"caption": round(float(torch.cat(right).float().mean()), 3)}
        for kind, attribute in (
            ("coin", "colour"),
            ("coin", "marking"),
            ("coin", "second"),
            ("coin", "background"),
        ):
            wanted = captions.numbers(facts, kind, attribute)
            answer = (
                (images @ self._texts(captions.lines(attribute, kind, rng)).T).argmax(dim=1).cpu().numpy()
            )
            found[f"{kind} {attribute}"] = round(float((answer == wanted)[wanted >= 0].mean()), 3)
        return found

    def _tell(self, line: dict[str, Any]) -> None:
        text = json.dumps({"clip": line})
        print(text, flush=True)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def _save(self) -> None:
        draft = self.folder / f".state.{os.getpid()}.pt"
        held = {"step": self.step, "model": self.clip.state_dict(), "optimizer": self._optimizer.state_dict()}
        torch.save(held, draft)
        draft.replace(self.folder / "state.pt")

    def _resume(self) -> None:
        path = self.folder / "state.pt"
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.clip.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
