from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fgvr_kit import plugins
from fgvr_kit.dataset.folder import scan
from fgvr_kit.dataset.names import spellings
from fgvr_kit.errors import DatasetError
from fgvr_kit.layouts import lists
from fgvr_kit.layouts.base import Listing, Source, find_layout
from fgvr_kit.layouts.flowers_102 import NAMES
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Entry, Skipped
from tests.layouts import papers
from tests.layouts.papers import Counts
from tests.photographs import picture


@dataclass(frozen=True)
class Paper:
    """A dataset as the tests unpack it.  home: of its lists, below the place.  folder: one of its images.
    classes: how it calls the classes.  notices: what is told of the whole dataset."""

    make: Callable[..., Path]
    counts: Counts
    home: str
    folder: str
    classes: list[str]
    notices: list[str]


ALBATROSS, BUNTING = "001.Black_footed_Albatross", "014.Indigo_Bunting"
PAPERS = {
    "cub_200_2011": Paper(
        papers.cub_200_2011, {ALBATROSS: (2, 0, 1), BUNTING: (1, 0, 2)}, "CUB_200_2011", "images",
        ["Black_footed_Albatross", "Indigo_Bunting"], ["in-imagenet"],
    ),
    "stanford_dogs": Paper(
        papers.stanford_dogs,
        {"n02085620-Chihuahua": (2, 0, 1), "n02099267-flat-coated_retriever": (1, 0, 2)}, "", "Images",
        ["Chihuahua", "flat-coated_retriever"], ["in-imagenet"],
    ),
    "fgvc_aircraft": Paper(
        papers.fgvc_aircraft, {"737-200": (1, 1, 2), "F/A-18": (2, 0, 1)}, "fgvc-aircraft-2013b", "data/images",
        ["737-200", "F/A-18"], ["aircraft-banner"],
    ),
    "flowers_102": Paper(
        papers.flowers_102, {"1": (1, 1, 2), "102": (2, 0, 1)}, "", "jpg",
        ["pink primrose", "blackberry lily"], ["flowers-few-train"],
    ),
    "oxford_iiit_pet": Paper(
        papers.oxford_iiit_pet, {"Egyptian_Mau": (2, 0, 1), "american_bulldog": (1, 0, 2)}, "", "images",
        ["Egyptian_Mau", "american_bulldog"], [],
    ),
    "stanford_cars": Paper(
        papers.stanford_cars, {"AM General Hummer SUV 2000": (2, 0, 1), "Ram C/V Van 2012": (1, 0, 2)}, "",
        "cars_test", ["AM General Hummer SUV 2000", "Ram C/V Van 2012"], [],
    ),
}  # fmt: skip
WITH_LABELS = "cars_test_annos_withlabels.mat"
EACH = pytest.mark.parametrize("name", PAPERS)


def unpacked(name: str, root: Path) -> Path:
    return PAPERS[name].make(root, PAPERS[name].counts)


def listed(place: Path, layout: str = "auto") -> tuple[str, Listing]:
    source = Source(str(place), place, DatasetSettings(layout=layout))
    found = find_layout(source)
    return found.name, found.module.read(source)


def refused(place: Path, layout: str = "auto") -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        listed(place, layout)
    return caught.value


def entries(name: str, root: Path) -> list[Entry]:
    return listed(unpacked(name, root) / PAPERS[name].home)[1].entries


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def drop_last_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


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


def test_birds_have_their_ids_and_boxes(tmp_path: Path) -> None:
    name = f"{ALBATROSS}/Black_footed_Albatross"
    box = {"bbox_y": "2.0", "bbox_width": "20.0", "bbox_height": "12.5"}
    assert entries("cub_200_2011", tmp_path)[:3] == [
        Entry(f"images/{name}_000{n}_{n}.jpg", "Black_footed_Albatross", split,
              details={"image_id": str(n), "bbox_x": f"{n}.0", **box})
        for n, split in ((1, "train"), (2, "train"), (3, "test"))
    ]  # fmt: skip


def test_birds_need_no_boxes(tmp_path: Path) -> None:
    place = unpacked("cub_200_2011", tmp_path)
    (place / "CUB_200_2011" / "bounding_boxes.txt").unlink()
    assert listed(place)[1].entries[0].details == {"image_id": "1"}


def test_dogs_have_their_wordnet_id(tmp_path: Path) -> None:
    _, listing = listed(unpacked("stanford_dogs", tmp_path))
    assert listing.entries[0] == Entry(
        "Images/n02085620-Chihuahua/n02085620_7.jpg",
        "Chihuahua",
        "train",
        details={"wordnet_id": "n02085620"},
    )
    assert listing.classes == {
        "Chihuahua": {"note": "WordNet n02085620"},
        "flat-coated_retriever": {"note": "WordNet n02099267"},
    }


def test_aircraft_have_their_family_as_parent(tmp_path: Path) -> None:
    _, listing = listed(unpacked("fgvc_aircraft", tmp_path) / "fgvc-aircraft-2013b")
    assert listing.entries[0] == Entry(
        "data/images/0034309.jpg", "737-200", "train",
        details={"family": "Boeing 737", "manufacturer": "Boeing", "bbox_xmin": "3", "bbox_ymin": "2",
                 "bbox_xmax": "30", "bbox_ymax": "20"},
    )  # fmt: skip
    assert listing.classes == {"737-200": {"parent": "Boeing 737"}, "F/A-18": {"parent": "Boeing F/A"}}


def test_aircraft_need_only_the_variants(tmp_path: Path) -> None:
    data = unpacked("fgvc_aircraft", tmp_path) / "fgvc-aircraft-2013b" / "data"
    for path in [*data.glob("images_family_*"), *data.glob("images_manufacturer_*"), data / "images_box.txt"]:
        path.unlink()
    name, listing = listed(data)
    assert (name, listing.classes) == ("fgvc_aircraft", {})
    assert listing.entries[0] == Entry("images/0034309.jpg", "737-200", "train")


def test_flowers_follow_their_ids(tmp_path: Path) -> None:
    assert [(e.file, e.class_name, e.split) for e in entries("flowers_102", tmp_path)] == [
        ("jpg/image_00001.jpg", "pink primrose", "train"),
        ("jpg/image_00005.jpg", "blackberry lily", "train"),
        ("jpg/image_00006.jpg", "blackberry lily", "train"),
        ("jpg/image_00002.jpg", "pink primrose", "val"),
        ("jpg/image_00003.jpg", "pink primrose", "test"),
        ("jpg/image_00004.jpg", "pink primrose", "test"),
        ("jpg/image_00007.jpg", "blackberry lily", "test"),
    ]


def test_the_names_of_flowers_are_102_and_none_is_another_in_disguise() -> None:
    assert len(set(NAMES)) == 102
    assert spellings(NAMES) == []
    assert {n: NAMES[n - 1] for n in (1, 12, 51, 77, 89, 102)} == {
        1: "pink primrose", 12: "colt's foot", 51: "petunia", 77: "passion flower", 89: "watercress",
        102: "blackberry lily",
    }  # fmt: skip


def test_pets_have_their_species_as_parent(tmp_path: Path) -> None:
    _, listing = listed(unpacked("oxford_iiit_pet", tmp_path))
    assert listing.entries[0] == Entry(
        "images/Egyptian_Mau_1.jpg", "Egyptian_Mau", "train", details={"species": "cat"}
    )
    assert listing.classes == {"Egyptian_Mau": {"parent": "cat"}, "american_bulldog": {"parent": "dog"}}


def test_cars_have_their_box(tmp_path: Path) -> None:
    assert entries("stanford_cars", tmp_path)[-1] == Entry(
        "cars_test/00003.jpg", "Ram C/V Van 2012", "test",
        details={"bbox_x1": "3", "bbox_y1": "2", "bbox_x2": "30", "bbox_y2": "20"},
    )  # fmt: skip


def test_cars_may_lie_a_folder_deeper_and_the_test_labels_in_the_devkit(tmp_path: Path) -> None:
    place = unpacked("stanford_cars", tmp_path)
    for folder in ("cars_train", "cars_test"):
        (place / folder).rename(place / "moved")
        (place / "moved").rename(made(place / folder) / folder)
    (place / WITH_LABELS).rename(place / "devkit" / WITH_LABELS)
    _, listing = listed(place)
    assert [e.split for e in listing.entries] == ["train"] * 3 + ["test"] * 3
    assert (listing.entries[0].file, listing.skipped) == ("cars_train/cars_train/00001.jpg", [])


def test_the_lists_of_dogs_may_have_a_folder(tmp_path: Path) -> None:
    place = unpacked("stanford_dogs", tmp_path)
    for path in place.glob("*.mat"):
        path.rename(made(place / "lists") / path.name)
    assert len(listed(place)[1].entries) == 6


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


LISTS = [
    ("cub_200_2011", "CUB_200_2011/images.txt"),
    ("cub_200_2011", "CUB_200_2011/image_class_labels.txt"),
    ("cub_200_2011", "CUB_200_2011/train_test_split.txt"),
    ("cub_200_2011", "CUB_200_2011/classes.txt"),
    ("stanford_dogs", "train_list.mat"),
    ("stanford_dogs", "test_list.mat"),
    ("fgvc_aircraft", "fgvc-aircraft-2013b/data/variants.txt"),
    ("fgvc_aircraft", "fgvc-aircraft-2013b/data/images_variant_train.txt"),
    ("fgvc_aircraft", "fgvc-aircraft-2013b/data/images_variant_val.txt"),
    ("fgvc_aircraft", "fgvc-aircraft-2013b/data/images_variant_test.txt"),
    ("flowers_102", "imagelabels.mat"),
    ("flowers_102", "setid.mat"),
    ("oxford_iiit_pet", "annotations/trainval.txt"),
    ("oxford_iiit_pet", "annotations/test.txt"),
    ("stanford_cars", "devkit/cars_meta.mat"),
    ("stanford_cars", "devkit/cars_train_annos.mat"),
    ("stanford_cars", WITH_LABELS),
]


@pytest.mark.parametrize(("name", "file"), LISTS)
def test_a_list_that_is_missing_is_asked_for(tmp_path: Path, name: str, file: str) -> None:
    place = unpacked(name, tmp_path)
    (place / file).unlink()
    error = refused(place)
    assert (error.code, Path(file).name in error.message) == ("list-missing", True)
    assert error.where
    assert error.why
    assert "download" in error.hint or "unpack" in error.hint


@pytest.mark.parametrize(("name", "file"), LISTS)
def test_a_list_that_is_damaged_is_no_crash(tmp_path: Path, name: str, file: str) -> None:
    place = unpacked(name, tmp_path)
    raw = (place / file).read_bytes()
    (place / file).write_bytes(raw[:-4] if file.endswith(".mat") else raw + b"caf\xe9 1 1 1\n")
    error = refused(place, name)
    assert error.code == ("list-unreadable" if file.endswith(".mat") else "csv-encoding")
    assert str(place / file) in (error.where or "")


def test_without_its_lists_the_dogs_are_still_recognised(tmp_path: Path) -> None:
    place = unpacked("stanford_dogs", tmp_path)
    for path in place.glob("*.mat"):
        path.unlink()
    assert refused(place).code == "list-missing"


@EACH
def test_an_image_folder_that_is_missing_is_asked_for(tmp_path: Path, name: str) -> None:
    place = unpacked(name, tmp_path)
    shutil.rmtree(place / PAPERS[name].home / PAPERS[name].folder)
    error = refused(place, name)
    if name == "flowers_102":  # nothing else is a sign of it
        assert error.code == "dataset-not-found"
    else:
        assert (error.code, "unpack" in error.hint) == ("images-missing", True)


@pytest.mark.parametrize("file", ["image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt"])
def test_lists_of_birds_of_unequal_length_are_refused(tmp_path: Path, file: str) -> None:
    place = unpacked("cub_200_2011", tmp_path)
    drop_last_line(place / "CUB_200_2011" / file)
    error = refused(place)
    assert (error.code, error.why) == ("lists-differ", "'6' stands in images.txt only")


def test_lists_of_dogs_of_unequal_length_are_refused(tmp_path: Path) -> None:
    place = unpacked("stanford_dogs", tmp_path)
    name = "n02085620-Chihuahua/n02085620_7.jpg"
    papers.mat(place / "file_list.mat", {"file_list": papers.cells([name])})
    assert refused(place).code == "lists-differ"
    labels = np.array([[1], [1]], np.uint8)
    papers.mat(place / "train_list.mat", {"file_list": papers.cells([name]), "labels": labels})
    assert refused(place).code == "lists-differ"


def test_lists_of_aircraft_of_unequal_length_are_refused(tmp_path: Path) -> None:
    place = unpacked("fgvc_aircraft", tmp_path)
    drop_last_line(place / "fgvc-aircraft-2013b" / "data" / "images_family_test.txt")
    assert refused(place).code == "lists-differ"


def test_a_flower_without_a_label_is_refused(tmp_path: Path) -> None:
    place = unpacked("flowers_102", tmp_path)
    papers.mat(place / "imagelabels.mat", {"labels": np.array([[1, 1, 1, 102]], np.uint8)})
    assert refused(place).code == "lists-differ"


@pytest.mark.parametrize("label", [0, 3, 197])
@pytest.mark.parametrize("name", ["cub_200_2011", "stanford_cars"])
def test_a_label_out_of_range_is_refused(tmp_path: Path, name: str, label: int) -> None:
    place = unpacked(name, tmp_path)
    path = place / "CUB_200_2011" / "image_class_labels.txt"
    if name == "cub_200_2011":
        path.write_text(path.read_text().replace("6 2", f"6 {label}"))
    else:
        fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
        rows = [(1, 1, 9, 9, 1, "00001.jpg"), (1, 1, 9, 9, label, "00002.jpg")]
        papers.mat(place / WITH_LABELS, {"annotations": papers.structs(fields, rows)})
    error = refused(place)
    assert (error.code, f"label {label} " in error.message) == ("label-range", True)


@pytest.mark.parametrize("label", [0, 103])
def test_a_flower_has_one_of_102_labels(tmp_path: Path, label: int) -> None:
    place = unpacked("flowers_102", tmp_path)
    papers.mat(place / "imagelabels.mat", {"labels": np.array([[1, 1, 1, 1, 102, 102, label]], np.uint8)})
    assert refused(place).code == "label-range"


def test_an_aircraft_has_a_known_variant(tmp_path: Path) -> None:
    place = unpacked("fgvc_aircraft", tmp_path)
    (place / "fgvc-aircraft-2013b" / "data" / "variants.txt").write_text("737-200\n")
    error = refused(place)
    assert (error.code, "'F/A-18'" in error.message) == ("label-range", True)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("american_bulldog_3 2 2", "american_bulldog_3 1 2", "label-conflict"),
        ("american_bulldog_3 2 2", "american_bulldog_3 3 2", "label-conflict"),
        ("american_bulldog_3 2 2", "american_bulldog_3 2 3", "label-range"),
        ("american_bulldog_3 2 2", "beagle_3 38 2", "label-range"),
        ("american_bulldog_3 2 2", "american_bulldog_3 two 2", "list-line"),
        ("american_bulldog_3 2 2 2", "american_bulldog_3 2 2", "list-line"),
        ("american_bulldog_3 2 2", "bulldog 2 2", "list-line"),
    ],
)
def test_a_line_of_the_pets_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, code: str) -> None:
    place = unpacked("oxford_iiit_pet", tmp_path)
    path = place / "annotations" / "test.txt"
    path.write_text(path.read_text().replace(old, new))
    assert refused(place).code == code


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("train_test_split.txt", "3 0", "3 2"),
        ("train_test_split.txt", "3 0", "3"),
        ("images.txt", "6 014", "5 014"),
        ("classes.txt", "2 014", "3 014"),
        ("image_class_labels.txt", "6 2", "6 2.5"),
    ],
)
def test_a_line_of_the_birds_that_cannot_be_is_refused(tmp_path: Path, file: str, old: str, new: str) -> None:
    place = unpacked("cub_200_2011", tmp_path)
    path = place / "CUB_200_2011" / file
    path.write_text(path.read_text().replace(old, new))
    error = refused(place)
    assert (error.code, error.where.startswith(f"{path}:")) == ("list-line", True)


@pytest.mark.parametrize(
    ("file", "label", "code"),
    [
        ("n02085620-Chihuahua/n02085620_9.jpg", 2, "label-conflict"),
        ("n02085936-Maltese_dog/n02085936_9.jpg", 1, "label-conflict"),
        ("n02085936-Maltese_dog/n02085936_9.jpg", 121, "label-range"),
        ("stray.jpg", 1, "list-line"),
        (" ", 1, "list-line"),
    ],
)
def test_a_row_of_the_dogs_that_cannot_be_is_refused(
    tmp_path: Path, file: str, label: int, code: str
) -> None:
    place = unpacked("stanford_dogs", tmp_path)
    rows = {"file_list": papers.cells([file]), "labels": np.array([[label]], np.uint8)}
    papers.mat(place / "test_list.mat", rows)
    assert refused(place).code == code


def test_the_devkits_list_of_test_cars_does_not_do(tmp_path: Path) -> None:
    place = unpacked("stanford_cars", tmp_path)
    shutil.copy(place / "devkit" / "cars_test_annos.mat", place / WITH_LABELS)
    error = refused(place)
    assert (error.code, "'class'" in error.message) == ("list-variable", True)


def test_a_file_of_matlab_7_3_or_without_its_variable_is_refused(tmp_path: Path) -> None:
    place = unpacked("flowers_102", tmp_path)
    papers.mat(place / "setid.mat", {"trnid": np.array([[1]], np.uint16)})
    assert refused(place).code == "list-variable"
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (place / "setid.mat").write_bytes(head + b"\x89HDF\r\n\x1a\n")
    error = refused(place)
    assert (error.code, "7.3" in (error.why or "")) == ("list-unreadable", True)


@EACH
def test_a_folder_that_is_not_the_named_dataset_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "bee").mkdir()
    picture(1).save(tmp_path / "bee" / "1.jpg")
    assert refused(tmp_path, name).code == "dataset-not-found"
    assert refused(tmp_path / "nowhere", name).code == "dataset-not-found"


def test_birds_of_north_america_are_not_these_birds(tmp_path: Path) -> None:
    home = unpacked("cub_200_2011", tmp_path) / "CUB_200_2011"
    (home / "hierarchy.txt").write_text("1 0\n")
    assert find_layout(Source(str(home), home)).name != "cub_200_2011"


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
    assert lists.find_home(tmp_path, closed) is None
    inside = tmp_path / "bee"
    assert lists.find_home(tmp_path, lambda folder: ["x"] if folder == inside else []) is not None
    for number in range(30):
        (tmp_path / str(number)).mkdir()
    assert lists.find_home(tmp_path, lambda folder: ["x"] if folder == inside else []) is None
