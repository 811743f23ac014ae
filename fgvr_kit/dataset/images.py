"""The one place where images are opened: upright, RGB, 8 bit.

Training, CLIP, VQA, evaluation and prediction all see what `open_image` returns, and `pixel_sha256` of it is
an image's identity: renaming a file or editing its metadata changes nothing, turning it does.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from fgvr_kit.dataset.facts import file_facts
from fgvr_kit.errors import ImageError
from fgvr_kit.types import Box, FileFacts, ImageRef

MIN_SIDE = 2
"""Smallest width and height in pixels: below it is a tracking pixel or a line, not a photograph."""

MAX_PIXELS = 178_956_970
"""Largest picture: PIL's own limit, above which it warns; half a gigabyte as RGB."""

# Held against MAX_PIXELS instead. Once and for all, because images are opened in threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_OF_DAMAGED_FILES = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
)
"""What PIL's plug-ins raise for files that are not what they claim to be."""

_ON_ITS_SIDE = range(5, 9)
"""EXIF orientations that change width for height."""

_HEIC_MARKS = {b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")}
_LFS_MARK = b"version https://git-lfs"
_MARKUP_MARKS = (b"<!doctype", b"<html", b"<?xml", b"<head")


def open_image(path: Path, box: Box | None = None) -> Image.Image:
    """The picture as people see it: first frame, turned as EXIF says, RGB, 8 bit a channel.

    box: this part of it only.  16-bit and 32-bit grey is scaled to 8 bit by its type's range, CMYK converted,
    transparency laid over white. Raises ImageError with the reason (empty, cut off, Git LFS pointer, not an
    image, ...).
    """
    image = read_image(path)[0]
    return crop(image, box, path) if box else image


def read_image(path: Path) -> tuple[Image.Image, FileFacts]:
    """The whole picture as open_image gives it, and what the file tells about itself. Raises ImageError."""
    # Other libraries switch this on for the whole process; a half-grey picture must stay an error.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with _explained(path), _opened(path) as image:
        facts = file_facts(image)  # before load(): PIL forgets about frames
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        rgb = _to_rgb(image)
    if min(rgb.size) < MIN_SIDE:
        raise ImageError(f"only {rgb.width}x{rgb.height} pixels", where=str(path))
    return rgb, facts


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) of the picture as people see it, from the head of its file. Raises ImageError."""
    with _explained(path), _opened(path) as image:
        is_turned = file_facts(image).orientation in _ON_ITS_SIDE
        return (image.height, image.width) if is_turned else (image.width, image.height)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What goes wrong with a file, as ImageError with the reason."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise ImageError(_why_unidentified(path), where=str(path)) from error
    except Image.DecompressionBombError as error:
        raise ImageError("more pixels than can be opened safely", where=str(path)) from error
    except FileNotFoundError as error:
        raise ImageError("the file is gone, or a link that leads nowhere", where=str(path)) from error
    except PermissionError as error:
        raise ImageError("no permission to read the file", where=str(path)) from error
    except MemoryError as error:
        raise ImageError("more pixels than there is memory for", where=str(path)) from error
    except _OF_DAMAGED_FILES as error:
        cut_off = "truncated" in str(error).lower()
        reason = "the image is cut off (truncated)" if cut_off else f"cannot be decoded ({error})"
        raise ImageError(reason, where=str(path)) from error


def crop(image: Image.Image, box: Box, path: Path) -> Image.Image:
    """The part of an opened picture inside a box. Raises ImageError when it is not inside, or too small."""
    left, top, right, bottom = box
    if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
        raise ImageError(
            f"the box {box} is not inside the picture of {image.width}x{image.height}", where=str(path)
        )
    if min(right - left, bottom - top) < MIN_SIDE:
        raise ImageError(f"the box is only {right - left}x{bottom - top} pixels", where=str(path))
    return image.crop(box)


def open_known(ref: ImageRef) -> Image.Image:
    """As open_image, of a picture that `init` has seen: its pixels must still have that hash.

    Everything made from it is kept under the hash. Raises ImageError when it is another picture by now.
    """
    image = open_image(ref.path, ref.box)
    if pixel_sha256(image) != ref.sha256:
        raise ImageError(
            "the picture has changed since fgvr-kit init looked at it",
            where=str(ref.path),
            code="image-changed",
            hint="fgvr-kit init sees the change; then the same command",
        )
    return image


def pixel_sha256(image: Image.Image) -> str:
    """SHA-256 over size and RGB bytes of an opened image: its identity everywhere in the workspace."""
    digest = hashlib.sha256(f"{image.width}x{image.height} RGB\0".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def shrink(image: Image.Image, max_pixels: int) -> Image.Image:
    """The image with at most max_pixels pixels, aspect ratio kept; unchanged when it is small enough."""
    n_pixels = image.width * image.height
    if n_pixels <= max_pixels:
        return image
    scale = (max_pixels / n_pixels) ** 0.5
    slack = 1e-6  # 150 * sqrt(56 * 56 / (150 * 150)) is 55.999...
    size = (max(1, int(image.width * scale + slack)), max(1, int(image.height * scale + slack)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _opened(path: Path) -> Image.Image:
    """A file opened by PIL, its pixels not read yet; HEIC through pillow-heif, where that is installed."""
    try:
        image: Image.Image = Image.open(path)
    except UnidentifiedImageError:
        if not _is_heic(path):
            raise
        image = _opened_heic(path)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ImageError(f"{image.width}x{image.height} pixels are too many", where=str(path))
    return image


def _is_heic(path: Path) -> bool:
    return _head(path)[4:12] in _HEIC_MARKS


def _opened_heic(path: Path) -> Image.Image:
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise ImageError(
            "a HEIC picture; reading it needs pip install 'fgvr-kit[heic]'", where=str(path)
        ) from error
    pillow_heif.register_heif_opener()
    return Image.open(path)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return _grey_to_rgb(np.asarray(image, dtype=np.float32) / 257.0)
    if image.mode == "I":
        values = np.asarray(image, dtype=np.float64)
        # PIL opens 16-bit PNGs as "I" in some versions; real 32-bit data uses its own range.
        return _grey_to_rgb(values / (257.0 if values.max(initial=0) <= 65535 else 2**31 / 256))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        return _grey_to_rgb(values * 255 if values.max(initial=0) <= 1 else values)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        # Cut-outs often hide black or garbage under their transparency.
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _grey_to_rgb(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8)).convert("RGB")


def _why_unidentified(path: Path) -> str:
    head = _head(path)
    if not head:
        return "the file is empty"
    if head.startswith(_LFS_MARK):
        return "a Git LFS pointer instead of the image (run: git lfs pull)"
    if head.lstrip().lower().startswith(_MARKUP_MARKS):
        return "a web page saved under an image's name"
    return "not an image"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})", where=str(path)) from error
