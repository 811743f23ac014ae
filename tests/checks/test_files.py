from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fgvr_kit.checks import files
from fgvr_kit.dataset.decoding import damage_of
from fgvr_kit.dataset.folder import scan
from fgvr_kit.dataset.images import open_image
from fgvr_kit.errors import ImageError
from fgvr_kit.types import Entry, Skipped
from tests.checks.conftest import Datasets, of_kind, pairs, photographs
from tests.photographs import photograph


def rotten(path: Path) -> None:
    """A JPEG out of whose middle some bytes are gone: it opens, and its lower half is wrong."""
    photograph(99).save(path, quality=90)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 200 :])


def test_what_should_have_been_an_image_is_told_from_what_is_none(datasets: Datasets, tmp_path: Path) -> None:
    bee = photographs(tmp_path / "pests", ["bee/1.jpg", "bee/2.jpg", "wasp/1.jpg", "wasp/2.jpg"]) / "bee"
    unusable = {
        "empty.jpg": b"",
        "pointer.png": b"version https://git-lfs.github.com/spec/v1\n",
        "page.jpg": b"<!DOCTYPE html><p>not found",
        "noise.jpg": b"\x01\x02" * 999,
        "cut.jpg": (bee / "1.jpg").read_bytes()[:2000],
        "bad.png": b"\x89PNG\r\n\x1a\n" + bytes(99),
    }
    strays = {".DS_Store": b"x", "readme.txt": b"x", "list.csv": b"x", "half.jpg.part": b"x", "._1.jpg": b"x"}
    for name, data in (unusable | strays).items():
        (bee / name).write_bytes(data)
    Image.new("RGB", (1, 1)).save(bee / "pixel.png")
    (bee / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "pests" / "outside.jpg").write_bytes((bee / "1.jpg").read_bytes())

    verdict = files.run(datasets.subject(tmp_path / "pests"))

    names = [*unusable, "pixel.png", "gone.jpg"]
    assert pairs(verdict, "corrupt") == {(f"bee/{name}", None) for name in names}
    assert pairs(verdict, "stray") == {*((f"bee/{name}", None) for name in strays), ("outside.jpg", None)}
    assert verdict.told == "4 readable, 8 cannot be used, 6 not images"
    assert {f.severity for f in of_kind(verdict, "corrupt")} == {"warning"}
    assert {f.severity for f in of_kind(verdict, "stray")} == {"note"}
    json.dumps(verdict.figures)


@pytest.mark.parametrize(
    "reason",
    [
        "more pixels than can be opened safely",
        "more pixels than there is memory for",
        "20000x20000 pixels are too many",
        "no permission to read the file",
        "cannot be read (Input/output error)",
        "cannot be decoded (broken data stream)",
        "a HEIC picture; reading it needs pip install 'fgvr-kit[heic]'",
        "the box (0, 0, 9, 9) is not inside the picture of 5x5 pixels",
        "the box is only 1x9 pixels",
        "its box was drawn on a picture of 9x9 pixels, this one has 5x5",
        "a folder that cannot be read (Permission denied)",
        "a name that is not UTF-8",
    ],
)
def test_reasons_that_are_hard_to_come_by_are_of_images_too(reason: str) -> None:
    assert files.is_unusable(Skipped("x", reason))


def test_every_way_in_which_a_file_cannot_be_opened_is_known(tmp_path: Path) -> None:
    box = (0, 0, 99, 99)
    (tmp_path / "wide.ppm").write_bytes(b"P6 90000 90000 255\n")
    (tmp_path / "empty.jpg").touch()
    photograph(1, 20).save(tmp_path / "small.png")
    for path, inside in ((tmp_path / "wide.ppm", None), (tmp_path / "small.png", box), (tmp_path, None)):
        with pytest.raises(ImageError) as caught:
            open_image(path, inside)
        assert files.is_unusable(Skipped("x", caught.value.reason))


def test_a_code_stands_before_any_wording() -> None:
    assert files.is_unusable(Skipped("x", "reworded by somebody", "image-unreadable"))
    assert not files.is_unusable(Skipped("x", "cannot be told from a table", "not-an-image"))


def test_every_file_that_cannot_be_read_is_left_out_with_a_code_and_its_class(tmp_path: Path) -> None:
    folder = photographs(tmp_path, ["bee/1.jpg"])
    (folder / "bee/empty.jpg").touch()
    entries = [Entry(f"bee/{name}", "Apis") for name in ("1.jpg", "empty.jpg", "gone.jpg")]
    entries += [Entry("bee/1.jpg", "Apis", box=(0, 0, 9999, 9999), name="a")]
    entries += [Entry("bee/1.jpg", "Apis", box=(0, 0, 9, 9), name="b", size=(3, 3))]
    told = {one.path: (one.code, one.class_name) for one in scan(folder, entries)[1]}
    assert told == {
        "bee/empty.jpg": ("image-unreadable", "Apis"),
        "bee/gone.jpg": ("image-gone", "Apis"),
        "bee/1.jpg#a": ("box-unusable", "Apis"),
        "bee/1.jpg#b": ("box-unusable", "Apis"),
    }


def test_rot_is_found_once_and_remembered(
    datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photographs(tmp_path / "pests", ["bee/1.jpg", "bee/2.png", "wasp/1.jpg", "wasp/2.jpg"])
    rotten(folder / "bee" / "rot.jpg")
    subject = datasets.subject(folder)

    first = files.run(subject)
    assert pairs(first, "damaged") == {("bee/rot.jpg", None)}
    assert first.told.endswith("; 1 damaged")
    assert "libjpeg: Corrupt JPEG data" in (of_kind(first, "damaged")[0].why or "")

    monkeypatch.setattr(files, "damage_of", lambda path: pytest.fail(f"{path} is decoded again"))
    assert files.run(subject).findings == first.findings


def test_every_box_of_a_rotten_file_is_damaged_and_the_file_read_once(
    datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photographs(tmp_path / "pests", ["bee/1.jpg", "bee/2.jpg", "wasp/1.jpg", "wasp/2.jpg"])
    rotten(folder / "bee" / "1.jpg")
    subject = datasets.subject(folder)
    whole = next(image for image in subject.images if image.path == "bee/1.jpg")
    boxes = [replace(whole, path=f"bee/1.jpg#{n}", box=(n, 0, n + 50, 50)) for n in range(3)]
    read: list[Path] = []
    monkeypatch.setattr(files, "damage_of", lambda path: read.append(path) or damage_of(path))

    verdict = files.run(replace(subject, images=boxes))

    assert pairs(verdict, "damaged") == {(f"bee/1.jpg#{n}", None) for n in range(3)}
    assert read == [folder / "bee" / "1.jpg"]


def test_a_check_that_is_killed_goes_on_where_it_was(
    datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photographs(
        tmp_path / "pests", [f"{name}/{n}.jpg" for name in ("bee", "wasp") for n in range(4)]
    )
    subject = datasets.subject(folder)
    looked_at: list[str] = []

    def killed(path: Path) -> str:
        looked_at.append(path.name)
        if len(looked_at) > 4:
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr(files, "_CHUNK", 2)
    monkeypatch.setattr(files, "damage_of", killed)
    with pytest.raises(KeyboardInterrupt):
        files.run(subject)
    assert len(subject.workspace.store.damage()) == 4

    again: list[str] = []
    monkeypatch.setattr(files, "damage_of", lambda path: again.append(path.name) or "")
    files.run(subject)
    assert len(again) == 4


def test_a_changed_file_is_looked_at_again(datasets: Datasets, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "pests", ["bee/1.jpg", "bee/2.jpg", "wasp/1.jpg", "wasp/2.jpg"])
    assert pairs(files.run(datasets.subject(folder)), "damaged") == set()
    rotten(folder / "bee" / "1.jpg")
    assert pairs(files.run(datasets.subject(folder)), "damaged") == {("bee/1.jpg", None)}


def test_suspicious_pictures_are_warned_of_with_their_value(datasets: Datasets, tmp_path: Path) -> None:
    folder = photographs(
        tmp_path / "pests", [f"{name}/{n}.png" for name in ("bee", "wasp") for n in range(3)]
    )
    Image.new("RGB", (160, 160)).save(folder / "bee" / "black.png")
    photograph(50).resize((900, 100)).save(folder / "wasp" / "strip.png")

    found = of_kind(files.run(datasets.subject(folder)), "suspicious")

    assert [(f.path, f.value, f.severity) for f in found] == [
        ("wasp/strip.png", 9.0, "warning"),
        ("bee/black.png", 0.0, "warning"),
    ]
    assert [f.message.split(":")[0] for f in found] == ["aspect", "black"]


def test_what_most_images_are_like_is_one_note(datasets: Datasets, tmp_path: Path) -> None:
    names = [f"{name}/{n}.tif" for name in ("bee", "wasp") for n in range(10)]
    folder = photographs(tmp_path / "pests", names)
    for path in folder.rglob("*.tif"):
        Image.open(path).resize((28, 28)).save(path)
        path.with_suffix(".xml").write_text("<box/>")

    verdict = files.run(datasets.subject(folder))

    told = [(f.kind, f.severity, f.path, f.message.split(",")[0]) for f in verdict.findings]
    assert told == [
        ("stray", "note", None, "20 files are left out"),
        ("suspicious", "note", None, "tiny: 20 of 20"),
        ("odd-file", "note", None, "rare-format: 20 of 20"),
        ("odd-file", "note", None, "same-name: 20 of 20"),
    ]


def test_a_clean_dataset_has_no_findings(datasets: Datasets, tmp_path: Path) -> None:
    folder = photographs(tmp_path / "pests", ["bee/1.jpg", "bee/2.png", "wasp/3.jpg", "wasp/4.jpg"])
    verdict = files.run(datasets.subject(folder))
    assert (verdict.findings, verdict.told) == ([], "4 readable, 0 cannot be used, 0 not images")


def test_a_file_that_is_gone_or_emptied_since_init_is_told_and_its_damage_stays_unknown(
    datasets: Datasets, tmp_path: Path
) -> None:
    folder = photographs(tmp_path / "pests", ["bee/1.jpg", "bee/2.jpg", "wasp/1.jpg", "wasp/2.jpg"])
    subject = datasets.subject(folder)
    (folder / "bee" / "1.jpg").rename(tmp_path / "away.jpg")
    (folder / "wasp" / "2.jpg").write_bytes(b"")
    verdict = files.run(subject)
    assert pairs(verdict, "corrupt") == {("bee/1.jpg", None), ("wasp/2.jpg", None)}
    assert verdict.told.startswith("2 readable, 2 cannot be used")
    assert "bee/1.jpg" not in subject.workspace.store.damage()
    (tmp_path / "away.jpg").rename(folder / "bee" / "1.jpg")
    assert pairs(files.run(subject), "corrupt") == {("wasp/2.jpg", None)}
