"""Full fine-tuning: text model and connector trained as they are, and saved as what changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit.errors import ModelError
from fgvr_kit.families.weights.adapters import read
from fgvr_kit.families.weights.bases import FILE, Base
from fgvr_kit.families.weights.quantized import small_layers

if TYPE_CHECKING:
    from fgvr_kit.families import Family

WEIGHTS = "model.safetensors"
"""Under the name that the Trainer looks for when it resumes."""


def is_in(folder: Path) -> bool:
    """Whether folder holds whole weights of a training, and neither an adapter nor a checkpoint."""
    return (folder / WEIGHTS).is_file() and (folder / FILE).is_file()


def unfreeze(model: Any, family: Family) -> None:
    """Make everything but the vision tower trainable, in 32 bit: steps of a bf16 weight would be rounded away.

    Raises ModelError when the weights are quantised.
    """
    if small_layers(model):
        raise ModelError(
            "weights in 4 or 8 bit cannot be trained whole",
            code="quantized-full",
            hint='[train] quantize = "none", or train an adapter',
        )
    model.float()
    for name, weight in model.named_parameters():
        weight.requires_grad_(not family.is_eye(name))


def save(model: Any, folder: Path, base: Base) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    trained = {n: p.detach().contiguous().cpu() for n, p in model.named_parameters() if p.requires_grad}
    save_file(trained, folder / WEIGHTS, metadata={"format": "pt"})
    base.write(folder)


def load(model: Any, family: Family, folder: Path, base: Base) -> None:
    """Put the weights of folder into model, in the model's own precision.

    Raises ModelError when they are damaged, or another model's.
    """
    held = read(folder / WEIGHTS)
    base.check(folder)
    own = {n: p for n, p in model.named_parameters() if not family.is_eye(n)}
    differing = set(held) ^ set(own)
    if differing:
        raise base.does_not_fit(
            folder, f"{len(differing)} weights have no counterpart, such as {min(differing)!r}"
        )
    sizes = [n for n, weight in held.items() if weight.shape != own[n].shape]
    if sizes:
        raise base.does_not_fit(folder, f"{len(sizes)} weights have another size, such as {min(sizes)!r}")
    model.load_state_dict(held, strict=False)
