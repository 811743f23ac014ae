"""Adapters: LoRA and DoRA put on a model, saved beside it, and found to be another model's."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit import plugins
from fgvr_kit.errors import ModelError
from fgvr_kit.families.weights.bases import Base
from fgvr_kit.families.weights.quantized import kind_of, small_layers

if TYPE_CHECKING:
    from fgvr_kit.families import Family

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def attach(
    model: Any, family: Family, *, r: int, alpha: int, dropout: float, seed: int, dora: bool, targets: str
) -> Any:
    """A PeftModel around model with fresh LoRA weights (normal A, zero B), drawn from seed alone.

    targets: expression that the whole path of a Linear layer must match; "": the family's.
    """
    peft = plugins.require("peft", "training an adapter")
    import torch

    if targets:
        _check_targets(model, family, targets)
    if dora and kind_of(model) == "int8":  # peft 0.21 and bitsandbytes 0.50: the first forward pass crashes
        raise ModelError(
            "DoRA cannot be trained on weights in 8 bit",
            code="dora-int8",
            why="it reads the base weights again and again, and 8-bit ones lose their scales by that",
            hint='[train] quantize = "nf4" or "none", or plain LoRA',
        )
    config = peft.LoraConfig(
        r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets or family.lora_targets,
        modules_to_save=list(family.trained_whole) or None, use_dora=dora, init_lora_weights="gaussian",
        task_type="CAUSAL_LM",
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted = peft.get_peft_model(model, config)
    _upcast_whole(adapted, family)
    return adapted


def _check_targets(model: Any, family: Family, targets: str) -> None:
    """Raise ModelError for an expression that hits nothing, or layers that stay as they are."""
    import torch

    try:
        wanted = re.compile(targets)
    except re.error as error:
        raise _bad_targets(targets, f"it is no regular expression: {error}") from error
    layers = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    hit = [n for n in layers if wanted.fullmatch(n)]
    eyes = [n for n in hit if family.is_eye(n)]
    if eyes:
        raise _bad_targets(targets, f"it hits {len(eyes)} layers of the vision tower, such as {eyes[0]!r}")
    if not hit:
        text = next((n for n in layers if re.fullmatch(family.lora_targets, n)), layers[-1])
        raise _bad_targets(targets, f"no Linear layer has a path that matches it; one is named {text!r}")


def _bad_targets(targets: str, why: str) -> ModelError:
    return ModelError(
        f"no adapter can be put on {targets!r}",
        code="lora-targets",
        why=why,
        hint="the whole path must match, and the vision tower stays as it is; leave it empty for the family's own"
        " layers (fgvr-kit models NAME shows them)",
    )


def save(model: Any, folder: Path, base: Base) -> None:
    """Write the adapter; the base model is named, not copied."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = base.name  # not the cache path it was read from
    model.save_pretrained(folder, save_embedding_layers=False)
    base.write(folder)
    # PEFT's empty model card, with a path of this machine in it
    (folder / "README.md").unlink(missing_ok=True)


def load(model: Any, family: Family, folder: Path, base: Base) -> Any:
    """A PeftModel around model with the adapter of folder, ready to answer or to be trained further.

    Raises ModelError when it is damaged, or belongs to another model.
    """
    peft = plugins.require("peft", "an adapter")
    held = read(folder / WEIGHTS)
    base.check(folder)
    try:
        with _few_words():
            adapted = peft.PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    except (RuntimeError, ValueError) as error:  # sizes differ; no module of that name
        raise base.does_not_fit(folder, str(error).splitlines()[-1].strip()) from error
    differing = set(held) ^ set(peft.get_peft_model_state_dict(adapted, save_embedding_layers=False))
    if differing:  # PEFT would drop these, or leave them at their first values, with a warning at most
        raise base.does_not_fit(
            folder, f"{len(differing)} weights have no counterpart, such as {min(differing)!r}"
        )
    if _upcast_whole(adapted, family):
        with _few_words():
            peft.set_peft_model_state_dict(adapted, held)  # again, now that nothing is rounded
    return adapted


def read(file: Path) -> dict[str, Any]:
    """The tensors of a safetensors file. Raises ModelError when it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except SafetensorError as error:
        raise ModelError(
            f"{file.name} cannot be read",
            code="adapter-broken",
            where=str(file.parent),
            why=str(error),
            hint="the file is damaged or cut short: copy it again, or train again (fgvr-kit train)",
        ) from error


def merge(model: Any, folder: Path) -> Any:
    """The plain model with the adapter of folder in its weights. model: a PeftModel, used up.

    Small weights are made whole first: merged as they are, they would be rounded to 4 bit again, which costs
    0.1 on logits where this costs 1e-6.
    """
    if not small_layers(model):
        return model.merge_and_unload(safe_merge=True)
    peft = plugins.require("peft", "merging an adapter")
    base = model.unload().dequantize()
    with _few_words():
        return peft.PeftModel.from_pretrained(base, str(folder)).merge_and_unload(safe_merge=True)


def _upcast_whole(adapted: Any, family: Family) -> bool:
    """Keep modules that are trained whole in 32 bit: steps of a bf16 weight would be rounded away.

    Outside autocast they are given what they compute with. True when something changed.
    """
    import torch

    changed = False
    for path in family.trained_whole:
        copy = adapted.get_base_model().get_submodule(path).modules_to_save["default"]
        kinds = {weight.dtype for weight in copy.parameters()}
        copy.float()
        copy.register_forward_pre_hook(lambda _, args: tuple(one.float() for one in args))
        changed |= kinds != {torch.float32}
    return changed


def named_base(folder: Path) -> str:
    """The model that an adapter says it was trained on; "" when it does not say."""
    try:
        said = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return ""
    return str(said.get("base_model_name_or_path") or "")


@contextmanager
def _few_words() -> Iterator[None]:
    """What PEFT warns of is checked here, and an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
