from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from fgvr_kit.training.data.examples import align_digest, align_examples, instruct_examples
from fgvr_kit.training.data.material import Material
from fgvr_kit.training.data.selection import chosen_images, negatives_among
from fgvr_kit.types import Image
from fgvr_kit.workspace import Workspace


def per_class(images: tuple[Image, ...]) -> Counter[str]:
    return Counter(image.class_name for image in images)


def grown(workspace: Workspace, n: int) -> None:
    """The class "bee" has n more images than the others."""
    scanned = workspace.store.scanned()
    bee = next(one for one in scanned if one.class_name == "bee" and one.split == "train")
    more = [replace(bee, path=f"bee/more-{i}.png", sha256=f"{i:064x}") for i in range(n)]
    workspace.store.put_images([*scanned, *more], [])


def test_shots_are_as_many_of_each_class_and_hang_on_the_seed(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    with reopen("train.shots=1") as few:
        chosen = {seed: chosen_images(few, seed) for seed in range(4)}
        assert all(
            per_class(c.train) == dict.fromkeys(("bee", "wasp", "red ant", "black ant"), 1)
            for c in chosen.values()
        )
        assert chosen[0] == chosen_images(few, 0)
        assert len({c.train for c in chosen.values()}) > 1
        assert chosen[0].dropped == (("training images", 8, "not one of the 1 shots of their class"),)
        assert align_digest(few) != align_digest(workspace)


def test_negatives_of_few_shots_are_shots_themselves(reopen: Callable[..., Workspace]) -> None:
    with reopen("train.shots=1") as few:
        train = chosen_images(few, 42).train
        negatives, dropped = negatives_among(few, train, random_ones=False, seed=42)
        ids = {image.id for image in train}
        assert not dropped
        assert {n.negative_id for ns in negatives.values() for n in ns} <= ids
        assert len(align_examples(few).rows) == 4
        class_of = {image.id: image.class_name for image in train}
        assert all(class_of[n.negative_id] == n.class_name for ns in negatives.values() for n in ns)


def test_a_balanced_sample_sees_every_class_equally_often(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    grown(workspace, 4)
    plain = chosen_images(workspace, 0).train
    assert per_class(plain) == {"bee": 7, "wasp": 3, "red ant": 3, "black ant": 3}
    with reopen("train.sampler='balanced'") as even:
        train = chosen_images(even, 0).train
        assert set(per_class(train).values()) == {7}
        seen = Counter(image.id for image in train if image.class_name == "wasp")
        assert sorted(seen.values()) == [2, 2, 3]


def test_whole_groups_are_held_out_to_validate_and_not_trained_on(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    grown(workspace, 4)
    with workspace.store.transaction():
        workspace.store.db.execute("update images set group_key = 'burst' where path like 'bee/more-%'")
    with reopen("train.val_share=0.34") as held:
        chosen = chosen_images(held, 0)
        assert {i.id for i in chosen.val}.isdisjoint(i.id for i in chosen.train)
        assert set(per_class(chosen.val)) == {"bee", "wasp", "red ant", "black ant"}
        sides = {
            "train" if image in chosen.train else "val"
            for image in (*chosen.train, *chosen.val)
            if "more" in image.path
        }
        assert len(sides) == 1
        assert chosen.val == chosen_images(held, 1).val
        used = {row.image.sha256 for row in instruct_examples(held).rows}
        assert used.isdisjoint(image.sha256 for image in chosen.val)


def test_random_negatives_are_of_other_classes_and_hang_on_the_seed(workspace: Workspace) -> None:
    train = chosen_images(workspace, 0).train
    drawn = {seed: negatives_among(workspace, train, random_ones=True, seed=seed)[0] for seed in (0, 1)}
    class_of = {image.id: image.class_name for image in train}
    for image in train:
        names = [n.class_name for n in drawn[0][image.id]]
        assert len(set(names)) == 2
        assert image.class_name not in names
        assert names == [class_of[n.negative_id] for n in drawn[0][image.id]]
    assert drawn[0] != drawn[1]
    assert (
        instruct_examples(workspace, Material(negatives_from="random")).rows[1]
        != instruct_examples(workspace).rows[1]
    )


def test_classes_that_were_merged_or_emptied_since_mining_are_no_negatives(workspace: Workspace) -> None:
    store = workspace.store
    with store.transaction():  # as `init` leaves it when classes.csv merges wasps into bees
        store.db.execute("update images set class = 'bee' where class = 'wasp'")
        store.db.execute("update images set split = 'test' where class = 'black ant'")
    train = chosen_images(workspace, 0).train
    negatives, dropped = negatives_among(workspace, train, random_ones=False, seed=0)
    whose = {image.id: image.class_name for image in train}
    assert {n.class_name for ns in negatives.values() for n in ns} == {"bee", "red ant"}
    assert all(n.class_name != whose[key] for key, ns in negatives.items() for n in ns)
    assert dropped["negatives", "its class is the image's own since mining: fgvr-kit mine"] > 0
    assert dropped["negatives", "its class has no training images any more: fgvr-kit mine"] > 0
    assert align_examples(workspace).rows
