from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as Pictures

from fgvr_kit.errors import UsageError
from fgvr_kit.pipeline.called import attribute_called, image_called
from fgvr_kit.pipeline.init import init
from fgvr_kit.workspace import Workspace
from tests.photographs import class_folders, photograph


@pytest.fixture
def garden(tmp_path: Path) -> Workspace:
    folder = class_folders(tmp_path / "garden", {"bee": 3, "wasp": 3})
    photograph(1).save(folder / "bee" / "unlike.png")
    (folder / "wasp" / "empty.png").touch()
    init(folder, tmp_path)
    return Workspace(tmp_path)


def test_an_image_has_many_names(garden: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    absolute = str(tmp_path / "garden" / "bee" / "1.png")
    for text in ("bee/1.png", "garden/bee/1.png", "./garden/bee/1.png", absolute):
        assert image_called(garden, text).path == "bee/1.png"
    monkeypatch.chdir(tmp_path / "garden" / "wasp")
    assert image_called(garden, "1.png").path == "wasp/1.png"  # what lies here wins
    assert image_called(garden, "../bee/1.png").path == "bee/1.png"
    assert image_called(garden, "unlike.png").path == "bee/unlike.png"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1.png", "bee/1.png"),
        ("bee/unlke.png", "bee/unlike.png"),
        ("be/1.png", "bee/1.png"),
        ("zzzzzzz", "for example"),
    ],
)
def test_what_nobody_is_called_is_answered(garden: Workspace, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        image_called(garden, text)
    assert caught.value.code == "unknown-image"
    assert told in caught.value.hint


def test_a_file_that_is_left_out_tells_why(garden: Workspace) -> None:
    with pytest.raises(UsageError) as caught:
        image_called(garden, "wasp/empty.png")
    assert "empty" in (caught.value.why or "")


def test_boxes_are_named_behind_their_file(tmp_path: Path) -> None:
    from fgvr_kit.types import ScannedImage

    folder = class_folders(tmp_path / "garden", {"bee": 3, "wasp": 3})
    init(folder, tmp_path)
    Pictures.new("RGB", (90, 90)).save(folder / "all.png")
    with Workspace(tmp_path) as garden:
        boxes = [
            ScannedImage(
                f"all.png#{n}", "bee", "train", f"box {n}", 30, 30, 1, 1, box=(30 * n, 0, 30 * n + 30, 30)
            )
            for n in (1, 2)
        ]
        garden.store.put_images([*garden.store.scanned(), *boxes], [])
        assert image_called(garden, "all.png#2").box == (60, 0, 90, 30)
        assert image_called(garden, str(folder / "all.png#1")).path == "all.png#1"
        with pytest.raises(UsageError) as caught:
            image_called(garden, "all.png")
        assert "'all.png#1' or 'all.png#2'" in caught.value.hint


def test_attributes_are_written_with_blanks_or_underscores() -> None:
    names = ["wing_colour", "antennae"]
    assert attribute_called(names, "wing colour") == "wing_colour"
    for text in ("colour", "wing_color"):
        with pytest.raises(UsageError) as caught:
            attribute_called(names, text)
        assert "'wing_colour'" in caught.value.hint
