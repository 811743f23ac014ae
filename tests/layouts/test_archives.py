from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fgvr_kit import plugins
from fgvr_kit.dataset.folder import scan
from fgvr_kit.layouts import archives
from fgvr_kit.layouts.base import Source, find_layout
from fgvr_kit.types import Skipped
from tests.layouts import papers
from tests.layouts.unpacked import EACH, PAPERS, listed, refused, unpacked
from tests.photographs import picture


@EACH
def test_each_archive_is_recognised_as_itself_only(tmp_path: Path, name: str) -> None:
    place = unpacked(name, tmp_path / "unpacked")
    inside = PAPERS[name].home
    for where in (place, place / inside) if inside else (tmp_path, place):
        assert find_layout(Source(str(where), where)).name == name
        others = [plugins.load("layouts", other) for other in PAPERS if other != name]
        assert [other.ABOUT for other in others if other.sign_of(where)] == []


@EACH
def test_every_listed_image_can_be_opened_wherever_the_user_points(tmp_path: Path, name: str) -> None:
    paper = PAPERS[name]
    place = unpacked(name, tmp_path)
    seen = []
    for where in (place, place / paper.home):
        _, listing = listed(where)
        images, skipped = scan(listing.root, listing.entries)
        assert [*skipped, *listing.skipped] == []
        assert len({image.sha256 for image in images}) == sum(sum(n) for n in paper.counts.values())
        counts = {
            kept: tuple(
                sum(image.class_name == kept and image.split == split for image in images)
                for split in papers.SPLITS
            )
            for kept in paper.classes
        }
        assert list(counts.values()) == list(paper.counts.values())
        seen.append(sorted((image.sha256, image.split) for image in images))
    assert seen[0] == seen[1]


@EACH
def test_what_is_known_of_a_dataset_is_told(tmp_path: Path, name: str) -> None:
    notices = listed(unpacked(name, tmp_path))[1].notices
    assert [notice.code for notice in notices] == ["test-split-size", *PAPERS[name].notices]
    assert all(notice.hint for notice in notices)


@EACH
@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_test_split_of_another_size_is_told_of(
    tmp_path: Path, name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins.load("layouts", name), "N_TEST", size)
    codes = {notice.code for notice in listed(unpacked(name, tmp_path))[1].notices}
    assert ("test-split-size" in codes) == (size != 3)


@EACH
def test_files_and_lists_that_disagree_are_named(tmp_path: Path, name: str) -> None:
    paper = PAPERS[name]
    place = unpacked(name, tmp_path)
    _, before = listed(place)
    gone = next(e for e in reversed(before.entries) if e.split == "test")
    (place / gone.file).unlink()
    folder = place / paper.home / paper.folder
    picture(1).save(folder / "stray.jpg")
    (folder / "Abyssinian_100.mat").write_bytes(b"x")
    _, listing = listed(place)
    assert listing.entries == [e for e in before.entries if e != gone]
    reasons = {s.path: s.reason for s in listing.skipped}
    prefix = folder.relative_to(place).as_posix()
    assert reasons.pop(gone.file).endswith("but there is no such file")
    assert reasons == {
        f"{prefix}/stray.jpg": "no list of the dataset names it",
        f"{prefix}/Abyssinian_100.mat": "a data file, not an image",
    }


def test_an_image_that_is_listed_twice_counts_once(tmp_path: Path) -> None:
    place = unpacked("oxford_iiit_pet", tmp_path)
    trainval, test = place / "annotations" / "trainval.txt", place / "annotations" / "test.txt"
    test.write_text(test.read_text() + trainval.read_text().splitlines()[0])
    _, listing = listed(place)
    assert [e.split for e in listing.entries if e.file == "images/Egyptian_Mau_1.jpg"] == ["train"]
    again = Skipped("images/Egyptian_Mau_1.jpg (again)", "listed 2 times: the first counts")
    assert listing.skipped == [again]


@EACH
def test_an_image_folder_that_is_missing_is_asked_for(tmp_path: Path, name: str) -> None:
    place = unpacked(name, tmp_path)
    shutil.rmtree(place / PAPERS[name].home / PAPERS[name].folder)
    error = refused(place, name)
    if name == "flowers_102":  # nothing else is a sign of it
        assert error.code == "dataset-not-found"
    else:
        assert (error.code, "unpack" in error.hint) == ("images-missing", True)


@EACH
def test_a_folder_that_is_not_the_named_dataset_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "bee").mkdir()
    picture(1).save(tmp_path / "bee" / "1.jpg")
    assert refused(tmp_path, name).code == "dataset-not-found"
    assert refused(tmp_path / "nowhere", name).code == "dataset-not-found"


def test_a_second_dataset_beside_the_first_is_told_of(tmp_path: Path) -> None:
    unpacked("cub_200_2011", tmp_path)
    unpacked("stanford_dogs", tmp_path / "dogs")
    name, listing = listed(tmp_path)
    notice = listing.notices[0]
    assert (name, notice.code, "'dogs'" in notice.message) == ("cub_200_2011", "folders-beside", True)


def test_folders_that_may_not_be_looked_into_and_very_many_folders_bear_no_sign(tmp_path: Path) -> None:
    def closed(_: Path) -> list[str]:
        raise PermissionError

    (tmp_path / "bee").mkdir()
    assert archives.find_home(tmp_path, closed) is None
    inside = tmp_path / "bee"
    assert archives.find_home(tmp_path, lambda folder: ["x"] if folder == inside else []) is not None
    for number in range(30):
        (tmp_path / str(number)).mkdir()
    assert archives.find_home(tmp_path, lambda folder: ["x"] if folder == inside else []) is None
