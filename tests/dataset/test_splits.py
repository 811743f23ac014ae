from __future__ import annotations

from collections import Counter
from hashlib import sha256

from fgvr_kit.dataset.splits import assign_splits
from fgvr_kit.types import ScannedImage, Split


def image(path: str, split: Split | None = None, pixels: str | None = None) -> ScannedImage:
    digest = sha256((pixels or path).encode()).hexdigest()
    return ScannedImage(path, path.split("/")[0], split, digest, 1, 1, 1, 1)


def splits_of(images: list[ScannedImage]) -> dict[str, str | None]:
    return {i.path: i.split for i in images}


def test_every_class_is_split_by_the_same_share() -> None:
    images = [image(f"{name}/{i}") for name, n in (("bee", 50), ("wasp", 10), ("ant", 2)) for i in range(n)]
    found = assign_splits(images, test=0.2, val=0.1, seed=0, stored={})
    assert Counter((i.class_name, i.split) for i in found) == {
        ("bee", "test"): 10,
        ("bee", "val"): 5,
        ("bee", "train"): 35,
        ("wasp", "test"): 2,
        ("wasp", "val"): 1,
        ("wasp", "train"): 7,
        ("ant", "test"): 1,
        ("ant", "train"): 1,
    }


def test_a_single_image_is_trained_on() -> None:
    assert assign_splits([image("bee/1")], test=0.5, val=0.4, seed=0, stored={})[0].split == "train"


def test_the_seed_decides_and_the_order_of_files_does_not() -> None:
    images = [image(f"bee/{i}") for i in range(40)]
    first = splits_of(assign_splits(images, test=0.3, val=0, seed=0, stored={}))
    assert splits_of(assign_splits(images[::-1], test=0.3, val=0, seed=0, stored={})) == first
    assert splits_of(assign_splits(images, test=0.3, val=0, seed=1, stored={})) != first


def test_added_images_move_no_old_one() -> None:
    old = assign_splits([image(f"bee/{i}") for i in range(30)], test=0.2, val=0.1, seed=0, stored={})
    stored = {i.sha256: i.split for i in old if i.split}
    new = assign_splits([image(f"bee/{i}") for i in range(60)], test=0.2, val=0.1, seed=0, stored=stored)
    assert {i.path: i.split for i in new if i.sha256 in stored} == splits_of(old)
    assert Counter(i.split for i in new) == {"test": 12, "val": 6, "train": 42}


def test_copies_of_a_picture_share_a_split_across_classes() -> None:
    images = [image(f"{c}/{i}", pixels=str(i)) for c in ("bee", "wasp") for i in range(20)]
    found = splits_of(assign_splits(images, test=0.5, val=0, seed=0, stored={}))
    assert all(found[f"bee/{i}"] == found[f"wasp/{i}"] for i in range(20))


def test_a_split_that_the_folder_brings_is_kept() -> None:
    images = [image("bee/1", "val"), image("bee/2", "test"), image("bee/3", "train")]
    assert assign_splits(images, test=0.9, val=0, seed=0, stored={}) == images


def test_large_shares_leave_something_to_train_on() -> None:
    images = [image(f"bee/{i}") for i in range(10)]
    assert Counter(i.split for i in assign_splits(images, test=0.95, val=0.9, seed=0, stored={})) == {
        "test": 9,
        "train": 1,
    }
    assert Counter(i.split for i in assign_splits(images, test=0.5, val=0.5, seed=0, stored={})) == {
        "test": 5,
        "val": 4,
        "train": 1,
    }
