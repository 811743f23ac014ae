"""A rotten JPEG is found, and what camera makers leave in and behind a whole one is not taken for rot."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from PIL import Image

from fgvr_kit.dataset.decoding import damage_of
from tests.photographs import photograph


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    photograph(1).convert(mode).save(file, "JPEG", quality=88, **options)
    return file.getvalue()


def damage(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "leaf.jpg"
    path.write_bytes(data)
    return damage_of(path)


def around_the_end(data: bytes, inside: bytes) -> bytes:
    """Bytes put between the last pixel and the end marker."""
    end = data.rindex(b"\xff\xd9")
    return data[:end] + inside + data[end:]


def after_the_first_segment(data: bytes, inside: bytes) -> bytes:
    place = 4 + int.from_bytes(data[4:6], "big")
    return data[:place] + inside + data[place:]


WHOLE = {
    "as saved": jpeg(),
    "progressive": jpeg(progressive=True),
    "with restart markers": jpeg(restart_marker_blocks=4),
    "grey": jpeg("L"),
    "printing colours": jpeg("CMYK"),
    "bytes behind the end": jpeg() + b"maker's notes" * 100,
    "a second picture behind the end": jpeg() + jpeg(),
    "no end marker": jpeg()[:-2],
    "no end marker, filled up with zeros": jpeg()[:-2] + bytes(500),
    "filled up with zeros": around_the_end(jpeg(), bytes(3000)),
    "filled up with 0xff": around_the_end(jpeg(), b"\xff" * 40),
    "two stray bytes before the end": around_the_end(jpeg(), b"\x7f\x12"),
    "a gap between the segments": after_the_first_segment(jpeg(), b"\x00\x01gap"),
    "an unheard-of JFIF version": jpeg()[:11] + b"\x05\x09" + jpeg()[13:],
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_whole_picture_is_never_called_damaged(tmp_path: Path, data: bytes) -> None:
    Image.open(io.BytesIO(data)).verify()
    assert damage(tmp_path, data) == ""


def dropped(data: bytes) -> bytes:
    return data[: len(data) // 2] + data[len(data) // 2 + 200 :]


ROTTEN = {
    "bytes lost": dropped(jpeg()),
    "bytes lost, progressive": dropped(jpeg(progressive=True)),
    "the second half blank": jpeg()[: len(jpeg()) // 2] + bytes(len(jpeg()) // 2) + b"\xff\xd9",
    "cut in half, with an end": jpeg()[: len(jpeg()) // 2] + b"\xff\xd9",
    "a restart marker lost": jpeg(restart_marker_blocks=4).replace(b"\xff\xd3", b"\x12\x34", 1),
    "bytes lost behind a gap that alone is harmless": after_the_first_segment(dropped(jpeg()), b"\x00gap"),
}


@pytest.mark.parametrize("data", ROTTEN.values(), ids=ROTTEN)
def test_lost_picture_data_is_found(tmp_path: Path, data: bytes) -> None:
    assert damage(tmp_path, data)


def test_about_half_of_the_flipped_bits_that_show_are_found(tmp_path: Path) -> None:
    """What the docstring and the meaning of "damaged" promise."""
    noise, whole = random.Random(0), jpeg()
    before = Image.open(io.BytesIO(whole)).convert("L")
    start = whole.index(b"\xff\xda") + 14
    seen = found = 0
    for _ in range(150):
        data = bytearray(whole)
        data[noise.randrange(start, len(whole) - 20)] ^= 1 << noise.randrange(8)
        try:
            after = Image.open(io.BytesIO(bytes(data))).convert("L")
        except OSError:
            continue
        changed = sum(abs(a - b) > 8 for a, b in zip(before.tobytes(), after.tobytes(), strict=True))
        if changed > 0.05 * len(before.tobytes()):
            seen += 1
            found += damage(tmp_path, bytes(data)) != ""
    assert seen > 30
    assert 0.3 < found / seen < 0.9


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xc0\x00",
        b"\xff\xd8" + b"\xff" * 99,
        b"text",
        b"\x89PNG\r\n",
    ],
)
def test_what_is_no_jpeg_is_not_judged(tmp_path: Path, data: bytes) -> None:
    assert damage(tmp_path, data) == ""


def test_strange_bytes_never_raise(tmp_path: Path) -> None:
    noise, whole = random.Random(1), jpeg()
    for _ in range(300):
        data = bytearray(whole[: noise.randrange(3, len(whole))])
        for _ in range(noise.randrange(30)):
            data[noise.randrange(2, len(data))] = noise.randrange(256)
        assert isinstance(damage(tmp_path, bytes(data)), str)


def test_a_folder_and_a_file_that_is_gone_are_not_judged(tmp_path: Path) -> None:
    assert damage_of(tmp_path) == ""
    assert damage_of(tmp_path / "gone.jpg") == ""
