"""What a model writes: a batch of answers, each with its own limit, schema, temperature and seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fgvr_kit.families import sequences, turns
from fgvr_kit.families.sequences import prefix, reading
from fgvr_kit.families.sequences.grammar import Grammar
from fgvr_kit.families.sequences.reading import Reading

if TYPE_CHECKING:
    from torch import Tensor

    from fgvr_kit.families.base import Ask, Generated, Vlm

# A checkpoint's own generation settings (sampling, penalties) must not change greedy answers.
GREEDY: dict[str, Any] = {
    "do_sample": False, "num_beams": 1, "repetition_penalty": 1.0,
    "temperature": None, "top_p": None, "top_k": None,
}  # fmt: skip


class Halted(Exception):
    """Somebody asked to stop; what was written so far is not an answer."""


def write(
    vlm: Vlm, readings: Sequence[Reading], limits: Sequence[int], halt: Callable[[], bool]
) -> list[Generated]:
    """One call of generate for all. limits: most tokens of each answer. Raises Halted."""
    inputs = prefix.shared(vlm, readings, "left") or _inputs(vlm, readings)
    width = inputs["input_ids"].shape[1]
    n_read = [int(n) for n in inputs["attention_mask"].sum(dim=1).tolist()]
    vocabulary = vlm.vocabulary if any(r.ask.schema is not None or r.ask.among for r in readings) else None
    found = [vocabulary.matcher(r.ask) if vocabulary else (None, None) for r in readings]
    asks = [r.ask for r in readings]
    out = vlm.base_model.generate(
        **inputs,
        **GREEDY,
        max_new_tokens=max(limits),
        eos_token_id=sorted(vlm.stop),
        pad_token_id=turns.pad_id(vlm.tokenizer),
        logits_processor=_processors(vlm, [matcher for matcher, _ in found], asks, width),
        stopping_criteria=[Limit(limits, width, halt)],
    )
    if halt():
        raise Halted
    rows = out[:, width:].tolist()
    return [
        _generated(vlm, row[:limit], n, note)
        for row, limit, n, (_, note) in zip(rows, limits, n_read, found, strict=True)
    ]


class Limit:
    """A stopping criterion: row n ends after limits[n] tokens; everything ends when halt() says so."""

    def __init__(self, limits: Sequence[int], start: int, halt: Callable[[], bool]) -> None:
        self._limits = list(limits)
        self._start = start
        self._halt = halt

    def __call__(self, ids: Tensor, scores: Any, **_: Any) -> Tensor:
        import torch

        n, halted = ids.shape[1] - self._start, self._halt()
        return torch.tensor([halted or n >= limit for limit in self._limits], device=ids.device)


class Dice:
    """A logits processor that makes the greedy choice a sample from softmax(scores / temperature).

    Gumbel noise from a generator of each row's own: what a row says does not depend on its companions. Rows of
    temperature 0 stay greedy. The same seed gives another sample on another kind of device.
    """

    def __init__(self, asks: Sequence[Ask]) -> None:
        self._asks = asks
        self._sources: list[Any] = []

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """ids: (B, T).  scores: (B, V), changed in place."""
        import torch

        if not self._sources:
            self._sources = [torch.Generator(scores.device).manual_seed(ask.seed) for ask in self._asks]
        for n, (ask, source) in enumerate(zip(self._asks, self._sources, strict=True)):
            if ask.temperature > 0:
                drawn = torch.empty_like(scores[n]).exponential_(generator=source)
                scores[n] = scores[n] / ask.temperature - drawn.log()
        return scores


def _processors(vlm: Vlm, matchers: Sequence[Any], asks: Sequence[Ask], width: int) -> list[Any]:
    """The masks first: dice are thrown among what is allowed."""
    processors: list[Any] = []
    if any(matcher is not None for matcher in matchers):
        processors.append(Grammar(matchers, width, vlm.stop))
    if any(ask.temperature > 0 for ask in asks):
        processors.append(Dice(asks))
    return processors


def _inputs(vlm: Vlm, readings: Sequence[Reading]) -> dict[str, Any]:
    """What generate takes, padded on the left."""
    if vlm.family.by_parts:
        inputs, features = reading.batch(vlm, readings, "left")
        if any(len(one) for one in features):  # words alone need none, and some families take none
            inputs["inputs_embeds"] = sequences.embed(vlm.base_model, inputs["input_ids"], features)
    elif any(r.ask.images for r in readings):
        asks = [r.ask for r in readings]
        found = turns.process(
            vlm.processor, [r.prompt for r in readings], asks, side="left", max_pixels=vlm.max_pixels
        )
        inputs = {name: value.to(vlm.device) for name, value in found.items()}
    else:
        inputs, _ = reading.batch(vlm, readings, "left")
    return inputs


def weigh(vlm: Vlm, readings: Sequence[Reading], label_ids: Sequence[int]) -> Tensor:
    """(N, K): logits of the labels as the first token of the answer."""
    import torch

    if not vlm.family.by_parts:
        inputs = _inputs(vlm, readings)
        out = vlm.base_model.generate(
            **inputs, **GREEDY, max_new_tokens=1, pad_token_id=turns.pad_id(vlm.tokenizer),
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
        logits: Tensor = out.logits[0][:, list(label_ids)]
        return logits
    common = prefix.shared(vlm, readings, "right")
    if common is not None:
        return vlm.logits(prefix.last_states(vlm, common))[:, list(label_ids)]
    inputs, features = reading.batch(vlm, readings, "right")
    hidden = vlm.hidden_states(inputs, features)  # (N, T, H)
    last = inputs["attention_mask"].sum(dim=1) - 1
    rows = hidden[torch.arange(len(readings), device=hidden.device), last]
    return vlm.logits(rows)[:, list(label_ids)]


def _generated(vlm: Vlm, ids: list[int], n_read: int, note: str | None) -> Generated:
    from fgvr_kit.families.base import Generated

    stop = vlm.stop
    end = next((place for place, token in enumerate(ids) if token in stop), None)
    said = ids if end is None else ids[:end]
    text = vlm.tokenizer.decode(said, skip_special_tokens=True).strip()
    return Generated(
        text=text,
        finish_reason="length" if end is None else "stop",
        input_tokens=n_read,
        output_tokens=len(said) + (end is not None),
        note=note,
    )
