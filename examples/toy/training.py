"""The training of the toy VLM: first it learns to see, then to answer. It goes on where it was killed."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from examples.toy import attention, learning, model, tokens
from examples.toy.feeding import Feed
from examples.toy.packing import ATTRIBUTES, Packer
from examples.toy.plan import HELD_OUT_SEED, SEED, Plan

_SAVE_SECONDS = 120.0
_SHOW_STEPS = 20
_MEASURE_STEPS = 150
_FIRST = 400
"""Pictures that the patches start from."""
_LOSSES = ("facts", "where", "words")


class Training:
    """What is trained, and how far it is."""

    def __init__(self, folder: Path, plan: Plan, device: str, workers: int = 0) -> None:
        """workers: processes that draw ahead; they change nothing but the pace."""
        self.folder, self.plan, self.device = folder, plan, device
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer = tokens.kept(folder / "words")
        self.packer = Packer(self.tokenizer)
        torch.manual_seed(SEED)
        self.model = model.new(self.tokenizer).to(device)
        model.open_eyes(self.model, learning.pixels(self.packer.pictures(SEED, 0, _FIRST).pixels, device))
        self.readers = learning.Readers(model.WIDTH, model.VISION_WIDTH).to(device)
        if device == "cpu":
            attention.switch_on(self.model)
        matrices, patches, others = learning.parameters(self.model, self.readers)
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices, lr=plan.matrix_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(patches, lr=plan.patch_rate, betas=(0.9, 0.98), weight_decay=0.0),
            torch.optim.AdamW(others, lr=plan.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.step = 0
        self._resume()
        self._feed = Feed(self.packer, plan, workers)

    def run(self, until: float | None = None) -> None:
        """All steps that are left, or those before time.monotonic() is `until`."""
        saved = shown = time.monotonic()
        losses: list[dict[str, float]] = []
        while self.step < self.plan.steps and (until is None or time.monotonic() < until):
            losses.append(self._one_step())
            self.step += 1
            if self.step % _SHOW_STEPS == 0:
                now = time.monotonic()
                told = {name: _mean([one[name] for one in losses if name in one]) for name in _LOSSES}
                self._tell(
                    {"step": self.step, "of": self.plan.steps, "seconds": round(now - shown, 1), **told}
                )
                losses, shown = [], now
            if self.step % _MEASURE_STEPS == 0 or self.step == self.plan.steps:
                self._tell({"step": self.step, "held out": self.measure()})
                shown = time.monotonic()
            if time.monotonic() - saved > _SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        self._save()

    def _one_step(self) -> dict[str, float]:
        rows, length = self.plan.shape(self.step)
        share = self.plan.rate(self.step)
        rates = (self.plan.matrix_rate, self.plan.patch_rate, self.plan.other_rate)
        for optimizer, rate in zip(self._optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * share
        with self._autocast():
            losses = self._losses(rows, length)
            loss = sum(losses.values())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([*self.model.parameters(), *self.readers.parameters()], 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return {name: float(one.detach()) for name, one in losses.items()}

    def _losses(self, rows: int, length: int) -> dict[str, Tensor]:
        batch = self._feed.batch(self.step)
        patches, states = learning.image_states(self.model, learning.pixels(batch.pixels, self.device))
        facts, _ = learning.facts_loss(self.readers, states, torch.from_numpy(batch.facts).to(self.device))
        where = learning.layers_loss(self.readers, patches, torch.from_numpy(batch.layers).to(self.device))
        if length == 0:
            return {"facts": facts, "where": where}
        share = self.plan.facts_weight
        words = learning.words_loss(self.model, states, batch)
        return {"words": words, "facts": share * facts, "where": share * where}

    @torch.no_grad()
    def measure(self) -> dict[str, Any]:
        """On worlds never trained on: the share of facts read right, and of answers right by task."""
        with self._autocast():
            told: dict[str, Any] = {"easy": self._facts(1.0), "all": self._facts(0.0)}
            if self.step > self.plan.look_steps:
                told["answers"] = self._answers()
        return told

    def _facts(self, easy: float) -> dict[str, float]:
        seen = self.packer.pictures(HELD_OUT_SEED, 0, 256, easy)
        _, states = learning.image_states(self.model, learning.pixels(seen.pixels, self.device))
        _, counts = learning.facts_loss(self.readers, states, torch.from_numpy(seen.facts).to(self.device))
        right, asked = counts.sum(dim=0).tolist()
        pairs = zip(ATTRIBUTES, counts.tolist(), strict=True)
        return {"facts": round(right / asked, 4), **{name: round(r / max(n, 1), 3) for name, (r, n) in pairs}}

    def _answers(self) -> dict[str, float]:
        found: dict[str, list[bool]] = defaultdict(list)
        for n in range(5):
            rows, length = (self.plan.long_rows, self.plan.long_length) if n == 4 else (64, self.plan.length)
            batch = self.packer.batch(HELD_OUT_SEED, 1000 * (n + 1), rows, length)
            _, states = learning.image_states(self.model, learning.pixels(batch.pixels, self.device))
            for turn, is_right in learning.answered(self.model, states, batch):
                found[turn.task].append(is_right)
        return {task: round(float(np.mean(rights)), 3) for task, rights in sorted(found.items())}

    def _autocast(self) -> Any:
        return torch.autocast(self.device.split(":")[0], torch.bfloat16)

    def _tell(self, line: dict[str, Any]) -> None:
        text = json.dumps(line)
        print(text, flush=True)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    # --- resuming -------------------------------------------------------------------------------------------

    def _save(self) -> None:
        """Whole or not at all: a draft takes the checkpoint's place."""
        draft = self.folder / f".state.{os.getpid()}.pt"
        torch.save(self._state(), draft)
        draft.replace(self.folder / "state.pt")

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "plan": asdict(self.plan),
            "model": self.model.state_dict(),
            "readers": self.readers.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }

    def _resume(self) -> None:
        path = self.folder / "state.pt"
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if differs := self._differs(state["plan"]):
            raise SystemExit(f"{path} was trained by another plan: {differs}")
        self.model.load_state_dict(state["model"])
        self.readers.load_state_dict(state["readers"])
        for optimizer, held in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(held)
        self.step = state["step"]

    def _differs(self, plan: dict[str, Any]) -> dict[str, Any]:
        """What another plan says otherwise; how long it talks may change while the rates stand still."""
        mine = asdict(self.plan)
        return {name: value for name, value in plan.items() if value != mine[name] and name != "talk_steps"}


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None
