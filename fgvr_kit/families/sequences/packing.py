"""Many sequences in one pass of the text model, one behind the other in one row, without any padding.

Each sees itself alone: attention takes them in groups of like length (attention.py). Not every text model can
be driven so (other kinds of attention, layers that mix tokens by other means, a window): whether one can is
found out by comparing, once a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from fgvr_kit.families.sequences.decoder import decode, image_token_id

if TYPE_CHECKING:
    from torch import Tensor

    from fgvr_kit.families import Family
    from fgvr_kit.families.sequences.attention import Group

_PROBES = (5, 9, 40, 41)
"""Tokens of the sequences that a model is tried with: two groups, one of unequal lengths."""
_isolating: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Segment:
    """ids: n tokens.  features: of the images among them.  positions: (3, n), M-RoPE with images; else counted."""

    ids: Sequence[int]
    features: Tensor | None = None
    positions: Tensor | None = None


def segments(
    inputs: Mapping[str, Any], features: Sequence[Tensor], positions: Tensor | None
) -> list[Segment]:
    """The rows of a right-padded batch without their padding. positions: (3, B, T) or None."""
    lengths = inputs["attention_mask"].sum(dim=1).tolist()
    return [
        Segment(ids[:length], features[n], None if positions is None else positions[:, n, :length])
        for n, (ids, length) in enumerate(zip(inputs["input_ids"].tolist(), lengths, strict=True))
    ]


def isolates(model: Any, family: Family) -> bool:
    """Whether packed sequences have the states that they have alone; found out once a model.

    Compared with what they have in one common sequence: that is right in any precision. The model's kind of
    attention is "sdpa_of_groups" from then on, which is "sdpa" wherever nothing is packed.
    """
    import torch

    from fgvr_kit.families.sequences import attention

    decoder = model.get_decoder()
    if decoder in _isolating:
        return _isolating[decoder]
    before, was_training = decoder.config._attn_implementation, decoder.training
    if before not in ("sdpa", attention.NAME):
        return False
    decoder.config._attn_implementation = attention.NAME
    decoder.eval()
    with torch.no_grad():
        _isolating[decoder] = _tried(model, family)
    decoder.train(was_training)
    if not _isolating[decoder]:
        decoder.config._attn_implementation = "sdpa"
    return _isolating[decoder]


def lay_out(parts: Sequence[Segment]) -> list[int]:
    """Where each segment begins in the row, in the order given: the row holds them by their lengths."""
    starts, end = [0] * len(parts), 0
    for n in _by_length(parts):
        starts[n], end = end, end + len(parts[n].ids)
    return starts


def run(
    model: Any, family: Family, parts: Sequence[Segment], places: Sequence[int], *, apart: bool = True
) -> Tensor:
    """(N, H): last hidden states, after the final norm, at places of the row, out of one pass.

    apart: False makes one segment of all, for comparison.
    """
    import torch

    from fgvr_kit.families.sequences import attention

    device = model.get_input_embeddings().weight.device
    ordered = [parts[n] for n in _by_length(parts)]
    lengths = [len(part.ids) for part in ordered]
    words = torch.tensor([[token for part in ordered for token in part.ids]], device=device)  # (1, T)
    features = [part.features for part in ordered if part.features is not None]
    groups = attention.groups_of(lengths if apart else [sum(lengths)], device)
    if family.whole_images and features:
        groups = _with_images(groups, words[0] == image_token_id(model))
    chosen = torch.tensor(places, device=device)
    with _last_states(model.get_decoder(), chosen, words.shape[1]):
        hidden = decode(
            model,
            family,
            words,
            features,
            # Four dimensions are taken as they are: no mask is made of it, and attention does not look at it.
            torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=device),
            positions=_positions(family, ordered, device),
            groups=groups,
        )
    return hidden[0].index_select(0, chosen)


def _by_length(parts: Sequence[Segment]) -> list[int]:
    return sorted(range(len(parts)), key=lambda n: len(parts[n].ids))


@contextmanager
def _last_states(decoder: Any, places: Tensor, n: int) -> Iterator[None]:
    """The MLP of the last layer, most of what a layer costs, at those of the n places alone; zeros elsewhere.

    Not under gradient checkpointing, which runs the layer again when this has ended.
    """
    mlp = getattr(decoder.layers[-1], "mlp", None) if hasattr(decoder, "layers") else None
    if mlp is None or (decoder.training and getattr(decoder, "gradient_checkpointing", False)):
        yield
        return

    def few(_: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (given[0].index_select(1, places), *given[1:])

    def everywhere(_: Any, given: tuple[Tensor, ...], found: Tensor) -> Tensor:
        return found.new_zeros(1, n, found.shape[-1]).index_copy(1, places, found)

    hooks = [mlp.register_forward_pre_hook(few), mlp.register_forward_hook(everywhere)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _positions(family: Family, parts: Sequence[Segment], device: Any) -> Tensor:
    """(1, T), or (3, 1, T) for M-RoPE: counted from 0 in each segment that does not bring its own."""
    import torch

    counted = [torch.arange(len(part.ids), device=device) for part in parts]
    if family.plain_positions:
        return torch.cat(counted)[None]
    grids = [
        count.expand(3, -1) if part.positions is None else part.positions
        for part, count in zip(parts, counted, strict=True)
    ]
    return torch.cat(grids, dim=1)[:, None]


def _with_images(groups: Sequence[Group], places: Tensor) -> list[Group]:
    """Groups in which the tokens of an image see all of it. places: (T,) bool; between two images stands something."""
    import torch

    begins = places & ~torch.nn.functional.pad(places, (1, 0))[:-1]
    numbers = torch.where(places, begins.cumsum(dim=0), 0)  # (T,) of the image; 0: none
    found = []
    for group, part in zip(groups, numbers.split([group.n_tokens for group in groups]), strict=True):
        rows = (part if group.into is None else part[group.into]).view(group.n, group.width)
        same = (rows[:, :, None] == rows[:, None, :]) & (rows > 0)[:, :, None]
        causal = torch.ones(group.width, group.width, dtype=torch.bool, device=places.device).tril()
        found.append(replace(group, mask=(same | causal)[:, None]) if bool(part.any()) else group)
    return found


def _tried(model: Any, family: Family) -> bool:
    """Sequences together, each alone, and as one."""
    import torch

    n_words = model.get_input_embeddings().weight.shape[0]
    words = [n for n in range(n_words // 7, n_words) if n != image_token_id(model)]
    parts = [Segment([words[(31 * n + 17 * k) % len(words)] for n in range(k)]) for k in _PROBES]
    try:
        together = run(model, family, parts, range(sum(_PROBES)))
        one = run(model, family, parts, range(sum(_PROBES)), apart=False)
    except (TypeError, ValueError):  # a text model that does not hand over what it is not asked for
        return False
    ids = [torch.tensor([part.ids], device=together.device) for part in parts]
    alone = torch.cat([decode(model, family, row, (), torch.ones_like(row))[0] for row in ids])
    return float((together - alone).float().norm()) < float((one - alone).float().norm()) / 10
