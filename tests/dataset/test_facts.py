from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from fgvr_kit.dataset.facts import thumbs
from fgvr_kit.dataset.images import read_image
from fgvr_kit.types import FileFacts
from tests.photographs import facts_of_image, picture


def facts_of(path: Path) -> FileFacts:
    return read_image(path)[1]


def test_a_photograph_tells_its_camera_and_time(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Canon\0"
    exif[ExifTags.Base.Model] = " EOS  5D "
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:05:01 14:03:22"
    picture(1).save(tmp_path / "a.jpg", exif=exif)
    assert facts_of(tmp_path / "a.jpg") == FileFacts(
        "JPEG", "RGB", 1, 6, "Canon EOS 5D", "2026-05-01T14:03:22"
    )


def test_what_is_not_known_is_empty_and_nonsense_counts_as_unknown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 99
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "0000:00:00 00:00:00"
    picture(1).save(tmp_path / "a.jpg", exif=exif)
    assert facts_of(tmp_path / "a.jpg").taken == ""
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes().replace(b"Exif\0\0MM", b"Exif\0\0XX"))
    assert facts_of(tmp_path / "b.jpg") == FileFacts("JPEG", "RGB", 1, 1, "", "")


def test_frames_are_counted(tmp_path: Path) -> None:
    frames = [picture(n) for n in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "a.png")
    assert [facts_of(tmp_path / f"a.{end}").frames for end in ("gif", "tif", "png")] == [3, 3, 1]


def test_a_thumb_is_the_picture_made_small() -> None:
    image = Image.new("RGB", (64, 48), (10, 20, 30))
    image.paste((200, 100, 50), (32, 0, 64, 48))
    thumb = thumbs([facts_of_image(image).thumb])[0]  # (16, 16, 3)
    assert np.abs(thumb[:, 2].astype(int) - [10, 20, 30]).max() <= 1
    assert np.abs(thumb[:, 13].astype(int) - [200, 100, 50]).max() <= 1


def test_the_hash_hardly_changes_when_the_size_does() -> None:
    image = picture(3, (200, 150)).resize((400, 300), Image.Resampling.BICUBIC)
    small = image.resize((120, 90), Image.Resampling.BICUBIC)
    assert (facts_of_image(image).phash ^ facts_of_image(small).phash).bit_count() <= 6
    assert (facts_of_image(image).phash ^ facts_of_image(picture(4, (200, 150))).phash).bit_count() > 15
