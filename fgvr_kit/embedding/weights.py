"""Where the weights of a CLIP model lie, and its network made of them by open_clip.

What is in the cache is taken from there without asking the hub whether it is the newest. What is not is asked for
once before open_clip downloads it, since the hub's own client tries for a minute where there is no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgvr_kit import plugins
from fgvr_kit.embedding import told
from fgvr_kit.embedding.specs import FOLDER, HUB, Precision, Spec

_SECONDS = 10.0
"""For the hub to say that it is there."""

_CONFIG = "open_clip_config.json"
_USUAL = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Files of the hub that open_clip looks for where a tag names none, the first of them first."""

_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")

_PREPROCESSING = {
    "mean": "image_mean",
    "std": "image_std",
    "interpolation": "image_interpolation",
    "resize_mode": "image_resize_mode",
}
"""Words of a tag -> options of open_clip."""


@dataclass(frozen=True, slots=True)
class Source:
    """What open_clip is asked for.  file: of the weights, None where the name says it.  options: what else."""

    name: str
    file: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def create(spec: Spec, precision: Precision, device: str) -> tuple[Any, Any]:
    """(the network, its preprocessing of a picture). Raises ModelError, MissingExtra without open_clip."""
    open_clip = plugins.require("open_clip", "comparing images")
    source = _source(spec)
    try:
        net, preprocess = open_clip.create_model_from_pretrained(
            source.name, str(source.file) if source.file else None,
            precision=precision, device=device, **source.options,
        )  # fmt: skip
    except Exception as error:  # whatever a file that holds something else may bring about
        raise told.not_loaded(spec, source.file, device, error) from error
    net.eval()
    return net, preprocess


def tokenizer(spec: Spec) -> Any:
    """What turns texts into (N, L) numbers. Raises ModelError; some architectures have theirs on the hub only."""
    open_clip = plugins.require("open_clip", "comparing images")
    source = _source(spec)
    repo = ""
    try:
        config = open_clip.get_model_config(source.name.replace("/", "-") if spec.pretrained else source.name)
        repo = config.get("text_cfg", {}).get("hf_tokenizer_name", "")
        if not source.name.startswith(FOLDER) and repo and not _cached(repo, _TOKENIZERS):
            _ask_hub(repo)
        return open_clip.get_tokenizer(source.name)
    except Exception as error:
        raise told.no_tokenizer(spec, repo, error) from error


def _source(spec: Spec) -> Source:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    if spec.folder:
        if not (spec.folder / _CONFIG).is_file():
            raise told.no_folder(spec, _CONFIG)
        return Source(spec.name)
    if spec.name.startswith(HUB):
        return _on_hub(spec, spec.name.removeprefix(HUB))
    if spec.name.replace("/", "-") not in open_clip.list_models():
        raise told.unknown_architecture(spec.name, open_clip.list_models())
    if tag := get_pretrained_cfg(spec.name, spec.pretrained):
        # Else open_clip only warns ("ViT-L-14:openai"), and gives vectors that the weights were not made for.
        is_quick = {"force_quick_gelu": True} if tag.get("quick_gelu") else {}
        return Source(spec.name, _of_tag(spec, tag), _prepared_for([tag]) | is_quick)
    names = open_clip.list_pretrained_tags_by_model(spec.name)
    if spec.file is None:
        raise told.unknown_tag(spec, names)
    return Source(spec.name, spec.file, _prepared_for([get_pretrained_cfg(spec.name, one) for one in names]))


def _prepared_for(tags: list[dict[str, Any]]) -> dict[str, Any]:
    """How pictures were prepared for all of these weights: what they agree on, {} where they do not.

    Of a file of one's own nothing is known but its architecture: SigLIP, for one, was never trained with the mean
    that open_clip takes for an unknown file.
    """
    ways = [tuple(tag.get(word) for word in _PREPROCESSING) for tag in tags]
    if not ways or any(way != ways[0] for way in ways):
        return {}
    return dict(zip(_PREPROCESSING.values(), ways[0], strict=True))


def _on_hub(spec: Spec, repo: str) -> Source:
    config, weights = _cached(repo, (_CONFIG,)), _cached(repo, _USUAL)
    if config and weights and config.parent == weights.parent:
        return Source(f"{FOLDER}{config.parent}")
    _refuse_unreachable(spec, repo, _USUAL[0])
    return Source(spec.name)


def _of_tag(spec: Spec, tag: dict[str, Any]) -> Path | None:
    """The file of a tag's weights: from the cache, else downloaded."""
    from open_clip.pretrained import download_pretrained

    repo, _, name = str(tag.get("hf_hub") or "").rpartition("/")
    names = (str(Path(name).with_suffix(".safetensors")), name) if name else _USUAL
    if repo and (file := _cached(repo, names)):
        return file
    if repo:
        _refuse_unreachable(spec, repo, names[-1] if name else names[0])
    try:
        return Path(download_pretrained(tag))
    except Exception as error:
        raise told.unreachable(spec, repo or str(tag.get("url")), name or names[0], error) from error


def _cached(repo: str, names: tuple[str, ...]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        if isinstance(found := try_to_load_from_cache(repo, name), str):
            return Path(found)
    return None


def _refuse_unreachable(spec: Spec, repo: str, file: str) -> None:
    try:
        _ask_hub(repo)
    except Exception as error:  # no network, no such repository, no access to it, downloads switched off
        raise told.unreachable(spec, repo, file, error) from error


def _ask_hub(repo: str) -> None:
    from huggingface_hub import HfApi

    HfApi().model_info(repo, timeout=_SECONDS)
