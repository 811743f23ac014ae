"""Embeddings of negative texts that are used again: those of the last few optimizer steps.

As a queue of keys is (He et al. 2020, MoCo), but looked up by the text: nothing is a negative that the batch
does not ask for, and an entry that has grown too old is embedded anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from fgvr_kit.errors import ModelError

FILES = _TENSORS, _WORDS = "bank.safetensors", "bank.json"


class Bank:
    """text -> its vector, for as long as it is fresh. Lies in the main memory, in float32."""

    def __init__(self, steps: int) -> None:
        """steps: an entry serves the optimizer step that made it and the steps - 1 that follow; 0: none."""
        self.steps = steps
        self.now = 0
        self._entries: dict[str, tuple[int, Tensor]] = {}

    def __contains__(self, text: object) -> bool:
        return text in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def next_step(self) -> None:
        """An optimizer step begins: what is too old for it is forgotten."""
        self.now += 1
        self._entries = {
            text: (made, vector)
            for text, (made, vector) in self._entries.items()
            if self.now - made < self.steps
        }

    def put(self, texts: Sequence[str], vectors: Tensor) -> None:
        """Keep what was just embedded: (N, H)."""
        if self.steps:
            rows = vectors.detach().float().cpu()
            self._entries |= {text: (self.now, row.clone()) for text, row in zip(texts, rows, strict=True)}

    def rows(self, texts: Sequence[str], like: Tensor) -> Tensor:
        """(N, D): vectors of texts that it holds, as wide as the rows of like and in the same place."""
        if not texts:
            return like[:0]
        return torch.stack([self._entries[text][1] for text in texts]).to(like.device)

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint, exactly."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        texts = list(self._entries)
        vectors = torch.stack([self._entries[t][1] for t in texts]) if texts else torch.zeros(0, 0)
        save_file({"vectors": vectors}, folder / _TENSORS)
        words = {"now": self.now, "texts": texts, "made": [self._entries[t][0] for t in texts]}
        (folder / _WORDS).write_text(json.dumps(words, ensure_ascii=False) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over what save wrote. Raises ModelError when a file is missing or broken."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            words = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
            vectors = load_file(folder / _TENSORS)["vectors"]
        except (OSError, KeyError, json.JSONDecodeError, SafetensorError) as error:
            raise ModelError(
                "the bank of negatives of this checkpoint cannot be read",
                code="bank-missing",
                where=str(folder),
                why=f"{type(error).__name__}: {error}",
                hint="remove the checkpoint, and training goes on from the one before it",
            ) from error
        self.now = words["now"]
        self._entries = dict(
            zip(words["texts"], zip(words["made"], vectors.unbind(), strict=True), strict=True)
        )
