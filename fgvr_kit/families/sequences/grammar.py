"""Replies that cannot break a JSON schema: tokens that would are masked away (llguidance)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from fgvr_kit.families.base import Ask, Vlm

# As models write JSON by themselves; free white space would let a weak one write nothing else.
_JSON: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Vocabulary:
    """A model's tokens as llguidance sees them; made once a model (up to a second).

    tokens: None where that is not possible; why: the reason, as it stands beside replies.
    """

    def __init__(self, vlm: Vlm) -> None:
        self.tokens: Any = None
        self.why = ""
        try:
            from llguidance import hf
        except ImportError:
            self.why = "llguidance is not installed"
            return
        n = int(vlm.base_model.get_output_embeddings().weight.shape[0])
        try:
            self.tokens = hf.from_tokenizer(vlm.tokenizer, n_vocab=n, eos_token=sorted(vlm.stop))
        except Exception as error:  # whatever it cannot take: Rust tells by ValueError, panics by their own
            self.why = f"llguidance cannot read this tokenizer: {_first(error)}"

    def matcher(self, ask: Ask) -> tuple[Any, str | None]:
        """What masks the answer to ask, and, where there is nothing that could, the reason."""
        if ask.schema is None and not ask.among:
            return None, None
        if self.tokens is None:
            return None, f"schema not enforced: {self.why}"
        from llguidance import LLMatcher

        if ask.among:
            grammar = LLMatcher.grammar_from_regex("|".join(re.escape(word) for word in ask.among))
        else:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(ask.schema), defaults=_JSON)
        matcher = LLMatcher(self.tokens, grammar, log_level=0)
        if matcher.is_error():
            return None, f"schema not enforced: {_first(matcher.get_error())}"
        return matcher, None


class Grammar:
    """A logits processor: row n may only continue as matchers[n] allows; None allows everything.

    Matchers move with the text: new ones for each call of generate. start: tokens of the prompt.  stop: the
    tokens that end an answer; nothing else may follow what is complete.
    """

    def __init__(self, matchers: Sequence[Any], start: int, stop: Collection[int]) -> None:
        self._matchers = dict(enumerate(matchers))
        self._start = start
        self._stop = sorted(stop)
        self._complete: set[int] = set()

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """ids: (B, T) prompt and answer so far.  scores: (B, V), -inf in place where no token may stand."""
        if ids.shape[1] > self._start:
            for n, token in enumerate(ids[:, -1].tolist()):
                self._move(n, token)
        rows = [n for n, matcher in self._matchers.items() if matcher is not None]
        if rows:
            allowed = _bits([self._matchers[n].compute_bitmask() for n in rows], scores)
            scores[rows] = scores[rows].masked_fill(~allowed, float("-inf"))
        for n in self._complete:
            ends = scores[n, self._stop]
            scores[n] = float("-inf")
            scores[n, self._stop] = ends
        return scores

    def _move(self, n: int, token: int) -> None:
        matcher = self._matchers[n]
        if matcher is None:
            return
        matcher.consume_token(token)
        if matcher.is_stopped():
            self._matchers[n] = None
            if not matcher.is_error():
                self._complete.add(n)


def _bits(masks: Sequence[bytes], scores: Tensor) -> Tensor:
    """(rows, V) bool from little-endian bit masks."""
    import torch

    packed = torch.frombuffer(bytearray(b"".join(masks)), dtype=torch.uint8).to(scores.device)
    places = torch.arange(8, dtype=torch.uint8, device=scores.device)
    bits = (packed.view(len(masks), -1, 1) >> places) & 1
    return bits.flatten(1)[:, : scores.shape[1]].bool()


def _first(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
