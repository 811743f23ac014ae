from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from fgvr_kit.dataset.images import open_image, open_known, pixel_sha256, shrink
from fgvr_kit.errors import ImageError
from fgvr_kit.types import ImageRef
from tests.photographs import picture


def test_a_turned_jpeg_gives_the_same_pixels_as_the_upright_picture(tmp_path: Path) -> None:
    upright = picture(1, (40, 24))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned: rotate 270 degrees to see it upright
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    upright.save(tmp_path / "upright.png")

    turned = open_image(tmp_path / "turned.png")

    assert turned.size == (40, 24)
    assert pixel_sha256(turned) == pixel_sha256(open_image(tmp_path / "upright.png"))


def test_16_bit_grey_keeps_its_tones(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "scan.png")

    seen = np.asarray(open_image(tmp_path / "scan.png"))[:, :, 0]

    assert seen.min() == 0
    assert seen.max() == 255
    assert np.abs(seen.astype(int).ravel() - np.linspace(0, 255, 64)).max() <= 1


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "cutout.png")
    assert open_image(tmp_path / "cutout.png").getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_palette_and_animation_open_as_rgb(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    red.convert("CMYK").save(tmp_path / "print.tif")
    red.convert("P").save(tmp_path / "palette.png")
    red.save(tmp_path / "moving.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), (0, 0, 255))])

    for name in ("print.tif", "palette.png", "moving.gif"):
        image = open_image(tmp_path / name)
        assert image.mode == "RGB"
        r, g, b = image.getpixel((4, 4))
        assert r > 200, name
        assert max(g, b) < 60, name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer instead of the image (run: git lfs pull)",
        ),
        (b"<!DOCTYPE html><html>404</html>", "a web page saved under an image's name"),
        (b"hello", "not an image"),
    ],
)
def test_what_is_no_image_is_said_to_be_what_it_is(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError) as caught:
        open_image(tmp_path / "a.jpg")
    assert caught.value.reason == reason


def test_a_cut_off_file_is_an_error_even_when_a_library_allows_them(tmp_path: Path) -> None:
    from PIL import ImageFile

    picture(1, (64, 64)).save(tmp_path / "whole.jpg", quality=95)
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with pytest.raises(ImageError, match="cut off"):
            open_image(tmp_path / "half.jpg")
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def test_a_tracking_pixel_and_a_dead_link_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "pixel.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="only 1x1 pixels"):
        open_image(tmp_path / "pixel.png")
    with pytest.raises(ImageError, match="leads nowhere"):
        open_image(tmp_path / "link.png")


def test_identity_is_the_pixels_not_the_file(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "a.png")
    picture(1).save(tmp_path / "b.bmp")
    picture(2).save(tmp_path / "c.png")
    a, b, c = (pixel_sha256(open_image(tmp_path / name)) for name in ("a.png", "b.bmp", "c.png"))
    assert a == b != c


def test_identity_tells_apart_pictures_of_the_same_bytes_and_other_sides() -> None:
    assert pixel_sha256(Image.new("RGB", (2, 8))) != pixel_sha256(Image.new("RGB", (8, 2)))


def test_shrinking_keeps_the_aspect_and_the_limit() -> None:
    small = shrink(Image.new("RGB", (400, 100)), 10_000)
    assert small.width * small.height <= 10_000
    assert abs(small.width / small.height - 4) < 0.1
    assert shrink(small, 10_000) is small


def heic(path: Path) -> Path:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 30, 30))).save(path, quality=90)
    return path


def test_heic_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    image = open_image(heic(tmp_path / "a.heic").rename(tmp_path / "IMG_0001.jpg"))
    assert (image.mode, image.size) == ("RGB", (64, 48))
    red, green, _ = image.getpixel((30, 20))
    assert red > 150 > 100 > green


def test_heic_without_its_package_names_the_extra(tmp_path: Path) -> None:
    """In a process of its own: once registered, pillow-heif stays."""
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from pathlib import Path\nfrom fgvr_kit.dataset.images import open_image\n"
        "open_image(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(heic(tmp_path / "a.heic"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "pip install 'fgvr-kit[heic]'" in done.stderr


def test_a_box_is_cut_out_of_the_upright_picture(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 20), "white")
    picture.putpixel((3, 4), (255, 0, 0))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # stored lying: 20 wide, 40 high when upright
    picture.save(tmp_path / "a.png", exif=exif)
    upright = open_image(tmp_path / "a.png")
    assert upright.size == (20, 40)
    part = open_image(tmp_path / "a.png", (10, 0, 20, 10))
    assert part.tobytes() == upright.crop((10, 0, 20, 10)).tobytes()
    assert part.getpixel((5, 3)) == (255, 0, 0)
    ref = ImageRef(tmp_path / "a.png", pixel_sha256(part), (10, 0, 20, 10))
    assert open_known(ref).size == (10, 10)
    for box in ((0, 0, 21, 10), (5, 5, 5, 9), (0, 0, 1, 5)):
        with pytest.raises(ImageError):
            open_image(tmp_path / "a.png", box)


def test_a_picture_of_300_megapixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    width, height = 20_000, 15_000
    raw = zlib.compress(bytes(10))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", raw), (b"IEND", b""))
    )
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(ImageError) as caught:
        open_image(tmp_path / "big.png")
    assert "pixels" in caught.value.reason
