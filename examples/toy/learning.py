"""What one step of training computes: the loss of reading facts off the image states, and of answering in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from examples.toy.packing import ATTRIBUTES, UNKNOWN, Batch
from examples.toy.tokens import PATCH, SIDE
from fgvr_kit.toy.world.canvas import CELLS, LAYERS
from fgvr_kit.toy.world.facts import VALUES
from fgvr_kit.toy.world.turns import Turn

_CELLS = CELLS * PATCH // SIDE  # a side of a patch


class Readers(nn.Module):
    """One question in numbers for each attribute, put to the image states; only for training, never shipped.

    They give the vision tower a direct signal, many times cheaper than words.
    """

    def __init__(self, width: int, vision_width: int) -> None:
        super().__init__()
        most = max(len(VALUES[name]) for name in ATTRIBUTES)
        self.query = nn.Parameter(torch.randn(len(ATTRIBUTES), width) * width**-0.5)
        self.answer = nn.Parameter(torch.randn(len(ATTRIBUTES), width, most) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(ATTRIBUTES), most))
        known = [[n < len(VALUES[name]) for n in range(most)] for name in ATTRIBUTES]
        self.register_buffer("known", torch.tensor(known), persistent=False)

        self.where = nn.Linear(vision_width, _CELLS * _CELLS * len(LAYERS))

    def layers(self, patches: Tensor) -> Tensor:
        """(B, 64, W) states of patches -> (B, CELLS, CELLS, len(LAYERS)): what lies where."""
        n, side = len(patches), CELLS // _CELLS
        cells = self.where(patches).float().view(n, side, side, _CELLS, _CELLS, len(LAYERS))
        return cells.permute(0, 1, 3, 2, 4, 5).reshape(n, CELLS, CELLS, len(LAYERS))

    def forward(self, states: Tensor) -> Tensor:
        """(B, N, W) image states -> (B, attributes, values) logits."""
        states = F.rms_norm(states.float(), states.shape[-1:])
        look = torch.einsum("aw,bnw->ban", self.query, states).softmax(dim=-1)
        seen = torch.einsum("ban,bnw->baw", look, states)
        logits = torch.einsum("baw,awv->bav", seen, self.answer) + self.bias
        return logits.masked_fill(~self.known, -1e4)  # type: ignore[operator]


def pixels(batch: np.ndarray[Any, Any], device: str) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) as the processor normalises: -1..1."""
    return (torch.from_numpy(batch).to(device).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def image_states(model: Any, seen: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3, 112, 112) -> (B, 64, W) of the patches, (B, IMAGE_TOKENS, W) as get_image_features gives them."""
    hidden = model.model.vision_model(pixel_values=seen).last_hidden_state
    mask = torch.ones(hidden.shape[:2], dtype=torch.long, device=hidden.device)
    return hidden, model.model.connector(hidden, attention_mask=mask)


def layers_loss(readers: Readers, patches: Tensor, layers: Tensor) -> Tensor:
    """How badly the patches tell what lies on them: a signal from every place of a picture."""
    told = readers.layers(patches)
    masks = F.binary_cross_entropy_with_logits(told[..., :3], layers[..., :3], reduction="none").mean(
        dim=(0, 1, 2)
    )
    frame = (layers[..., :1] * (told[..., 3:] - layers[..., 3:]) ** 2).mean()
    return masks[0] + 4 * masks[1] + 2 * masks[2] + 3 * frame


def facts_loss(readers: Readers, states: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over known facts, and (attributes, 2): right, asked."""
    logits = readers(states)
    loss = F.cross_entropy(logits.flatten(0, 1), facts.flatten(), ignore_index=UNKNOWN)
    known = facts != UNKNOWN
    right = (logits.argmax(dim=-1) == facts) & known
    return loss, torch.stack([right.sum(dim=0), known.sum(dim=0)], dim=1)


def words_loss(model: Any, states: Tensor, batch: Batch) -> Tensor:
    """Weighted cross-entropy of the answers' tokens."""
    device = states.device
    ids = torch.from_numpy(batch.ids).to(device)
    weight = torch.from_numpy(batch.weight).to(device)[:, 1:]
    hidden = text_states(model, states, batch)
    wanted = weight > 0
    logits = model.lm_head(hidden[:, :-1][wanted]).float()
    targets, shares = ids[:, 1:][wanted], weight[wanted]
    return (F.cross_entropy(logits, targets, reduction="none") * shares).sum() / shares.sum()


@torch.no_grad()
def answered(model: Any, states: Tensor, batch: Batch) -> list[tuple[Turn, bool]]:
    """Every turn of the batch, and whether each token of its answer is the likeliest one after those before it.

    That is what greedy decoding writes.
    """
    hidden = text_states(model, states, batch)[:, :-1]
    wanted = batch.weight[:, 1:] > 0
    likeliest = model.lm_head(hidden[torch.from_numpy(wanted).to(hidden.device)]).argmax(dim=-1).cpu().numpy()
    wrong = np.zeros(wanted.shape, dtype=bool)
    wrong[wanted] = likeliest != batch.ids[:, 1:][wanted]
    return [
        (turn, not wrong[row, batch.part[row, 1:] == number].any())
        for row, turns in enumerate(batch.turns)
        for number, turn in enumerate(turns, start=1)
    ]


def text_states(model: Any, states: Tensor, batch: Batch) -> Tensor:
    """(B, T, W) of packed rows, after the final norm."""
    device = states.device
    text = model.model.text_model
    ids = torch.from_numpy(batch.ids).to(device)
    inputs = text.embed_tokens(ids)
    places = ids == model.config.image_token_id
    inputs = inputs.to(states.dtype).masked_scatter(places[..., None], states.flatten(0, 1))
    return text(
        inputs_embeds=inputs,
        attention_mask=apart(batch).to(device),
        position_ids=torch.from_numpy(batch.positions).to(device),
        use_cache=False,
    ).last_hidden_state


def apart(batch: Batch) -> Tensor:
    """(B, 1, T, T) bool: what each token may look at."""
    part, sees = torch.from_numpy(batch.part), torch.from_numpy(batch.sees)
    same = part[:, :, None] == part[:, None, :]
    picture = sees[:, :, None] & (part == 0)[:, None, :]
    causal = torch.ones(part.shape[1], part.shape[1], dtype=torch.bool).tril()
    return ((same | picture) & causal)[:, None]


def parameters(model: Any, readers: Readers) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """(matrices inside the layers, the patches' own, everything else): the first are trained by Muon."""
    matrices, patches, others = [], [], []
    for name, one in model.named_parameters():
        inside = one.ndim == 2 and "embed" not in name and "latents" not in name and "lm_head" not in name
        (matrices if inside else patches if "patch_embedding" in name else others).append(one)
    return matrices, patches, [*others, *readers.parameters()]
