"""The papers' datasets as the tests unpack them, a few images each, and what reading one gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts.base import Listing, Source, find_layout
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Entry
from tests.layouts import papers
from tests.layouts.papers import Counts


@dataclass(frozen=True)
class Paper:
    """A dataset as the tests unpack it.  home: of its lists, below the place.  folder: one of its images.
    classes: how it calls the classes.  notices: what is told of the whole dataset."""

    make: Callable[..., Path]
    counts: Counts
    home: str
    folder: str
    classes: list[str]
    notices: list[str]


ALBATROSS, BUNTING = "001.Black_footed_Albatross", "014.Indigo_Bunting"
PAPERS = {
    "cub_200_2011": Paper(
        papers.cub_200_2011, {ALBATROSS: (2, 0, 1), BUNTING: (1, 0, 2)}, "CUB_200_2011", "images",
        ["Black_footed_Albatross", "Indigo_Bunting"], ["in-imagenet"],
    ),
    "stanford_dogs": Paper(
        papers.stanford_dogs,
        {"n02085620-Chihuahua": (2, 0, 1), "n02099267-flat-coated_retriever": (1, 0, 2)}, "", "Images",
        ["Chihuahua", "flat-coated_retriever"], ["in-imagenet"],
    ),
    "fgvc_aircraft": Paper(
        papers.fgvc_aircraft, {"737-200": (1, 1, 2), "F/A-18": (2, 0, 1)}, "fgvc-aircraft-2013b", "data/images",
        ["737-200", "F/A-18"], ["aircraft-banner"],
    ),
    "flowers_102": Paper(
        papers.flowers_102, {"1": (1, 1, 2), "102": (2, 0, 1)}, "", "jpg",
        ["pink primrose", "blackberry lily"], ["flowers-few-train"],
    ),
    "oxford_iiit_pet": Paper(
        papers.oxford_iiit_pet, {"Egyptian_Mau": (2, 0, 1), "american_bulldog": (1, 0, 2)}, "", "images",
        ["Egyptian_Mau", "american_bulldog"], [],
    ),
    "stanford_cars": Paper(
        papers.stanford_cars, {"AM General Hummer SUV 2000": (2, 0, 1), "Ram C/V Van 2012": (1, 0, 2)}, "",
        "cars_test", ["AM General Hummer SUV 2000", "Ram C/V Van 2012"], [],
    ),
}  # fmt: skip
WITH_LABELS = "cars_test_annos_withlabels.mat"
EACH = pytest.mark.parametrize("name", PAPERS)


def unpacked(name: str, root: Path) -> Path:
    return PAPERS[name].make(root, PAPERS[name].counts)


def listed(place: Path, layout: str = "auto") -> tuple[str, Listing]:
    source = Source(str(place), place, DatasetSettings(layout=layout))
    found = find_layout(source)
    return found.name, found.module.read(source)


def refused(place: Path, layout: str = "auto") -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        listed(place, layout)
    return caught.value


def entries(name: str, root: Path) -> list[Entry]:
    return listed(unpacked(name, root) / PAPERS[name].home)[1].entries


def drop_last_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
