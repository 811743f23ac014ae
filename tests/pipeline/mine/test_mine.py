from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fgvr_kit.errors import FgvrError
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.mine import find_negatives, find_options, fingerprint_of, mine
from fgvr_kit.types import Image
from fgvr_kit.workspace import Workspace
from tests.ejected import ejected
from tests.photographs import class_folders


def unit(rows: object) -> np.ndarray:
    values = np.asarray(rows, dtype=np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def images(classes: list[str], shas: list[str] | None = None) -> list[Image]:
    return [
        Image(i + 1, f"{name}/{i}", name, "train", (shas or [str(k) for k in range(len(classes))])[i])
        for i, name in enumerate(classes)
    ]


def test_negatives_are_the_nearest_images_of_the_most_similar_wrong_classes() -> None:
    names = ["a", "b", "c"]
    text = unit([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]])
    members = images(["a", "b", "b", "c"])
    vectors = unit([[1, 0.1, 0], [0.5, 1, 0], [1, 0.2, 0], [0, 0.1, 1]])

    found = find_negatives(members, vectors, names, text, n=2)

    assert [(x.image_id, x.rank, x.class_name, x.negative_id) for x in found if x.image_id == 1] == [
        (1, 0, "b", 3),  # text of b is nearer to image 1 than c; inside b, image 3 is nearer than 2
        (1, 1, "c", 4),
    ]
    assert found[0].image_similarity == pytest.approx(float(vectors[0] @ vectors[2]), abs=1e-6)
    assert found[0].class_similarity == pytest.approx(float(vectors[0] @ text[1]), abs=1e-6)


def test_mining_equals_brute_force_on_random_vectors() -> None:
    random = np.random.default_rng(0)
    names = [f"class {c}" for c in range(7)]
    labels = random.integers(0, 7, 120)
    members = images([names[c] for c in labels])
    vectors, text = unit(random.normal(size=(120, 16))), unit(random.normal(size=(7, 16)))
    expected = []
    for i in range(120):
        wrong = sorted((c for c in range(7) if c != labels[i]), key=lambda c: -float(vectors[i] @ text[c]))
        for rank, c in enumerate(wrong[:3]):
            inside = [j for j in range(120) if labels[j] == c]
            best = max(inside, key=lambda j: float(vectors[i] @ vectors[j]))
            expected.append((i + 1, rank, names[c], best + 1))
    found = find_negatives(members, vectors, names, text, n=3)
    assert [(x.image_id, x.rank, x.class_name, x.negative_id) for x in found] == expected


def test_the_same_picture_under_another_label_is_no_negative() -> None:
    members = images(["a", "b", "b"], ["same", "same", "other"])
    vectors = unit([[1, 0], [1, 0], [0, 1]])
    found = find_negatives(members, vectors, ["a", "b"], unit([[1, 0], [1, 1]]), n=1)
    assert {x.image_id: x.negative_id for x in found}[1] == 3


def test_a_class_without_training_images_is_no_negative() -> None:
    found = find_negatives(
        images(["a", "c"]), unit([[1, 0], [0, 1]]), ["a", "b", "c"], unit([[1, 0], [0.9, 0.1], [0, 1]]), n=2
    )
    assert {x.class_name for x in found} == {"a", "c"}
    assert len(found) == 2


def test_options_are_the_truth_and_the_most_similar_wrong_classes() -> None:
    """As FOCI: of the classes by similarity, the truth first, then the best wrong ones."""
    random = np.random.default_rng(1)
    names = [f"class {c}" for c in range(9)]
    labels = random.integers(0, 9, 40)
    vectors, text = unit(random.normal(size=(40, 8))), unit(random.normal(size=(9, 8)))
    found = find_options(images([names[c] for c in labels]), vectors, names, text, n=4)
    for i in range(40):
        top = list(np.argsort(vectors[i] @ text.T)[::-1])
        wrong = [c for c in top if c != labels[i]][:3]
        assert [o.class_name for o in found if o.image_id == i + 1] == [names[c] for c in (labels[i], *wrong)]


def test_fewer_classes_than_options_gives_all_classes() -> None:
    found = find_options(images(["a"]), unit([[1, 0]]), ["a", "b"], unit([[1, 0], [0, 1]]), n=4)
    assert [o.class_name for o in found] == ["a", "b"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = class_folders(tmp_path / "pests", {"bee": 5, "wasp": 5, "ant": 5})
    init(folder, tmp_path / "work")
    return Workspace(tmp_path / "work", ["mine.model=toy-clip", "mine.batch_size=4"])


def test_mining_fills_both_tables_and_says_what_it_rests_on(workspace: Workspace, cache_folder: Path) -> None:
    summary = mine(workspace)
    store = workspace.store
    assert {len(negatives) for negatives in store.negatives().values()} == {2}
    assert set(store.negatives()) == {image.id for image in store.images("train")}
    assert {len(options) for options in store.options().values()} == {3}
    assert set(store.options()) == {image.id for image in store.images("test")}
    assert summary.notes == ("toy-clip: untrained toy model",)
    assert store.walk()["mine"]["summary"]["notes"] == ["toy-clip: untrained toy model"]


def test_a_second_run_embeds_nothing_and_a_killed_one_ends_alike(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    from fgvr_kit.embedding import Clip

    mine(workspace)
    whole = (workspace.store.negatives(), workspace.store.options())
    vectors = dict(workspace.store.db.execute("select subject, vector from embeddings").fetchall())
    image_rows = [s for s in vectors if not s.startswith("text:")]
    for subject in image_rows[6:]:  # as if killed after some batches
        workspace.store.db["embeddings"].delete_where("subject = ?", [subject])
    mine(workspace)
    assert (workspace.store.negatives(), workspace.store.options()) == whole
    assert (
        dict(workspace.store.db.execute("select subject, vector from embeddings").fetchall()).keys()
        == vectors.keys()
    )

    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded although every vector is stored")

    monkeypatch.setattr(Clip, "_load", refuse)
    mine(workspace)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("", "no-mine-model"),
        ("ViT-L-14", "mine-model-spec"),
        ("ViT-L-41:openai", "clip-unknown"),
        ("ViT-B-32:no-such-tag", "clip-unreachable"),
        ("ViT-B-32:/nowhere/weights.pt", "clip-unreachable"),
    ],
)
def test_a_wrong_clip_model_is_named(workspace: Workspace, model: str, code: str) -> None:
    other = Workspace(workspace.root, [f"mine.model='{model}'"])
    with pytest.raises(FgvrError) as caught:
        mine(other)
    assert caught.value.code == code
    assert caught.value.hint
    assert other.store.negatives() == {}


def test_a_prompt_edited_while_images_are_embedded_makes_the_step_stale(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    from fgvr_kit.embedding import Clip

    prompt, embed = ejected(workspace.root, "mine/class"), Clip.images

    def edit_and_embed(self: Clip, *args: object, **options: object) -> object:
        prompt.write_text(prompt.read_text() + "\nBlurred.")
        return embed(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Clip, "images", edit_and_embed)
    mine(workspace)
    assert workspace.store.walk()["mine"]["fingerprint"] != fingerprint_of(workspace)


def test_without_its_database_a_workspace_is_to_be_initialised_again(workspace: Workspace) -> None:
    shutil.rmtree(workspace.state)
    with Workspace(workspace.root, ["mine.model=toy-clip"]) as again, pytest.raises(FgvrError) as caught:
        mine(again)
    assert caught.value.code == "no-images"
