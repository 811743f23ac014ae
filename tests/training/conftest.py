"""A workspace as `init`, `attributes` and `mine` leave it: four classes of coloured squares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image as PilImage

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.types import Description, Negative, ScannedImage, Split
from fgvr_kit.workspace import Workspace

COLOURS = {"black ant": (20, 20, 20), "red ant": (200, 40, 30), "wasp": (220, 200, 40), "bee": (150, 110, 40)}
TOML = """
[dataset]
path = "images"
[domain]
superclass = "insect"
unit = "species"
[train]
model = "toy-vlm"
device = "cpu"
[finedefics]
micro_batch = 4
align_batch = 4
instruct_batch = 8
save_steps = 2
gradient_checkpointing = false
"""


def build_workspace(root: Path, n_train: int = 3) -> Workspace:
    """Four classes with n_train training images and one test image each; two negatives an image."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "fgvr.toml").write_text(TOML)
    (root / "classes.csv").write_text(
        "class,display_name,synonyms,note\n" + "".join(f"{name},{name.title()},,\n" for name in COLOURS)
    )
    scanned = []
    for name, (r, g, b) in COLOURS.items():
        for n in range(n_train + 1):
            path = root / "images" / name / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PilImage.new("RGB", (32 + n, 32), (r, g, b + n)).save(path)
            split: Split = "test" if n == n_train else "train"
            scanned.append(
                ScannedImage(f"{name}/{n}.png", name, split, pixel_sha256(open_image(path)), 32 + n, 32, 1, 1)
            )
    workspace = Workspace(root)
    store = workspace.store
    store.put_images(scanned, [])
    images = store.images("train")
    store.put_descriptions(
        [
            Description(i.id, f"The {i.class_name} is seen from above, number {i.path}.", "model")
            for i in images
        ]
    )
    negatives = []
    for image in images:
        others = sorted(name for name in COLOURS if name != image.class_name)[:2]
        for rank, other in enumerate(others):
            negative = next(i for i in images if i.class_name == other)
            negatives.append(Negative(image.id, rank, negative.id, other, 0.9 - rank / 10, 0.8))
    store.put_mined(negatives, [])
    return workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with build_workspace(tmp_path / "work") as built:
        yield built


@pytest.fixture
def reopen(workspace: Workspace) -> Callable[..., Workspace]:
    """The same workspace with other settings: reopen("finedefics.seed=1")."""
    return lambda *overrides: Workspace(workspace.root, overrides)
