"""The papers' datasets at full length: lists as long as the originals, every image file there and empty.

The test splits must be those of the papers; how long it takes to read the lists is printed.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from fgvr_kit.layouts.base import Source, find_layout
from tests.layouts import papers

pytestmark = [pytest.mark.slow, pytest.mark.bench]

# layout: (classes, training images, validation images, test images)
ORIGINALS = {
    "cub_200_2011": ([f"{i:03d}.Bird_{i}" for i in range(1, 201)], 5994, 0, 5794),
    "stanford_dogs": ([f"n{i:08d}-Breed_{i}" for i in range(1, 121)], 12000, 0, 8580),
    "fgvc_aircraft": ([f"{i}-200" for i in range(1, 101)], 3334, 3333, 3333),
    "flowers_102": ([str(i) for i in range(1, 103)], 1020, 1020, 6149),
    "oxford_iiit_pet": ([f"{'Cat' if i < 13 else 'dog'}_{i}" for i in range(1, 38)], 3680, 0, 3669),
    "stanford_cars": ([f"Make Model {i} 2012" for i in range(1, 197)], 8144, 0, 8041),
}


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_test_split_is_that_of_the_papers(tmp_path: Path, name: str) -> None:
    classes, train, val, test = ORIGINALS[name]
    place = getattr(papers, name)(tmp_path, papers.evenly(classes, train, val, test), drawn=False)
    start = time.perf_counter()
    found = find_layout(Source(str(place), place))
    listing = found.module.read(Source(str(place), place))
    seconds = time.perf_counter() - start
    print(f"\n{name}: {len(listing.entries):,} images listed in {seconds:.2f} s")
    assert found.name == name
    counts = Counter(entry.split for entry in listing.entries)
    assert (counts["train"], counts["val"], counts["test"]) == (train, val, test)
    assert len({entry.class_name for entry in listing.entries}) == len(classes)
    assert len({entry.class_name for entry in listing.entries if entry.split == "test"}) == len(classes)
    assert listing.skipped == []
    assert "test-split-size" not in {notice.code for notice in listing.notices}
