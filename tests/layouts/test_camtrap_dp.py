from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fgvr_kit.dataset.folder import scan
from fgvr_kit.errors import DatasetError, FgvrError, SettingsError
from fgvr_kit.layouts.base import Listing, Source, find_layout
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Entry
from tests.photographs import picture

Row = dict[str, Any]

ABOUT: Row = {
    "profile": "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0/camtrap-dp-profile.json",
    "resources": [{"name": name, "path": f"{name}.csv"} for name in ("deployments", "media", "observations")],
    "licenses": [
        {"name": "CC0-1.0", "scope": "data"},
        {"path": "http://creativecommons.org/licenses/by/4.0/", "scope": "media"},
    ],
    "contributors": [{"title": "Ida", "role": "contact"}, {"title": "INBO", "role": "rightsHolder"}],
    "taxonomic": [
        {
            "scientificName": "Vulpes vulpes",
            "family": "Canidae",
            "vernacularNames": {"en": "red fox", "nl": "vos"},
        },
        {"scientificName": "Ardea", "vernacularNames": {"nl": "reigers"}},
    ],
}
_MEDIA = ("mediaID", "deploymentID", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype")
_OBSERVATIONS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel",
    "observationType", "scientificName", "count", "bboxX", "bboxY", "bboxWidth", "bboxHeight",
)  # fmt: skip


def medium(name: str, **more: str) -> Row:
    """Media m1 lies in media/m1.jpg, of deployment d1."""
    usual = {"deploymentID": "d1", "timestamp": "2026-05-01T03:00:00Z", "filePublic": "true"}
    return {"mediaID": name, "filePath": f"media/{name}.jpg", "fileMediatype": "image/jpeg", **usual, **more}


def seen(name: str, of: str = "", species: str = "Vulpes vulpes", **more: Any) -> Row:
    level = "media" if of else "event"
    return {"observationID": name, "mediaID": of, "scientificName": species, "deploymentID": "d1",
            "observationLevel": level, "observationType": "animal", **more}  # fmt: skip


def box(left: Any, top: Any, width: Any, height: Any) -> Row:
    return dict(zip(("bboxX", "bboxY", "bboxWidth", "bboxHeight"), (left, top, width, height), strict=True))


def package(
    root: Path, media: list[Row], observations: list[Row], about: Row | None = None,
    size: tuple[int, int] = (100, 80), columns: tuple[str, ...] = _MEDIA,
) -> Path:  # fmt: skip
    """A package whose media files are all there, but those with a URL."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "datapackage.json").write_text(json.dumps(ABOUT if about is None else about))
    deployments = [
        {"deploymentID": name, "locationName": f"{name} by the water", "latitude": "52.7"}
        for name in ("d1", "d2")
    ]
    write(root / "deployments.csv", ("deploymentID", "locationName", "latitude"), deployments)
    write(root / "media.csv", columns, media)
    write(root / "observations.csv", _OBSERVATIONS, observations)
    for row in media:
        if "://" not in row["filePath"] and row["filePath"].endswith(".jpg"):
            (root / row["filePath"]).parent.mkdir(parents=True, exist_ok=True)
            picture(row["mediaID"], size).save(root / row["filePath"])
    return root


def write(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def listed(place: Path, **chosen: Any) -> Listing:
    source = Source(str(place), place, DatasetSettings(**chosen))
    found = find_layout(source)
    assert found.name == "camtrap_dp"
    listing: Listing = found.module.read(source)
    return listing


def skipped(listing: Listing) -> dict[str, str]:
    return {one.path: one.reason for one in listing.skipped}


def codes(listing: Listing) -> list[str]:
    return [notice.code for notice in listing.notices]


def test_an_observed_picture_is_an_image_with_all_that_is_known(tmp_path: Path) -> None:
    root = package(tmp_path, [medium("m1"), medium("m2", deploymentID="d2")],
                   [seen("o1", "m1", count=2, eventID="e1"), seen("o2", "m2", "Ardea  cinerea")])  # fmt: skip
    listing = listed(root)
    assert listing.entries[0] == Entry(
        "media/m1.jpg", "Vulpes vulpes", None, "deploymentID:d1",
        {
            "licence": "http://creativecommons.org/licenses/by/4.0/", "rights_holder": "INBO",
            "deploymentID": "d1", "locationName": "d1 by the water", "latitude": "52.7", "mediaID": "m1",
            "timestamp": "2026-05-01T03:00:00Z", "filePublic": "true", "fileMediatype": "image/jpeg",
            "observationID": "o1", "eventID": "e1", "observationLevel": "media", "observationType": "animal",
            "count": "2",
        },
    )  # fmt: skip
    assert [(e.class_name, e.group) for e in listing.entries[1:]] == [("Ardea cinerea", "deploymentID:d2")]
    assert (listing.skipped, codes(listing)) == ([], ["camtrap-grouped"])
    assert listing.classes == {
        "Vulpes vulpes": {"scientific": "Vulpes vulpes", "common": "red fox", "parent": "Canidae"},
        "Ardea": {"scientific": "Ardea"},
    }
    images, _ = scan(listing.root, listing.entries)
    assert [image.path for image in images] == ["media/m1.jpg", "media/m2.jpg"]


@pytest.mark.parametrize("where", [".", "datapackage.json"])
def test_the_folder_or_its_datapackage_may_be_named(tmp_path: Path, where: str) -> None:
    root = package(tmp_path / "traps", [medium("m1")], [seen("o1", "m1")])
    listing = listed(root / where)
    assert [entry.file for entry in listing.entries] == ["media/m1.jpg"]


def test_a_package_of_tables_elsewhere_is_recognised_by_its_profile(tmp_path: Path) -> None:
    about = {
        **ABOUT,
        "resources": [{"name": n, "path": [f"data/{n}.csv"]} for n in ("media", "observations")],
    }
    root = package(tmp_path, [medium("m1")], [seen("o1", "m1")], about)
    (root / "data").mkdir()
    for name in ("media", "observations"):
        (root / f"{name}.csv").rename(root / "data" / f"{name}.csv")
    assert [entry.file for entry in listed(root).entries] == ["media/m1.jpg"]


def test_another_data_package_is_none_of_these(tmp_path: Path) -> None:
    (tmp_path / "bee").mkdir()
    picture(1).save(tmp_path / "bee" / "1.jpg")
    (tmp_path / "datapackage.json").write_text('{"name": "bees", "resources": []}')
    assert find_layout(Source("", tmp_path)).name == "classes"


def test_boxes_are_shares_of_the_picture_and_images_of_their_own(tmp_path: Path) -> None:
    root = package(tmp_path, [medium("m1")], [
        seen("o#1", "m1", **box(0.1, 0.25, 0.5, 0.5)), seen("o2", "m1", "Ardea cinerea", **box(0.5, 0.5, 0.5, 0.5)),
        seen("o3", "m1"), seen("o4", "m1", **box(0.1, 0.1, 0, 0.5)), seen("o5", "m1", **box(0.1, 0.1, "", 0.5)),
        seen("o6", "m1", observationType="human", **box(0, 0, 1, 1)),
    ])  # fmt: skip
    listing = listed(root, margin=0)
    assert [(e.path, e.class_name, e.box, e.size) for e in listing.entries] == [
        ("media/m1.jpg#o-1", "Vulpes vulpes", (10, 20, 60, 60), (100, 80)),
        ("media/m1.jpg#o2", "Ardea cinerea", (50, 40, 100, 80), (100, 80)),
    ]
    assert skipped(listing) == {
        "media/m1.jpg#o3": "it has no box, and others in its picture have",
        "media/m1.jpg#o4": "its box has no width or no height",
        "media/m1.jpg#o5": "its box is no four numbers",
        "media/m1.jpg#o6": "a human is in it, no animal",
    }
    images, left_out = scan(listing.root, listing.entries)
    assert ([(i.width, i.height) for i in images], left_out) == ([(50, 40), (50, 40)], [])


def test_boxes_are_drawn_on_the_picture_as_people_see_it(tmp_path: Path) -> None:
    root = package(tmp_path, [medium("m1")], [seen("o1", "m1", **box(0, 0, 0.5, 1))])
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1, (100, 80)).save(root / "media" / "m1.jpg", exif=exif)
    listing = listed(root, margin=0)
    assert (listing.entries[0].box, listing.entries[0].size) == ((0, 0, 40, 100), (80, 100))
    assert scan(listing.root, listing.entries)[1] == []


def test_a_picture_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    root = package(
        tmp_path, [medium("m1"), medium("m2")], [seen("o1", "m1", **box(0, 0, 1, 1)), seen("o2", "m2")]
    )
    (root / "media" / "m1.jpg").write_bytes(b"")
    assert skipped(listed(root)) == {"media/m1.jpg": "the file is empty"}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"observationType": "blank"}, "nothing is in it (blank)"),
        ({"observationType": "Human"}, "a human is in it, no animal"),
        ({"observationType": "vehicle"}, "a vehicle is in it, no animal"),
        ({"observationType": "unclassified"}, "nobody has looked at it yet (unclassified)"),
        ({"observationType": "unknown"}, "nobody could tell what is in it (unknown)"),
        ({"scientificName": " "}, "an animal without a scientificName"),
        ({"scientificName": "NaN"}, "an animal without a scientificName"),
    ],
)
def test_a_picture_without_an_animal_is_left_out_by_name(tmp_path: Path, told: Row, reason: str) -> None:
    root = package(tmp_path, [medium("m1"), medium("m2"), medium("m3")],
                   [{**seen("o1", "m1"), **told}, seen("o2", "m2")])  # fmt: skip
    listing = listed(root)
    assert [entry.file for entry in listing.entries] == ["media/m2.jpg"]
    assert skipped(listing) == {"media/m1.jpg": reason, "media/m3.jpg": "it has no observation"}


def test_two_animals_of_one_class_are_one_image_and_of_two_are_none(tmp_path: Path) -> None:
    root = package(tmp_path, [medium("m1"), medium("m2")], [
        seen("o1", "m1"), seen("o2", "m1"), seen("o3", "m1", observationType="human"), seen("o4", "m2"),
        seen("o5", "m2", "Ardea"),
    ])  # fmt: skip
    listing = listed(root)
    assert [(e.path, e.details["observationID"]) for e in listing.entries] == [("media/m1.jpg", "o1")]
    assert skipped(listing) == {
        "media/m1.jpg#o3": "a human is in it, no animal",
        "media/m2.jpg": "several classes, and no boxes that tell where",
    }


def test_a_file_that_is_not_here_is_named_with_its_reason(tmp_path: Path) -> None:
    url = "https://x.org/assets/{}/file"
    media = [
        medium("m1"), medium("m2", filePath=url.format(2)), medium("m3", filePath=url.format(3), filePublic="false"),
        medium("m4", filePath="media/gone.png"), medium("m5", filePath=url.format(5), fileMediatype="video/mp4"),
        medium("m6", filePath="../secret.png"), medium("m1", filePath="media/again.png"), medium("", filePath="x.png"),
        medium("m7", filePath="media/m1.jpg"),
    ]  # fmt: skip
    root = package(tmp_path, media, [*(seen(f"o{n}", f"m{n}") for n in range(1, 8)), seen("o8", "m8")])
    listing = listed(root)
    assert [entry.file for entry in listing.entries] == ["media/m1.jpg"]
    assert skipped(listing) == {
        url.format(2): "a URL: fetch the picture, and name its file",
        url.format(3): "not public (filePublic is false): a URL: fetch the picture, and name its file",
        "media/gone.png": "there is no such file",
        url.format(5): "a video, not an image",
        "../secret.png": "outside the folder of the dataset",
        "media.csv: media/again.png": "listed twice",
        "media.csv: x.png": "without a mediaID",
        "media/m1.jpg (media m7)": "another row has this file",
        "media/m1.jpg": "another row has this file",
        "observations.csv: o8": "its media file is not listed in media.csv",
    }


def test_pictures_that_were_fetched_are_found_by_what_they_are_called(tmp_path: Path) -> None:
    media = [
        medium("m1", filePath="https://x.org/1", fileName="A.JPG"), medium("m2", filePath="https://x.org/2"),
        medium("m3", filePath="https://x.org/3", fileName="IMG1.JPG"),
        medium("m4", filePath="https://x.org/4", fileName="IMG1.JPG", deploymentID="d2"),
    ]  # fmt: skip
    root = package(tmp_path, media, [seen(f"o{n}", f"m{n}") for n in range(1, 5)])
    for name in ("in/a.jpg", "in/m2.jpg", "d2/IMG1.JPG"):
        (root / name).parent.mkdir(exist_ok=True)
        picture(name).save(root / name)
    listing = listed(root)
    assert [(e.details["mediaID"], e.file) for e in listing.entries] == [
        ("m1", "in/a.jpg"), ("m2", "in/m2.jpg"), ("m4", "d2/IMG1.JPG")
    ]  # fmt: skip
    assert list(skipped(listing)) == ["https://x.org/3"]  # d2's picture is not that of d1


def test_private_pictures_that_are_here_are_used_and_told_of(tmp_path: Path) -> None:
    root = package(tmp_path, [medium("m1", filePublic="false")], [seen("o1", "m1")])
    listing = listed(root)
    assert (len(listing.entries), "camtrap-not-public" in codes(listing)) == (1, True)


EVENT = {"eventID": "e1", "eventStart": "2026-05-01T05:00:00+02:00", "eventEnd": "2026-05-01T03:00:10Z"}


def test_an_event_gives_its_class_to_its_pictures_that_have_none(tmp_path: Path) -> None:
    times = {"m1": "03:00:00", "m2": "03:00:10", "m3": "03:00:11", "m4": "03:00:05", "m5": "02:59:59"}
    media = [medium(name, timestamp=f"2026-05-01T{time}Z") for name, time in times.items()]
    media.append(medium("m6", timestamp="2026-05-01T03:00:05Z", deploymentID="d2"))
    media.append(medium("m7", timestamp="yesterday"))
    early = {"eventStart": "2026-04-01T03:00:00Z", "eventEnd": "2026-04-01T03:00:10Z"}
    root = package(tmp_path, media, [
        seen("o1", **EVENT), seen("o2", "m4", "Ardea", **EVENT), seen("o3", **early), seen("o4"),
    ])  # fmt: skip
    listing = listed(root)
    assert {e.file[6:8]: e.class_name for e in listing.entries} == {
        "m1": "Vulpes vulpes", "m2": "Vulpes vulpes", "m4": "Ardea"
    }  # fmt: skip
    why = "of an event, and no media file of its deployment was made in its time"
    alone = dict.fromkeys(
        ("media/m3.jpg", "media/m5.jpg", "media/m6.jpg", "media/m7.jpg"), "it has no observation"
    )
    assert skipped(listing) == {"observations.csv: o3": why, "observations.csv: o4": why, **alone}
    notice = next(n for n in listing.notices if n.code == "camtrap-event-labels")
    assert notice.message.startswith("2 pictures")


def test_an_event_may_be_named_by_its_media(tmp_path: Path) -> None:
    media = [medium("m1", eventID="e1"), medium("m2", eventID="e2")]
    root = package(tmp_path, media, [seen("o1", eventID="e2")], columns=(*_MEDIA, "eventID"))
    listing = listed(root)
    assert [entry.file for entry in listing.entries] == ["media/m2.jpg"]


def test_events_in_one_another_are_both_found(tmp_path: Path) -> None:
    short = {"eventStart": "2026-05-01T03:00:04Z", "eventEnd": "2026-05-01T03:00:05Z"}
    media = [medium(f"m{n}", timestamp=f"2026-05-01T03:00:0{7 - n}Z") for n in (1, 2)]
    root = package(tmp_path, media, [seen("o1", **EVENT), seen("o2", "", "Ardea", **short)])
    listing = listed(root)
    assert [(e.file, e.class_name) for e in listing.entries] == [("media/m1.jpg", "Vulpes vulpes")]
    assert skipped(listing) == {"media/m2.jpg": "several classes, and no boxes that tell where"}


@pytest.mark.parametrize(
    ("group_col", "groups"),
    [
        ("", ["deploymentID:d1", "deploymentID:d1"]),
        ("eventID", ["eventID:e1", "picture:media/m2.jpg"]),
        ("locationName", ["locationName:d1 by the water"] * 2),
        ("none", ["picture:media/m1.jpg", "picture:media/m2.jpg"]),
    ],
)
def test_what_stays_together_may_be_chosen(tmp_path: Path, group_col: str, groups: list[str]) -> None:
    root = package(tmp_path, [medium("m1"), medium("m2")], [seen("o1", "m1", eventID="e1"), seen("o2", "m2")])
    listing = listed(root, group_col=group_col)
    assert [entry.group for entry in listing.entries] == groups


def test_the_class_may_be_another_column(tmp_path: Path) -> None:
    root = package(tmp_path, [medium("m1")], [seen("o1", "m1", count=3)])
    (entry,) = listed(root, label_col="count").entries
    assert (entry.class_name, entry.details["scientificName"]) == ("3", "Vulpes vulpes")


@pytest.mark.parametrize("chosen", [{"label_col": "speces"}, {"group_col": "evntID"}])
def test_a_column_that_is_not_there_is_refused(tmp_path: Path, chosen: dict[str, str]) -> None:
    root = package(tmp_path, [medium("m1")], [seen("o1", "m1")])
    with pytest.raises(SettingsError) as caught:
        listed(root, **chosen)
    assert caught.value.code == "table-column"


def broken(root: Path, how: str) -> None:
    about = root / "datapackage.json"
    if how == "json":
        about.write_text('{"camtrap-dp": [}')
    elif how == "list":
        about.write_text("[]")
    elif how == "columns":
        (root / "media.csv").write_text("media_id,deployment_id,file_path\n")
    elif how == "gone":
        (root / "observations.csv").unlink()
    else:
        about.write_text(json.dumps({**ABOUT, "resources": [{"name": "media", "path": how}]}))


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("json", "datapackage-json"), ("list", "datapackage-json"), ("columns", "datapackage-columns"),
        ("gone", "datapackage-table"), ("https://x.org/media.csv", "datapackage-table"),
        ("../media.csv", "datapackage-table"), ("media.csv.gz", "datapackage-table"),
    ],
)  # fmt: skip
def test_a_package_that_is_not_whole_is_refused(tmp_path: Path, how: str, code: str) -> None:
    root = package(tmp_path / "traps", [medium("m1")], [seen("o1", "m1")])
    broken(root, how)
    with pytest.raises(FgvrError) as caught:
        listed(root)
    assert (type(caught.value), caught.value.code) == (DatasetError, code)


def test_no_image_is_lost_without_a_word(tmp_path: Path) -> None:
    root = package(tmp_path, [medium("m1")], [seen("o1", "m1")])
    picture("stray").save(root / "media" / "stray.jpg")
    listing = listed(root)
    assert [n.why for n in listing.notices if n.code == "files-unnamed"] == ["'media/stray.jpg'"]
    assert listing.skipped == []
