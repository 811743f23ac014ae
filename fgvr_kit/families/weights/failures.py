"""What goes wrong when a checkpoint is opened, in our words, with the next move."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fgvr_kit.errors import ModelError

_OURS = {"torchvision", "num2words", "torch", "bitsandbytes", "accelerate"}
"""What the extra [local] brings."""


@contextmanager
def told(shown: str) -> Iterator[None]:
    """Turn what transformers, safetensors and the hub raise about a checkpoint into a ModelError.

    shown: its name.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("fgvr_kit"):
            raise
        raise _missing_package(shown, error) from error
    except (OSError, ValueError) as error:
        raise _missing(shown, error) if isinstance(error, OSError) else _unreadable(shown, error) from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":  # the package is loaded only where there is one
            raise
        raise ModelError(
            f"the weights of {shown} cannot be read",
            code="model-broken",
            why=str(error),
            hint="the file is damaged or cut short: download it again",
        ) from error


def _missing(shown: str, error: OSError) -> ModelError:
    kinds = {type(one).__name__ for one in _chain(error)}
    why = _first(error)
    if "GatedRepoError" in kinds:
        return ModelError(
            f"{shown} is given only to people who accepted its terms",
            code="model-gated",
            why=why,
            hint=f"accept them on https://huggingface.co/{shown}, then log in on this machine: hf auth login",
        )
    if "RepositoryNotFoundError" in kinds:
        return ModelError(
            f"there is no model {shown} on the hub, or it is private",
            code="model-not-found",
            why=why,
            hint="check the name; for a private one log in: hf auth login",
        )
    if "RemoteEntryNotFoundError" in kinds or "EntryNotFoundError" in kinds:
        return ModelError(
            f"{shown} does not hold what a model of transformers holds",
            code="model-not-found",
            why=why,
            hint="repositories of GGUF or original weights cannot be used: look for one in transformers' format",
        )
    return ModelError(
        f"the model {shown} cannot be opened",
        code="model-not-found",
        why=why,
        hint=f"check the name and the connection; without one, download it elsewhere "
        f"(hf download {shown.replace('@', ' --revision ')} --local-dir FOLDER) and give FOLDER",
    )


def _unreadable(shown: str, error: ValueError) -> ModelError:
    own_code = "trust_remote_code" in str(error) or "custom code" in str(error)
    return ModelError(
        f"the model {shown} cannot be opened",
        code="model-unreadable",
        why="it brings program code of its own, which is not run here" if own_code else _first(error),
        hint="look for its version in transformers' own format (often named -hf)"
        if own_code
        else "a newer transformers may know it: pip install -U transformers",
    )


def _missing_package(shown: str, error: ImportError) -> ModelError:
    found = error.name or next(iter(re.findall(r"pip install (?:-U )?([\w-]+)", str(error))), "")
    named = found or next((one for one in sorted(_OURS) if one in str(error)), "")
    ours = f"pip install 'fgvr-kit[local]' brings {named}"
    return ModelError(
        f"the model {shown} needs a package that is not installed",
        code="package-missing",
        why=_first(error),
        hint=ours if named in _OURS else f"pip install {named or 'what is named above'}",
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
