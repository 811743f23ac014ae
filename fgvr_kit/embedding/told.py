"""What is told when a CLIP model cannot be had or used: what, why, and the next move."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from fgvr_kit.embedding.specs import Precision, Spec
from fgvr_kit.errors import ModelError

_ENDINGS = {".pt", ".pth", ".bin", ".safetensors", ".npz", ".npy"}


def unknown_architecture(name: str, known: Sequence[str]) -> ModelError:
    close = difflib.get_close_matches(name, known, n=1)
    return ModelError(
        f"open_clip has no architecture {name!r}",
        code="clip-unknown",
        hint=f"did you mean {close[0]!r}?"
        if close
        else "python -c 'import open_clip; print(open_clip.list_models())'",
    )


def unknown_tag(spec: Spec, tags: Sequence[str]) -> ModelError:
    place = Path(spec.pretrained)
    if place.suffix in _ENDINGS or len(place.parts) > 1:
        return ModelError(
            f"there is no file {spec.pretrained!r} with weights of {spec.name}",
            code="clip-unreachable",
            hint="ARCHITECTURE:FILE, the file as seen from the current directory, or absolute",
        )
    others = ", ".join(tags) or "none; ARCHITECTURE:FILE names a file"
    close = difflib.get_close_matches(spec.pretrained, tags, n=1, cutoff=0.4)
    return ModelError(
        f"{spec.name} has no weights {spec.pretrained!r}",
        code="clip-unknown-weights",
        hint=f"did you mean '{spec.name}:{close[0]}'? there are: {others}"
        if close
        else f"there are: {others}",
    )


def no_folder(spec: Spec, config: str) -> ModelError:
    is_there = spec.folder is not None and spec.folder.is_dir()
    return ModelError(
        f"the weights of {spec.text} cannot be loaded",
        code="clip-unreachable",
        why=f"{spec.folder} has no {config}" if is_there else f"there is no folder {spec.folder}",
        hint=f"local-dir: names the folder in which {config} and the weights lie",
    )


def unreachable(spec: Spec, repo: str, file: str, error: Exception) -> ModelError:
    """repo: of the Hugging Face hub, or an address.  file: what is wanted of it."""
    is_address = "://" in repo
    fetch = f"download {repo}" if is_address else f"hf download {repo} --local-dir FOLDER"
    name = f"{spec.name}:FILE" if is_address else "local-dir:FOLDER"
    return ModelError(
        f"the weights of {spec.text} are not on this machine and cannot be downloaded",
        code="clip-unreachable",
        where=repo if is_address else f"{file} of {repo} on the Hugging Face hub",
        why=_first_line(error),
        hint=f"where there is a network: {fetch}; bring it here and name it {name!r}",
    )


def no_tokenizer(spec: Spec, repo: str, error: Exception) -> ModelError:
    return ModelError(
        f"the tokenizer of {spec.text} cannot be loaded",
        code="clip-no-tokenizer",
        where=repo or None,
        why=_first_line(error),
        hint=f"where there is a network: hf download {repo}; its cache is used here"
        if repo
        else "does the folder hold the files of its tokenizer?",
    )


def not_loaded(spec: Spec, file: Path | None, device: str, error: Exception) -> ModelError:
    """open_clip could not make the network. file: of the weights, where it is known."""
    if is_out_of_memory(error):
        return ModelError(
            f"{spec.text} does not fit into the memory of {device}",
            code="out-of-memory",
            why=_first_line(error),
            hint='[mine] precision = "bf16", a smaller model, or device = "cpu"',
        )
    if file is None:
        return ModelError(
            f"{spec.text} cannot be loaded",
            code="clip-damaged" if spec.folder else "clip-unreachable",
            why=_first_line(error),
            hint="does it hold open_clip_config.json, and weights that open_clip can read?",
        )
    if _can_be_read(file):
        return ModelError(
            f"{file.name} holds no weights of {spec.name}",
            code="clip-other-weights",
            where=str(file),
            why=_first_line(error, skip="Error(s) in loading state_dict"),
            hint="name the architecture that they were saved from: ARCHITECTURE:FILE",
        )
    return ModelError(
        f"{file.name} cannot be read as weights",
        code="clip-damaged",
        where=str(file),
        why=_first_line(error),
        hint="copy or download it again: it is cut off, or no file of weights",
    )


def out_of_memory(spec: Spec, n_images: int, device: str, error: Exception) -> ModelError:
    smaller = max(1, n_images // 2)
    return ModelError(
        f"the memory of {device} does not suffice for {n_images} images at once",
        code="out-of-memory",
        where=spec.text,
        why=_first_line(error),
        hint=f'--set mine.batch_size={smaller}, or mine.precision="bf16"'
        if n_images > 1
        else "a smaller model, or the CPU: --set train.device=cpu",
    )


def not_finite(spec: Spec, precision: Precision, subject: str) -> ModelError:
    other = 'mine.precision="fp32"' if precision != "fp32" else "train.device=cpu"
    return ModelError(
        f"{spec.text} gives a vector that is not finite",
        code="embedding-not-finite",
        where=subject,
        why=f"computed in {precision}",
        hint=f"are the weights whole? if they are: --set {other}",
    )


def scale_not_finite(spec: Spec) -> ModelError:
    return ModelError(
        f"{spec.text} has a logit scale that is not finite",
        code="embedding-not-finite",
        where=spec.pretrained or spec.name,
        why="cosines times it are no probabilities",
        hint="are the weights whole? copy or download them again",
    )


def is_out_of_memory(error: Exception) -> bool:
    """Of a GPU, or of the machine: the one has a type of its own, the other is only said."""
    import torch

    said = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "not enough memory" in said
        or "can't allocate memory" in said
    )


def _can_be_read(file: Path) -> bool:
    from open_clip.factory import load_state_dict

    try:
        weights = load_state_dict(str(file))
    except Exception:
        return False
    return all(hasattr(value, "shape") for value in weights.values())


def _first_line(error: Exception, *, skip: str = "\0") -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and skip not in line]
    kind = type(error).__name__
    if not lines:
        return kind
    return lines[0][:200] if " " in lines[0] else f"{kind}: {lines[0][:200]}"
