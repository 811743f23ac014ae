"""How datasets lie on a disk: what a layout is, and which one a folder has.

A file in this room is a layout. It holds `ABOUT` (how it is shown: "<class>/*"), `sign_of(place) -> str | None`
(by what it is recognised) and `read(source) -> Listing` (every image with its class, nothing opened).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from fgvr_kit import plugins
from fgvr_kit.dataset.files import walk, why_not
from fgvr_kit.errors import DatasetError
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import HUB, DatasetSettings
from fgvr_kit.types import Entry, Notice, Skipped

ORDER = (
    "cub_200_2011",
    "stanford_dogs",
    "fgvc_aircraft",
    "flowers_102",
    "oxford_iiit_pet",
    "stanford_cars",
    "camtrap_dp",
    "coco",
    "imagefolder",
    "splits",
    "table",
    "classes",
)
"""Who is asked first: what is told by files of its own before what any folder may look like. A layout from
outside is asked before all of them."""


@dataclass(frozen=True, slots=True)
class Source:
    """What `init` was pointed at.  place: the file or folder, for "hf:..." the folder it is kept in.

    name: as the user wrote it.  settings: the columns, margin and root that the user named.
    """

    name: str
    place: Path
    settings: DatasetSettings = field(default_factory=DatasetSettings)
    progress: Progress = SILENT


@dataclass(frozen=True, slots=True)
class Listing:
    """Every image a dataset lists.  root: what the entries' files are relative to.

    skipped: what was left out without opening it.  classes: class name -> cells of its row in classes.csv that
    the dataset itself knows ("parent", "scientific"), all optional.
    """

    root: Path
    entries: list[Entry]
    skipped: list[Skipped] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    classes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A layout, and by which sign it was recognised."""

    name: str
    module: ModuleType
    sign: str


def find_layout(source: Source) -> Found:
    """The layout of a dataset: the one the settings name, or the first that recognises it.

    Raises PluginError for an unknown name, DatasetError when the place is missing or nobody recognises it.
    """
    if (wanted := source.settings.layout) != "auto":
        _refuse_hub_of_a_folder(source, plugins.normalise(wanted))
        module = plugins.load("layouts", wanted)
        return Found(plugins.normalise(wanted), module, "named by the setting dataset.layout")
    if source.name.startswith(HUB):
        return Found("huggingface", plugins.load("layouts", "huggingface"), f"the name begins with {HUB}")
    if not source.place.exists():
        raise DatasetError(
            "there is no such folder or file",
            code="dataset-not-found",
            where=str(source.place),
            hint="give the folder that holds one folder for each class, or a table of them (.csv, .tsv, .jsonl)",
        )
    names = plugins.names("layouts")
    ours = [name for name in ORDER if name in names]
    for name in [*(name for name in names if name not in (*ours, "huggingface")), *ours]:
        module = plugins.load("layouts", name)
        if sign := module.sign_of(source.place):
            return Found(name, module, sign)
    raise _unrecognised(source.place)


def _refuse_hub_of_a_folder(source: Source, wanted: str) -> None:
    """The hub's layout copies into Source.place, which must be a folder of the workspace."""
    if (wanted == "huggingface") != source.name.startswith(HUB):
        raise DatasetError(
            f"the layout {wanted!r} is not for {source.name!r}",
            code="dataset-layout",
            where=str(source.place),
            hint=f"{HUB}FOLDER reads a folder as the datasets library does; leave --layout out otherwise",
        )


def no_images(place: Path, skipped: Sequence[Skipped]) -> DatasetError:
    """The error of a dataset in which no file can be used."""
    reasons = Counter(s.reason for s in skipped).most_common(1)
    return DatasetError(
        "there is no usable image in the dataset",
        code="dataset-no-images",
        where=str(place),
        why=f"{len(skipped):,} files were left out, most often because: {reasons[0][0]}"
        if reasons
        else "it is empty",
        hint="expected: one folder for each class with its images inside, such as beetle/1.jpg",
    )


def _unrecognised(place: Path) -> DatasetError:
    if place.is_dir():
        skipped: list[Skipped] = []
        reasons = [(path, why_not(path)) for path in walk(place, skipped)]
        if all(reason for _, reason in reasons):
            return no_images(place, [*skipped, *(Skipped(path, why) for path, why in reasons if why)])
        return DatasetError(
            "no class folder and no table of labels was found in the folder",
            code="dataset-layout",
            where=str(place),
            why="its images lie in no class folder, and no .csv, .tsv or .jsonl names them with a label",
            hint="put them into one folder for each class, or name a table: fgvr-kit init labels.csv",
        )
    archive = place.name.lower().endswith((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"))
    return DatasetError(
        "this is an archive, not a folder" if archive else "this file is no table of labelled images",
        code="dataset-is-archive" if archive else "dataset-is-file",
        where=str(place),
        hint="unpack it and give the folder"
        if archive
        else "give a folder, or a table with the columns path and label (.csv, .tsv, .jsonl), or COCO boxes (.json)",
    )
