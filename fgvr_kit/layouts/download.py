"""Ask the `datasets` library for a dataset of the Hugging Face hub, or in a folder, and tell why it has none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit.errors import DatasetError
from fgvr_kit.settings import HUB

_NAME = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<config>[^@]+))?(@(?P<revision>.+))?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch.  name: "org/name", or a local folder.  config, revision: "" where none is named."""

    name: str
    config: str = ""
    revision: str = ""


def wanted(text: str) -> Wanted:
    """What "hf:org/name:config@revision" or "hf:FOLDER" asks for."""
    rest = text.removeprefix(HUB)
    found = _NAME.fullmatch(rest)
    if found is None or Path(rest).expanduser().is_dir():
        return Wanted(str(Path(rest).expanduser()))
    return Wanted(found["name"], found["config"] or "", found["revision"] or "")


def commit_of(asked: Wanted) -> str:
    """The commit that a revision stands for now; "" when the hub cannot be asked."""
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(asked.name, revision=asked.revision or None).sha or ""
    except Exception as error:
        if isinstance(error, OSError | ValueError) or _is_of_the_net(error):
            return ""  # not there, not allowed, no network: `loaded` tells which
        raise


def _is_of_the_net(error: BaseException) -> bool:
    """Whether it comes from the HTTP client, which is httpx or httpx2 by the version of huggingface_hub."""
    return type(error).__module__.partition(".")[0].startswith("http")


def loaded(asked: Wanted, revision: str) -> Mapping[str, Any]:
    """split -> `datasets.Dataset`, downloaded where that is not done yet. Raises DatasetError."""
    import datasets

    folder = Path(asked.name)
    if not folder.is_dir() and not _NAME.fullmatch(asked.name):
        raise DatasetError(
            f"{asked.name!r} is neither a dataset of the Hugging Face hub nor a folder", code="hub-name",
            hint="write hf:org/name, hf:org/name@revision, hf:org/name:config, or hf:FOLDER",
        )  # fmt: skip
    try:
        with _no_bars(datasets):
            if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
                found = datasets.load_from_disk(asked.name)
            else:
                at = None if folder.is_dir() else revision or None
                found = datasets.load_dataset(asked.name, asked.config or None, revision=at)
    except Exception as error:
        told = OSError | ValueError | RuntimeError | KeyError | TypeError | datasets.exceptions.DatasetsError
        if isinstance(error, told) or _is_of_the_net(error):
            raise _explained(asked, error) from error
        raise
    splits = found if isinstance(found, dict) else {str(found.split or "all"): found}
    if not any(map(len, splits.values())):
        raise _explained(asked, ValueError("it has no rows"))
    return splits


@contextmanager
def _no_bars(datasets: Any) -> Iterator[None]:
    """Only the command line draws progress."""
    shown = datasets.are_progress_bars_disabled() is False
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _explained(asked: Wanted, error: Exception) -> DatasetError:
    """What went wrong in words, by what `datasets` raises and says."""
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError
    from huggingface_hub.errors import GatedRepoError

    why = " ".join(str(error).split())[:300]
    where = f"{HUB}{asked.name}"
    is_gated = isinstance(error, GatedRepoError) or "gated" in why.lower()
    if is_gated:
        return DatasetError(
            "the dataset is gated: its owner wants to know who uses it", code="hub-gated", where=where, why=why,
            hint="agree on its page, then `hf auth login`, or set HF_TOKEN",
        )  # fmt: skip
    if isinstance(error, DataFilesNotFoundError):
        return DatasetError(
            "there are no files in it that `datasets` can read", code="hub-unreadable", where=where, why=why,
            hint="a folder of class folders is given without hf:",
        )  # fmt: skip
    if isinstance(error, DatasetNotFoundError):
        return DatasetError(
            "there is no such dataset, revision, or no access to it", code="hub-not-found", where=where, why=why,
            hint="look at its page on huggingface.co; a private one needs `hf auth login` or HF_TOKEN",
        )  # fmt: skip
    if isinstance(error, ConnectionError) or _is_of_the_net(error):
        return DatasetError(
            "the Hugging Face hub cannot be reached", code="hub-unreachable", where=where, why=why,
            hint=f"where there is a network: hf download {asked.name} --repo-type dataset --local-dir FOLDER;"
            f" then give {HUB}FOLDER here",
        )  # fmt: skip
    return _unreadable(asked, where, why)


def _unreadable(asked: Wanted, where: str, why: str) -> DatasetError:
    if "config" in why.lower():
        return DatasetError(
            "the dataset comes in several configurations" if not asked.config
            else f"there is no configuration {asked.config!r}",
            code="hub-config", where=where, why=why, hint=f"name one of them: {where}:CONFIG",
        )  # fmt: skip
    if "script" in why.lower():
        return DatasetError(
            "the dataset is a program, and programs from the hub are not run", code="hub-script", where=where,
            why=why, hint=f"many have been converted: try {where}@refs/convert/parquet",
        )  # fmt: skip
    return DatasetError(
        "the dataset cannot be read", code="hub-unreadable", where=where, why=why,
        hint="look at its page on huggingface.co, or download its files and give their folder",
    )  # fmt: skip
