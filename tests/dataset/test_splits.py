from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256

from fgvr_kit.dataset.splits import SHOTS, Shares, assign_splits, keep_shots
from fgvr_kit.types import ScannedImage, Side, Split


def image(path: str, split: Split | None = None, pixels: str | None = None) -> ScannedImage:
    digest = sha256((pixels or path).encode()).hexdigest()
    return ScannedImage(path, path.split("/")[0], split, digest, 1, 1, 1, 1)


def assign(
    images: list[ScannedImage],
    *,
    test: float = 0.2,
    val: float = 0.0,
    seed: int = 0,
    stored: dict[str, Side] | None = None,
    groups: list[list[int]] | None = None,
    names: list[list[str]] | None = None,
) -> tuple[dict[str, Split | None], dict[str, Side]]:
    """path -> split, and the sides to store; every image a group of its own where no groups are given."""
    members = groups or [[n] for n in range(len(images))]
    found, sides = assign_splits(images, members, Shares(test, val, seed), stored or {}, names or [])
    return {i.path: i.split for i in found}, sides


def bees(n: int, start: int = 0) -> list[ScannedImage]:
    return [image(f"bee/{i}") for i in range(start, start + n)]


def test_every_class_is_split_by_the_same_share() -> None:
    images = [image(f"{name}/{i}") for name, n in (("bee", 50), ("wasp", 10), ("ant", 2)) for i in range(n)]
    found, _ = assign(images, val=0.1)
    assert Counter((path.split("/")[0], split) for path, split in found.items()) == {
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
    assert assign([image("bee/1")], test=0.5, val=0.4)[0] == {"bee/1": "train"}


def test_the_seed_decides_and_the_order_of_files_does_not() -> None:
    first, _ = assign(bees(40), test=0.3)
    assert assign(bees(40)[::-1], test=0.3)[0] == first
    assert assign(bees(40), test=0.3, seed=1)[0] != first


def test_added_images_move_no_old_one_and_are_assigned_by_their_hash_alone() -> None:
    old, sides = assign(bees(30), val=0.1)
    new, _ = assign(bees(500), val=0.1, stored=sides)
    assert {path: new[path] for path in old} == old
    added = {path: split for path, split in new.items() if path not in old}
    shares = Counter(added.values())
    assert 0.15 < shares["test"] / len(added) < 0.25
    assert 0.06 < shares["val"] / len(added) < 0.14
    # In two helpings, and in another order: the same sides.
    half, sides_of_half = assign(bees(250), val=0.1, stored=sides)
    again, _ = assign(bees(500)[::-1], val=0.1, stored={**sides, **sides_of_half})
    assert again == new
    assert {path: new[path] for path in half} == half


def test_a_picture_that_was_away_comes_back_to_its_side() -> None:
    _, sides = assign(bees(30))
    found, _ = assign(bees(10, start=10), stored=sides)
    assert found == {i.path: sides[i.sha256].split for i in bees(10, start=10)}


def test_a_class_that_had_no_test_image_gets_one_from_what_is_added() -> None:
    _, sides = assign([image("bee/0")])
    found, _ = assign([image("bee/0"), image("bee/7")], stored=sides)
    assert found == {"bee/0": "train", "bee/7": "test"}


def test_a_class_that_is_new_is_split_by_its_shares() -> None:
    _, sides = assign(bees(30))
    images = [*bees(30), *(image(f"wasp/{i}") for i in range(10))]
    found, _ = assign(images, stored=sides)
    assert Counter(split for path, split in found.items() if path.startswith("wasp")) == {
        "test": 2,
        "train": 8,
    }


def test_a_group_is_never_torn() -> None:
    images = [image(f"{c}/{i}") for c in ("bee", "wasp") for i in range(60)]
    groups = [[3 * n, 3 * n + 1, 3 * n + 2] for n in range(40)]
    found, sides = assign(images, test=0.3, val=0.1, groups=groups)
    splits = list(found.values())
    assert all(len({splits[n] for n in group}) == 1 for group in groups)
    assert 30 <= Counter(splits)["test"] <= 42
    assert all(len({sides[images[n].sha256].group for n in group}) == 1 for group in groups)


def test_a_large_group_does_not_swallow_the_share() -> None:
    """Twenty images, eighteen of them one film: the film is trained on, the rest is tested."""
    found, _ = assign(bees(20), groups=[[*range(18)], [18], [19]])
    assert found["bee/0"] == "train"
    assert "test" in {found["bee/18"], found["bee/19"]}


def test_a_new_member_follows_its_group() -> None:
    _, sides = assign(bees(30))
    for first in range(10):
        images = [*bees(30), image("bee/new")]
        groups = [[first, 30], *([n] for n in range(30) if n != first)]
        found, _ = assign(images, stored=sides, groups=groups)
        assert found["bee/new"] == found[f"bee/{first}"]


def test_the_side_of_a_named_group_holds_while_its_images_are_away() -> None:
    images = bees(60)
    members = [[3 * n, 3 * n + 1, 3 * n + 2] for n in range(20)]
    names = [[f"observer={n // 3}"] for n in range(60)]
    found, sides = assign(images, test=0.4, groups=members, names=names)
    assert {side.group for side in sides.values()} == {f"observer={n}" for n in range(20)}
    others = [image(f"bee/new {n}") for n in range(20)]
    later, _ = assign(others, test=0.4, stored=sides, names=[[f"observer={n}"] for n in range(20)])
    assert [later[f"bee/new {n}"] for n in range(20)] == [found[f"bee/{3 * n}"] for n in range(20)]


def test_a_name_keeps_its_side_when_what_joined_it_to_another_is_gone() -> None:
    """Nearly one picture of two observers joins all of theirs; either name is found again by itself."""
    for seed in range(8):
        found, sides = assign(bees(6), test=0.4, seed=seed, groups=[[0, 1, 2, 3], [4], [5]],
                              names=[["by=ann"], ["by=ann"], ["by=bob"], ["by=bob"], [], []])  # fmt: skip
        later, _ = assign([image("bee/7")], stored=sides, test=0.4, seed=seed, names=[["by=bob"]])
        assert later["bee/7"] == found["bee/2"]


def test_copies_of_a_picture_share_a_split_across_classes() -> None:
    images = [image(f"{c}/{i}", pixels=str(i)) for c in ("bee", "wasp") for i in range(20)]
    found, _ = assign(images, test=0.5, groups=[[n, n + 20] for n in range(20)])
    assert all(found[f"bee/{i}"] == found[f"wasp/{i}"] for i in range(20))


def test_a_split_that_the_dataset_brings_is_kept_and_a_regrouped_one_stands_before_it() -> None:
    images = [image("bee/1", "val"), image("bee/2", "test"), image("bee/3", "train")]
    found, sides = assign(images)
    assert list(found.values()) == ["val", "test", "train"]
    assert {side.by for side in sides.values()} == {"layout"}
    mended = {images[1].sha256: Side("train", "g", "regroup")}
    found, sides = assign(images, stored={**sides, **mended})
    assert list(found.values()) == ["val", "train", "train"]
    assert sides[images[1].sha256].by == "regroup"


def test_images_without_a_split_beside_some_with_one_are_drawn() -> None:
    images = [image("bee/1", "test"), *bees(50, start=2)]
    found, _ = assign(images)
    assert Counter(found.values())["test"] > 3


def test_shots_come_from_as_many_groups_as_there_are() -> None:
    images = [replace(i, split="train", group=f"plant {n // 5}") for n, i in enumerate(bees(20))]
    kept = [i for i in keep_shots(images, 4, 0) if not i.set_aside]
    assert sorted(i.group or "" for i in kept) == ["plant 0", "plant 1", "plant 2", "plant 3"]
    six = {i.path for i in keep_shots(images, 6, 0) if not i.set_aside}
    assert {i.path for i in kept} < six
    assert len(six) == 6


def test_shots_take_nothing_from_the_test_images_and_zero_takes_nothing() -> None:
    images = [replace(i, split="test" if n < 5 else "train") for n, i in enumerate(bees(20))]
    assert keep_shots(images, 0, 0) == images
    found = keep_shots(images, 3, 0)
    assert Counter((i.split, i.set_aside) for i in found) == {
        ("test", None): 5,
        ("train", None): 3,
        ("train", SHOTS): 12,
    }
