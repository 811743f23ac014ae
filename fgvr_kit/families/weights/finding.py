"""Which family a checkpoint belongs to, told from its config.json alone; neither torch nor transformers is loaded."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fgvr_kit import plugins, toy
from fgvr_kit.errors import ModelError
from fgvr_kit.families import NOT_DRIVEN, Family, known_families
from fgvr_kit.families.weights.failures import told

_SEEING = ("vision", "visual", "image", "perceiver")


def config_in(name: str) -> dict[str, Any]:
    """config.json of a folder, a toy model or a hub id; of the last one that file alone is fetched.

    Raises ModelError when there is none, or it cannot be had.
    """
    place = toy.path_of(name) if name in toy.NAMES else Path(name).expanduser()
    if is_place(str(place)):
        check_folder(place, name)
        return _read(place / "config.json")
    hub = plugins.require("huggingface_hub", "looking at a model on the hub")
    with told(name):
        hub_id, revision = at_revision(name)
        return _read(Path(hub.hf_hub_download(hub_id, "config.json", revision=revision)))


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            "config.json is no JSON", code="model-broken", where=str(file.parent), why=str(error),
            hint="download it again",
        ) from error  # fmt: skip
    return dict(found)


def is_place(name: str) -> bool:
    """Whether a name is a folder, or can be nothing else."""
    return name.startswith((".", "/", "~")) or name.partition("@")[0].count("/") > 1 or Path(name).is_dir()


def at_revision(name: str) -> tuple[str, str | None]:
    """A hub id and the revision (branch, tag or commit) that stands behind its "@"; a folder as it is, and None."""
    place, mark, revision = name.partition("@")
    return (place, revision) if mark and revision and not is_place(name) else (name, None)


def as_downloaded(name: str) -> str:
    """A hub id with its revision, as `hf download` takes it."""
    hub_id, revision = at_revision(name)
    return f"{hub_id} --revision {revision}" if revision else hub_id


def commit_of(name: str) -> str | None:
    """The commit of a model of the hub that lies on this machine; None of any other."""
    from huggingface_hub import try_to_load_from_cache

    hub_id, revision = at_revision(name)
    if name in toy.NAMES or is_place(name) or "/" not in hub_id:
        return None
    found = try_to_load_from_cache(hub_id, "config.json", revision=revision)
    return Path(found).parent.name if isinstance(found, str) else None


def check_folder(folder: Path, shown: str) -> None:
    """Raise ModelError for a folder that holds no model."""
    if (folder / "config.json").is_file():
        return
    if (folder / "adapter_config.json").is_file():
        from fgvr_kit.families.weights.adapters import named_base

        base = named_base(folder)
        raise ModelError(
            f"{shown} holds an adapter, not a model",
            code="model-is-adapter",
            why="an adapter changes a base model; alone it is nothing",
            hint=f"name its base model instead{f': {base}' if base else ''}",
        )
    raise ModelError(
        f"{shown} is not a model folder: it holds no config.json",
        code="model-not-found",
        hint="give a folder with config.json, weights and processor files, a hub id, or toy-vlm",
    )


def family_of(config: Mapping[str, Any], shown: str) -> Family:
    """The family that lists the model_type. Raises ModelError that says why there is none, and what is near."""
    model_type, known = str(config.get("model_type") or ""), known_families()
    if model_type in known:
        return known[model_type]
    if model_type in NOT_DRIVEN:
        raise ModelError(
            f"{shown} is of the family {model_type!r}, which cannot be driven here",
            code="family-not-driven",
            why=NOT_DRIVEN[model_type],
            hint="choose a model of another family: fgvr-kit models",
        )
    if reads_words_only(config):
        raise ModelError(
            f"{shown} is no vision-language model",
            code="no-vlm",
            why=f"{model_type!r} reads words only",
            hint="choose one that takes images: fgvr-kit models",
        )
    near = closest(model_type)
    example = f", such as {known[near].examples[0]}" if near and known[near].examples else ""
    raise ModelError(
        f"{shown} is of the family {model_type!r}, which this version does not drive",
        code="family-unknown",
        why=f"the closest known one is {near!r}{example}" if near else f"known: {', '.join(sorted(known))}",
        hint="choose a model of a known family (fgvr-kit models), or write one: copy a file of fgvr_kit/families, name"
        " it after the model_type, put in the paths that print(model) shows, and run the contract in tests/families",
    )


def reads_words_only(config: Mapping[str, Any]) -> bool:
    classes = [str(name) for name in config.get("architectures") or ()]
    if any(word in key for key in config for word in _SEEING):
        return False
    return bool(classes) and all(name.endswith(("ForCausalLM", "LMHeadModel")) for name in classes)


def closest(model_type: str) -> str | None:
    """The model type that is written most alike, if one is at all."""
    near = difflib.get_close_matches(model_type, sorted(known_families()), n=1, cutoff=0.6)
    return near[0] if near else None
