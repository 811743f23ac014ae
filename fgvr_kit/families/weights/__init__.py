"""Weights in and out: checkpoints, small storage that spares what must be spared, and what training leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from fgvr_kit import plugins
from fgvr_kit.errors import ModelError
from fgvr_kit.families import known_families
from fgvr_kit.families.weights import adapters, whole
from fgvr_kit.families.weights.bases import MERGED
from fgvr_kit.families.weights.failures import told
from fgvr_kit.families.weights.finding import (
    as_downloaded,
    at_revision,
    check_folder,
    closest,
    config_in,
    family_of,
    is_place,
)
from fgvr_kit.families.weights.quantized import check_spared, config_of, has_cuda, resolved

if TYPE_CHECKING:
    from fgvr_kit.families import Family
    from fgvr_kit.families.weights.bases import Base

_PURPOSE = "running a model in this process"
_FEWEST_TOKENS = 100
"""A tokenizer of fewer is none: it holds the special tokens alone. Bytes are 256."""


_HEAVY = 10**8
"""Weights; a search through all of Python's objects takes longer than loading a model of fewer."""
_loaded: WeakSet[Any] = WeakSet()


def let_go() -> None:
    """Free what nobody holds any more: a model that accelerate wrapped lies in a cycle, and two large ones do
    not fit on a GPU."""
    import gc
    import sys

    if not any(sum(p.numel() for p in model.parameters()) > _HEAVY for model in _loaded):
        return
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def load(
    place: str, *, shown: str, device: str, quantize: str, guests: bool = False
) -> tuple[Family, Any, Any]:
    """Family, model and processor of the checkpoint at place (hub id or folder).

    shown: its name in errors.  guests: models of no known family may answer too; they cannot be trained.
    """
    torch = plugins.require("torch", _PURPOSE)
    plugins.require("torchvision", _PURPOSE)
    transformers = plugins.require("transformers", _PURPOSE)
    target = _device(torch, device)
    dtype = torch.bfloat16 if target.type == "cuda" else torch.float32
    if is_place(place):
        check_folder(Path(place), shown)
    with _quiet(), told(shown):
        config = _config(transformers, place, shown, guests)
        family = _family(config, shown, guests)
        _check_files(Path(place), shown)
        hub_id, revision = at_revision(place)
        options: dict[str, Any] = {"dtype": dtype, "output_loading_info": True, "revision": revision}
        kind = resolved(quantize, target.type)
        if kind != "none":
            plugins.require("bitsandbytes", f'smaller weights (quantize = "{kind}")')
            options |= {"quantization_config": config_of(kind, family, dtype), "device_map": {"": target}}
        processor = _processor(transformers, place, shown, family)
        model_class = (
            transformers.AutoModelForImageTextToText if family.sees else transformers.AutoModelForCausalLM
        )
        model, report = model_class.from_pretrained(hub_id, **options)
    if report["missing_keys"]:
        raise _incomplete(
            shown,
            f"{len(report['missing_keys'])} weights are missing, such as {min(report['missing_keys'])!r}",
        )
    if kind == "none":
        model.to(target)
    else:
        check_spared(model, family)
    _loaded.add(model)
    return family, model, processor


def stop_ids(model: Any, tokenizer: Any, end_of_turn: str) -> set[int]:
    """Every token that ends an answer: what the checkpoint says, the end token, the end of a turn."""
    said = model.generation_config.eos_token_id
    ids = {*(said if isinstance(said, list) else [said]), tokenizer.eos_token_id}
    return {int(i) for i in {*ids, tokenizer.convert_tokens_to_ids(end_of_turn)} if i is not None}


def load_trained(model: Any, family: Family, folder: Path, base: Base) -> Any:
    """model with what a training left in folder: a PeftModel around it, or model itself with other weights.

    Raises ModelError when there is nothing, it is damaged, or it belongs to another model.
    """
    if whole.is_in(folder):
        whole.load(model, family, folder, base)
        return model
    if not (folder / adapters.CONFIG).is_file() or not (folder / adapters.WEIGHTS).is_file():
        raise ModelError(
            f"{folder} holds no adapter",
            code="adapter-not-found",
            why=f"{adapters.CONFIG} or {adapters.WEIGHTS} is missing",
            hint="give the folder of a trained checkpoint, or train one: fgvr-kit train",
        )
    return adapters.load(model, family, folder, base)


def save_checkpoint(model: Any, processor: Any, folder: Path, note: str | None, merged: str) -> None:
    """A whole checkpoint, as `load` finds it; in one rename, so that a kill leaves none that is cut short.

    merged: digest of the adapter that is in its weights.
    """
    import shutil

    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with _quiet():
        model.save_pretrained(part)
    processor.save_pretrained(part)
    if note:
        (part / "card.json").write_text(json.dumps({"note": note}) + "\n", encoding="utf-8")
    (part / MERGED).write_text(json.dumps({"adapter": merged}) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


# --- opening ----------------------------------------------------------------------------------------------


def _config(transformers: Any, place: str, shown: str, guests: bool) -> Any:
    """Raises ModelError naming the closest family for an architecture that transformers does not know."""
    hub_id, revision = at_revision(place)
    try:
        return transformers.AutoConfig.from_pretrained(hub_id, revision=revision)
    except ValueError:
        said = config_in(place)
        model_type = str(said.get("model_type"))
        if not guests and model_type not in known_families() and closest(model_type):
            family_of(said, shown)
        raise


def _family(config: Any, shown: str, guests: bool) -> Family:
    from fgvr_kit.families.weights import guests as others

    guest = others.family_of(config) if guests and config.model_type not in known_families() else None
    return guest or family_of(config.to_dict(), shown)


def _processor(transformers: Any, place: str, shown: str, family: Family) -> Any:
    from fgvr_kit.families.weights import guests as others

    hub_id, revision = at_revision(place)
    if not family.sees:
        return others.TextProcessor(transformers.AutoTokenizer.from_pretrained(hub_id, revision=revision))
    missing = ModelError(
        f"the processor of {shown} is missing",
        code="processor-missing",
        why="preprocessor_config.json, processor_config.json or the tokenizer's files are not there",
        hint="fetch all files of the model, not its weights alone:"
        f" hf download {as_downloaded(shown)} --local-dir FOLDER",
    )
    try:
        processor = transformers.AutoProcessor.from_pretrained(
            hub_id, revision=revision, **family.processor_kwargs
        )
    except (OSError, ValueError) as error:
        if not is_place(place):
            raise
        missing.why = str(error).strip().splitlines()[0]
        raise missing from error
    # transformers is content with a tokenizer alone, and makes an empty one where its files are missing.
    if not hasattr(processor, "image_processor") or len(processor.tokenizer) < _FEWEST_TOKENS:
        raise missing
    return processor


def _check_files(folder: Path, shown: str) -> None:
    """Raise ModelError when weights that a folder should hold are not there."""
    if not folder.is_dir():
        return
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        wanted = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(name for name in wanted if not (folder / name).is_file())
        if missing:
            raise _incomplete(
                shown, f"{len(missing)} of {len(wanted)} files are missing, such as {missing[0]}"
            )
    elif not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise _incomplete(shown, "its folder holds no weights: no *.safetensors")


def _incomplete(shown: str, why: str) -> ModelError:
    return ModelError(f"the checkpoint {shown} is not complete", code="model-incomplete", why=why,
                      hint="download it again")  # fmt: skip


def _device(torch: Any, device: str) -> Any:
    if device == "auto":
        device = "cuda" if has_cuda() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("there is no usable CUDA GPU here", code="no-gpu",
                         hint='set device = "auto" or "cpu" under [train]')  # fmt: skip
    if device == "cuda":  # one process a GPU: torchrun numbers them on each machine
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(device)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars: the library does not print."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
