"""Weights in and out: checkpoints, 4-bit loading that spares what must be spared, adapters."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit import plugins
from fgvr_kit.errors import ModelError

if TYPE_CHECKING:
    from fgvr_kit.families.base import Family

_LIKE_VISION = ("vision", "visual", "connector", "projector", "merger")
_PURPOSE = "running a model in this process"


def let_go() -> None:
    """Free what nobody holds any more: a model that accelerate wrapped lies in a cycle, and two large ones do
    not fit on a GPU."""
    import gc
    import sys

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
    from fgvr_kit.families.weights import guests as others

    torch = plugins.require("torch", _PURPOSE)
    plugins.require("torchvision", _PURPOSE)
    transformers = plugins.require("transformers", _PURPOSE)
    target = _device(torch, device)
    dtype = torch.bfloat16 if target.type == "cuda" else torch.float32
    with _quiet(), _told(shown):
        _check_folder(place)
        config = transformers.AutoConfig.from_pretrained(place)
        guest = others.family_of(config) if guests and config.model_type not in known_families() else None
        family = guest or family_of(config.model_type, shown)
        options: dict[str, Any] = {"dtype": dtype, "output_loading_info": True}
        if quantize == "nf4" or (quantize == "auto" and target.type == "cuda"):
            plugins.require("bitsandbytes", '4-bit weights (quantize = "nf4")')
            options |= {"quantization_config": nf4(family, dtype), "device_map": {"": target}}
        if family.sees:
            processor = transformers.AutoProcessor.from_pretrained(place, **family.processor_kwargs)
            model_class = transformers.AutoModelForImageTextToText
        else:
            processor = others.TextProcessor(transformers.AutoTokenizer.from_pretrained(place))
            model_class = transformers.AutoModelForCausalLM
        model, report = model_class.from_pretrained(place, **options)
    if report["missing_keys"]:
        raise ModelError(
            f"the checkpoint {shown} is not complete",
            code="model-incomplete",
            why=f"{len(report['missing_keys'])} weights are missing, such as {min(report['missing_keys'])!r}",
            hint="download it again",
        )
    if "quantization_config" in options:
        _check_spared(model, family)
    else:
        model.to(target)
    return family, model, processor


def known_families() -> dict[str, Family]:
    """model_type -> the family that lists it."""
    known: dict[str, Family] = {}
    for name in plugins.names("families"):
        family: Family = plugins.load("families", name).FAMILY
        known |= dict.fromkeys(family.model_types, family)
    return known


def family_of(model_type: str, shown: str) -> Family:
    """The family that lists model_type. Raises ModelError naming the known ones."""
    known = known_families()
    if model_type not in known:
        raise ModelError(
            f"{shown} is of the family {model_type!r}, which this version does not drive",
            code="family-unknown",
            why=f"known: {', '.join(sorted(known))}",
            hint="choose a model of a known family, or add a file to fgvr_kit/families",
        )
    return known[model_type]


def nf4(family: Family, dtype: Any) -> Any:
    """4-bit storage for the text model alone.

    A bare name would spare nothing: names are matched from the start of the full path, as expressions.
    """
    from transformers import BitsAndBytesConfig

    # Of a guest nobody knows where things are: what is named like an eye or a bridge is left whole.
    parts = [family.vision, family.connector] if family.by_parts else list(_LIKE_VISION)
    spared = [f".*{re.escape(part)}" for part in (*parts, "lm_head")]
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=spared,
    )


def _check_spared(model: Any, family: Family) -> None:
    """Make 4-bit layers safe, and be sure that they are where they should be."""
    from bitsandbytes.nn import Linear4bit

    layers = {name: module for name, module in model.named_modules() if isinstance(module, Linear4bit)}
    parts = (f"{family.vision}.", f"{family.connector}.") if family.by_parts else ()
    wrong = [n for n in layers if n == "lm_head" or n.startswith(parts)]
    assert layers, "4 bit was asked for and nothing is"
    assert not wrong, f"4 bit where it must not be: {wrong[:3]}"
    for layer in layers.values():
        # On CPUs with AVX512-BF16 the first forward without gradients would repack the weights in place;
        # training after it crashes and dequantising gives garbage (bitsandbytes 0.50, issue 2078).
        layer.support_avx512bf16_for_cpu = False


def stop_ids(model: Any, tokenizer: Any, end_of_turn: str) -> set[int]:
    """Every token that ends an answer: what the checkpoint says, the end token, the end of a turn."""
    said = model.generation_config.eos_token_id
    ids = {*(said if isinstance(said, list) else [said]), tokenizer.eos_token_id}
    return {int(i) for i in {*ids, tokenizer.convert_tokens_to_ids(end_of_turn)} if i is not None}


# --- adapters ---------------------------------------------------------------------------------------------


def attach_lora(model: Any, targets: str, *, r: int, alpha: int, dropout: float, seed: int) -> Any:
    """A PeftModel around model with fresh LoRA weights (normal A, zero B), drawn from seed alone."""
    peft = plugins.require("peft", "training an adapter")
    import torch

    config = peft.LoraConfig(
        r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets, init_lora_weights="gaussian",
        task_type="CAUSAL_LM",
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return peft.get_peft_model(model, config)


def save_adapter(model: Any, folder: Path, *, base_name: str) -> None:
    for config in model.peft_config.values():
        config.base_model_name_or_path = base_name  # not the cache path it was read from
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(
        missing_ok=True
    )  # PEFT's empty model card, with a path of this machine in it


def load_adapter(model: Any, folder: Path) -> Any:
    """A PeftModel around model with the adapter of folder, ready to answer or to be trained further.

    Raises ModelError when there is none, or when it belongs to another architecture.
    """
    peft = plugins.require("peft", "an adapter")
    from safetensors.torch import load_file

    weights_file = folder / "adapter_model.safetensors"
    if not (folder / "adapter_config.json").is_file() or not weights_file.is_file():
        raise ModelError(
            f"{folder} holds no adapter",
            code="adapter-not-found",
            why="adapter_config.json or adapter_model.safetensors is missing",
            hint="give the folder of a trained checkpoint, or train one: fgvr-kit train",
        )
    try:
        model = peft.PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    except (RuntimeError, ValueError) as error:  # sizes differ; no module of that name
        raise _other_base(folder, str(error).splitlines()[-1].strip()) from error
    differing = set(load_file(weights_file)) ^ set(
        peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    )
    if differing:  # PEFT would leave these at their first values, with a warning at most
        raise _other_base(folder, f"{len(differing)} weights have no counterpart, such as {min(differing)!r}")
    return model


def _other_base(folder: Path, why: str) -> ModelError:
    return ModelError(
        "the adapter does not fit this model",
        code="adapter-mismatch",
        where=str(folder),
        why=why,
        hint="load it onto the model it was trained on (base_model_name_or_path in adapter_config.json)",
    )


# --- opening ----------------------------------------------------------------------------------------------


def _device(torch: Any, device: str) -> Any:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("there is no usable CUDA GPU here", code="no-gpu",
                         hint='set device = "auto" or "cpu" under [train]')  # fmt: skip
    if device == "cuda":  # one process a GPU: torchrun numbers them on each machine
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(device)


def _check_folder(place: str) -> None:
    looks_like_path = place.startswith((".", "/", "~")) or place.count("/") > 1 or Path(place).is_dir()
    if looks_like_path and not (Path(place) / "config.json").is_file():
        raise ModelError(
            f"{place} is not a model folder: it holds no config.json",
            code="model-not-found",
            hint="give a folder with config.json, weights and processor files, a hub id, or toy-vlm",
        )


@contextmanager
def _told(shown: str) -> Iterator[None]:
    """Turn what transformers raises about a checkpoint into a ModelError with the next move."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise ModelError(f"the weights of {shown} cannot be read", code="model-broken", why=str(error),
                         hint="the file is damaged or cut short: download it again") from error  # fmt: skip
    except ValueError as error:  # an architecture, or a file, that this transformers cannot read
        raise ModelError(
            f"the model {shown} cannot be opened",
            code="model-unreadable",
            why=str(error).strip().splitlines()[0],
            hint="a newer transformers may know it: pip install -U transformers",
        ) from error
    except OSError as error:
        raise ModelError(
            f"the model {shown} cannot be opened",
            code="model-not-found",
            why=str(error).strip().splitlines()[0],
            hint=f"check the name and the connection; without one, download it elsewhere "
            f"(hf download {shown} --local-dir FOLDER) and give FOLDER",
        ) from error


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
