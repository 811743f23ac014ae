"""What a model reads: asks become token ids, with the features of their images computed once an image.

A picture is asked about many times over. Its way through image processor, vision tower and connector does not
depend on the question, so it is gone once; the ids of every further question are put together from the words
and from the tokens that the processor wrote for the images.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fgvr_kit.families import sequences, turns

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from fgvr_kit.families.base import Ask, Vlm

Key = tuple[str, ...]

_OF_EACH_IMAGE = ("image_grid_thw",)
"""What the processor tells of each image and positions are made from; one row an image."""
_BLANK = 28
"""Side of the image that stands in for one that was seen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The images of an ask, as the text model gets them.

    ids: from the first image token to the last, with what stands between.  features: (n_tokens, H), on the
    device.  grids: what positions are made from.
    """

    ids: tuple[int, ...]
    features: Tensor
    grids: Mapping[str, Tensor]

    @property
    def n_bytes(self) -> int:
        return int(self.features.numel() * self.features.element_size())


@dataclass(frozen=True, slots=True)
class Reading:
    """An ask, ready to be answered. ids: all its tokens; of a guest with images, those of its words alone."""

    ask: Ask
    prompt: str
    ids: tuple[int, ...]
    seen: Seen | None = None


@dataclass
class Sights:
    """Images seen last, by their pixels, in at most max_bytes of the device. 0 keeps nothing.

    Only for weights that stay as they are: a connector in training makes other features of the same image.
    """

    max_bytes: int = 0
    n_bytes: int = 0
    _kept: OrderedDict[Key, Seen] = field(default_factory=OrderedDict)

    def get(self, key: Key) -> Seen | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: Key, seen: Seen) -> None:
        if seen.n_bytes > self.max_bytes or key in self._kept:
            return
        self._kept[key] = seen
        self.n_bytes += seen.n_bytes
        while self.n_bytes > self.max_bytes:
            _, old = self._kept.popitem(last=False)
            self.n_bytes -= old.n_bytes

    def clear(self) -> None:
        self._kept.clear()
        self.n_bytes = 0


def read(vlm: Vlm, asks: Sequence[Ask | Reading]) -> list[Reading]:
    """Readings in the order of asks; what was read already stays as it is."""
    fresh = iter(_read(vlm, [ask for ask in asks if not isinstance(ask, Reading)]))
    return [ask if isinstance(ask, Reading) else next(fresh) for ask in asks]


def _read(vlm: Vlm, asks: Sequence[Ask]) -> list[Reading]:
    """One forward pass of the vision tower for all images not seen before.

    Raises ModelError when the chat template cannot be used, or a prompt holds the image token.
    """
    prompts = [turns.prompt(vlm.processor, ask) for ask in asks]
    keys = _keys(asks) if vlm.family.by_parts else [()] * len(asks)
    known = {key: seen for key in set(keys) if key and (seen := vlm.sights.get(key))}
    firsts = sorted(
        {key: n for n, key in reversed(list(enumerate(keys))) if key and key not in known}.values()
    )
    again = [n for n, key in enumerate(keys) if key and n not in set(firsts)]
    bare = [n for n, key in enumerate(keys) if not key]
    found: dict[int, tuple[list[int], Seen | None]] = {}
    for n, one in zip(firsts, _look(vlm, *_these(firsts, asks, prompts)), strict=True):
        found[n], known[keys[n]] = one, one[1]
        vlm.sights.put(keys[n], one[1])
    for n, ids in zip(again, _words_around(vlm, *_these(again, asks, prompts)), strict=True):
        found[n] = _joined(ids, sequences.image_token_id(vlm.base_model), known[keys[n]].ids), known[keys[n]]
    for n, ids in zip(bare, turns.words(vlm.tokenizer, [prompts[n] for n in bare]), strict=True):
        found[n] = ids, None
    return [
        Reading(ask, prompt, tuple(found[n][0]), found[n][1])
        for n, (ask, prompt) in enumerate(zip(asks, prompts, strict=True))
    ]


def batch(vlm: Vlm, readings: Sequence[Reading], side: str) -> tuple[dict[str, Any], list[Tensor]]:
    """Inputs on the device (without pixels), padded on that side, and the features of each row's images."""
    import torch

    model = vlm.base_model
    rows = [list(reading.ids) for reading in readings]
    inputs: dict[str, Any] = sequences.pad(rows, turns.pad_id(vlm.tokenizer), vlm.device, side=side)
    seen = [reading.seen for reading in readings if reading.seen is not None]
    table = model.get_input_embeddings().weight
    nothing = table.new_zeros(0, table.shape[1])
    features = [nothing if reading.seen is None else reading.seen.features for reading in readings]
    if vlm.family.by_parts and not vlm.family.plain_positions:
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == sequences.image_token_id(model)).int()
        for name in seen[0].grids if seen else ():
            inputs[name] = torch.cat([one.grids[name] for one in seen]).to(vlm.device)
    return inputs, features


def _these(places: Sequence[int], asks: Sequence[Ask], prompts: Sequence[str]) -> tuple[list[Ask], list[str]]:
    return [asks[n] for n in places], [prompts[n] for n in places]


def _look(vlm: Vlm, asks: list[Ask], prompts: list[str]) -> list[tuple[list[int], Seen]]:
    """Ids of each ask, and its images through processor, vision tower and connector, all together."""
    if not asks:
        return []
    inputs = turns.process(vlm.processor, prompts, asks, side="left", max_pixels=vlm.max_pixels)
    features = vlm.image_features(inputs)
    image = sequences.image_token_id(vlm.base_model)
    found: list[tuple[list[int], Seen]] = []
    start = 0
    for n, (ask, ids) in enumerate(zip(asks, _rows(inputs), strict=True)):
        end = start + len(ask.images)
        grids = {name: inputs[name][start:end] for name in _OF_EACH_IMAGE if name in inputs}
        first, last = _span(ids, image)
        # A part of a batch would keep the whole batch in memory.
        seen = Seen(tuple(ids[first : last + 1]), features[n].clone(), grids)
        found.append((ids, seen))
        start = end
    return found


def _words_around(vlm: Vlm, asks: list[Ask], prompts: list[str]) -> list[list[int]]:
    """Ids of each ask with small blanks for images: the processor decides what stands around an image."""
    if not asks:
        return []
    from PIL import Image

    blank = Image.new("RGB", (_BLANK, _BLANK))
    blanks = [replace(ask, images=(blank,) * len(ask.images)) for ask in asks]
    return _rows(turns.process(vlm.processor, prompts, blanks, side="left", max_pixels=vlm.max_pixels))


def _rows(inputs: Mapping[str, Any]) -> list[list[int]]:
    rows = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    return [ids[mask.bool()].tolist() for ids, mask in rows]


def _joined(words: list[int], image: int, written: Sequence[int]) -> list[int]:
    """words with what the processor wrote for the true images, from the first image token to the last."""
    first, last = _span(words, image)
    return [*words[:first], *written, *words[last + 1 :]]


def _span(words: list[int], image: int) -> tuple[int, int]:
    return words.index(image), len(words) - 1 - words[::-1].index(image)


def _keys(asks: Sequence[Ask]) -> list[Key]:
    """Of each ask, the hashes of its images' pixels; requests about one photograph mostly share its object."""
    hashed: dict[int, str] = {}
    for image in (image for ask in asks for image in ask.images):
        if id(image) not in hashed:
            hashed[id(image)] = _pixels(image)
    return [tuple(hashed[id(image)] for image in ask.images) for ask in asks]


def _pixels(image: Image) -> str:
    hasher = hashlib.blake2b(f"{image.mode} {image.size}".encode(), digest_size=16)
    hasher.update(image.tobytes())
    return hasher.hexdigest()
