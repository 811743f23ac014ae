from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fgvr_kit.dataset.quarantine import COPY_OF
from fgvr_kit.errors import DatasetError, SettingsError
from fgvr_kit.pipeline.check import check
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.init.aside import set_aside
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import ScannedImage, Split, Summary
from fgvr_kit.workspace import Workspace
from tests.photographs import photograph

ONLY = 'dataset.only_licence=["cc0", "CC BY 3.0"]'
LICENCES = ("CC BY 4.0", "CC0", "CC BY-NC 4.0", "CC BY-NC 4.0", "")
"""Of five images of a class in turn."""


def table(root: Path, classes: dict[str, int], licences: tuple[str, ...] = LICENCES) -> Path:
    """labels.csv beside its pictures."""
    lines, number = ["path,label,licence,observer"], 0
    for name, n in classes.items():
        for i in range(n):
            number += 1
            root.mkdir(parents=True, exist_ok=True)
            photograph(number, 40).save(root / f"{number}.png")
            lines.append(f"{number}.png,{name},{licences[i % len(licences)]},Ida")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root / "labels.csv"


def made(tmp_path: Path, *overrides: str, n: int = 20) -> tuple[Path, Summary]:
    images = table(tmp_path / "pests", {"bee": n, "wasp": n})
    return tmp_path / "work", init(images, tmp_path / "work", overrides)


def images_of(root: Path) -> list[ScannedImage]:
    with Workspace(root) as workspace:
        return workspace.store.scanned()


def test_init_tells_the_licences(tmp_path: Path) -> None:
    _, summary = made(tmp_path)
    assert summary.done["licences"] == "cc-by-nc 16, cc-by 8, cc0 8, not stated 8"


def test_a_folder_tells_no_licence(tmp_path: Path) -> None:
    for number, name in enumerate(("bee", "bee", "wasp", "wasp")):
        (tmp_path / "pests" / name).mkdir(parents=True, exist_ok=True)
        photograph(number, 40).save(tmp_path / "pests" / name / f"{number}.png")
    assert "licences" not in init(tmp_path / "pests", tmp_path / "work").done


def test_images_of_other_licences_are_set_aside_with_their_reason(tmp_path: Path) -> None:
    root, summary = made(tmp_path, ONLY)
    assert summary.done["licences"] == "cc-by 8, cc0 8"
    assert summary.done["set aside for their licence"] == "24 (cc-by-nc 16, not stated 8)"
    assert (summary.done["images"], summary.done["set aside"]) == (16, 24)
    reasons = Counter(image.set_aside for image in images_of(root))
    assert reasons == {None: 16, "licence: cc-by-nc": 16, "licence: not stated": 8}


def test_the_shares_of_a_class_are_those_of_the_images_in_use(tmp_path: Path) -> None:
    root, _ = made(tmp_path, ONLY, "dataset.test=0.25", n=40)
    used = [image for image in images_of(root) if not image.set_aside]
    sides = Counter((image.class_name, image.split) for image in used)
    assert sides == {
        (name, split): n for name in ("bee", "wasp") for split, n in (("train", 12), ("test", 4))
    }


def test_the_choice_is_kept_and_what_is_brought_back_moves_nothing(tmp_path: Path) -> None:
    root, summary = made(tmp_path, ONLY)
    before = images_of(root)
    assert init(tmp_path / "pests" / "labels.csv", root).done["images"] == summary.done["images"]
    assert images_of(root) == before
    settings = root / "fgvr.toml"
    settings.write_text(
        settings.read_text().replace('only_licence = ["cc0", "CC BY 3.0"]', "only_licence = []")
    )
    assert init(tmp_path / "pests" / "labels.csv", root).done["images"] == 40
    assert {i.path: i.split for i in images_of(root)} == {i.path: i.split for i in before}


def test_a_workspace_that_stands_gains_the_choice(tmp_path: Path) -> None:
    root, _ = made(tmp_path)
    init(tmp_path / "pests" / "labels.csv", root, [ONLY])
    with Workspace(root) as workspace:
        assert workspace.settings.dataset.only_licence == ["cc0", "CC BY 3.0"]
        assert workspace.store.n_images() == 16


def test_check_brings_back_no_image_of_another_licence(tmp_path: Path) -> None:
    root, _ = made(tmp_path, ONLY)
    before = images_of(root)
    with Workspace(root) as workspace:
        check(workspace, quarantine=True, regroup=True)
        check(workspace, release=True)
    assert images_of(root) == before


def test_shots_are_chosen_among_the_images_in_use(tmp_path: Path) -> None:
    root, _ = made(tmp_path, ONLY, "dataset.shots=3")
    trained = Counter(i.class_name for i in images_of(root) if i.split == "train" and not i.set_aside)
    assert trained == {"bee": 3, "wasp": 3}


def test_a_class_without_an_image_left_is_told_of(tmp_path: Path) -> None:
    images = table(tmp_path / "pests", {"bee": 10, "wasp": 10})
    images.write_text(images.read_text().replace(",wasp,CC BY 4.0,", ",ant,CC BY-NC 4.0,"))
    summary = init(images, tmp_path / "work", [ONLY])
    notice = next(n for n in summary.notices if n.code == "licence-class-gone")
    assert "'ant'" in notice.message
    assert summary.done["classes"] == 2


@pytest.mark.parametrize(
    ("only", "kind", "code"),
    [
        ('["cc-bye"]', SettingsError, "licence-unknown"),
        ('["cc-by-nd"]', DatasetError, "licence-leaves-nothing"),
        ("[3]", SettingsError, "settings-value"),
    ],
)
def test_a_choice_that_leaves_nothing_writes_nothing(
    tmp_path: Path, only: str, kind: type[Exception], code: str
) -> None:
    with pytest.raises(kind) as caught:
        made(tmp_path, f"dataset.only_licence={only}")
    assert getattr(caught.value, "code", "") == code
    assert not (tmp_path / "work").exists()


def test_a_reason_about_one_side_of_the_split_leaves_the_other_in_use() -> None:
    def image(split: Split) -> ScannedImage:
        return ScannedImage(f"{split}/1.jpg", "bee", split, "a" * 64, 9, 9, 1, 1)

    marked = set_aside([image("train"), image("test")], DatasetSettings(), {"a" * 64: COPY_OF["test"]})
    assert [one.set_aside for one in marked] == ["quarantined: copy of a test image", None]
