"""What is unusual about image files without being wrong: other tools stumble over it, or read the file otherwise.

Judged from what `init` stored; nothing is opened.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import PurePosixPath
from statistics import median_low

from PIL import Image

from fgvr_kit.dataset.files import class_named
from fgvr_kit.types import FileFacts, ScannedImage

LARGE_RATIO, LARGE_PIXELS = 4, 4_000_000
"""A picture is large with this many times the pixels of the dataset's median, and at least so many."""
LONG_NAME = 100
"""Characters of a file name that many tools and archives still take."""

WHY = {
    "wrong-extension": "tools that trust the name fail on it; here the content decides",
    "no-extension": "tools that list images by their extension leave it out; here it is used",
    "double-extension": "mostly the trace of a renaming that went wrong",
    "rare-format": "many tools do not list or open it; here it is used like any other",
    "exif-rotated": "here it is used upright; tools that ignore EXIF see it turned",
    "multi-frame": "the first picture is used, the others are not looked at",
    "size-large": "models see it shrunk; often it comes from another source than the rest",
    "nested": "tools that read one level of folders miss it; here it belongs to its class folder",
    "odd-name": "tables, shells, web addresses or other systems may stumble over it",
    "same-name": "copied into one folder, such files overwrite each other",
}
"""What follows from an oddity. Those of a pixel mode stand in _MODES."""

_MODES = {
    "1": ("black and white without grey", "it shows no colour and no shades"),
    "L": ("grey", "its class cannot be told by colour"),
    "LA": (
        "grey with transparency",
        "its class cannot be told by colour; what is transparent is shown white",
    ),
    "P": ("a palette of at most 256 colours", "fine shades are lost"),
    "PA": ("a palette with transparency", "fine shades are lost; what is transparent is shown white"),
    "RGBA": ("colour with transparency", "what is transparent is shown white; other tools show it black"),
    "CMYK": ("printing colours (CMYK)", "converted without its printer's profile, its colours may be off"),
    "I;16": ("grey of 16 bits", "scaled to 8 bits here; many tools show such a picture all white or black"),
    "I": ("grey of 32 bits", "scaled to 8 bits here; many tools show such a picture all white or black"),
    "F": ("grey in decimal numbers", "scaled to 8 bits here; many tools cannot show it"),
}

_COMMON_FORMATS = {"JPEG", "MPO", "PNG", "WEBP"}
_COMMON_EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}
_BAD_CHARACTERS = set("\"'`,;<>:|?*\\%#&$![]{}")  # of CSV, shells, web addresses or Windows
_BAD_KINDS = {
    "So",
    "Sk",
    "Cc",
    "Cf",
    "Co",
    "Cn",
    "Zl",
    "Zp",
    "Zs",
}  # symbols, invisible characters, odd blanks
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # device names of Windows


@dataclass(frozen=True, slots=True)
class Oddity:
    """word: stable, for people and programs.  told: what it is, with its value, after the file's path."""

    word: str
    image: ScannedImage
    told: str
    why: str
    other: str | None = None
    value: float | None = None


def oddities(images: Sequence[ScannedImage]) -> Iterator[Oddity]:
    """All there are, by path; of a file with several boxes once, under the first of them."""
    files = {image.file: image for image in reversed(images)}
    places = _places_of_names(files)
    typical = median_low([image.width * image.height for image in images]) if images else 0
    for file, image in sorted(files.items()):
        name = PurePosixPath(file).name
        facts = image.file_facts or FileFacts()
        yield from _of_extension(image, name, facts.format)
        yield from _of_content(image, facts)
        yield from _of_size(image, typical)
        yield from _of_place(image, file)
        if flaws := name_flaws(name):
            yield _odd("odd-name", image, f"has a name that {' and '.join(flaws)}")
        yield from _of_name(image, name, places[name])


def name_flaws(name: str) -> list[str]:
    """What other tools may stumble over in a file name: "begins with a dash", "holds # &"; [] for nothing."""
    stem = PurePosixPath(name).stem
    flaws = []
    if odd := [c for c in dict.fromkeys(name) if c != " " and _is_bad(c)]:
        flaws.append(f"holds {' '.join(c if c.isprintable() else repr(c) for c in odd)}")
    if stem[0] in " -":
        flaws.append("begins with a blank" if stem[0] == " " else "begins with a dash")
    if stem[-1] in " .":
        flaws.append("ends with a blank or dot")
    if len(name) > LONG_NAME:
        flaws.append(f"is {len(name)} characters long")
    if unicodedata.normalize("NFC", name) != name:
        flaws.append("writes an accented letter as two characters (NFD), so that typing it finds nothing")
    if _RESERVED.fullmatch(name):
        flaws.append("stands for a device on Windows")
    return flaws


def _odd(word: str, image: ScannedImage, told: str, **more: str | float) -> Oddity:
    return Oddity(word, image, told, WHY[word], **more)  # type: ignore[arg-type]  # other or value


def _of_extension(image: ScannedImage, name: str, real: str) -> Iterator[Oddity]:
    path = PurePosixPath(name)
    extension, kind = path.suffix.lower(), _format_of(path.suffix)
    if not kind and not re.fullmatch(r"\.[a-z][a-z0-9]{1,4}", extension):
        yield _odd("no-extension", image, f"has no extension; it is {real or 'an image'}")
    elif real and kind != _as_jpeg(real):
        yield _odd("wrong-extension", image, f"is {_as_jpeg(real)}, not what {extension!r} says")
    elif kind and _format_of(path.with_suffix("").suffix):
        yield _odd("double-extension", image, f"ends in {''.join(path.suffixes[-2:])!r}")
    if (real and real not in _COMMON_FORMATS) or (kind and extension not in _COMMON_EXTENSIONS):
        yield _odd("rare-format", image, f"is {real or kind} ({extension or 'no extension'})")


def _of_content(image: ScannedImage, facts: FileFacts) -> Iterator[Oddity]:
    if facts.mode not in ("", "RGB"):
        meaning, why = _MODES.get(facts.mode, ("an unusual kind of pixels", "converted to RGB here"))
        yield Oddity(f"mode-{facts.mode}", image, f"is stored as {meaning}", why)
    if 2 <= facts.orientation <= 8:
        yield _odd("exif-rotated", image, f"is stored turned (EXIF orientation {facts.orientation})")
    if facts.frames > 1:
        yield _odd("multi-frame", image, f"holds {facts.frames} pictures", value=float(facts.frames))


def _of_size(image: ScannedImage, typical: int) -> Iterator[Oddity]:
    n_pixels = image.width * image.height
    if not image.box and n_pixels > max(LARGE_PIXELS, LARGE_RATIO * typical):
        told = (
            f"has {image.width}x{image.height} pixels, {n_pixels / typical:,.0f} times as many as usual here"
        )
        yield _odd("size-large", image, told, value=round(n_pixels / typical, 1))


def _of_place(image: ScannedImage, file: str) -> Iterator[Oddity]:
    """In a folder below the one that is named like its class; a table of images has no such folder."""
    folders = file.split("/")[:-1]
    label = image.label or image.class_name
    below = next((folders[n + 1 :] for n, name in enumerate(folders) if class_named(name) == label), [])
    if below:
        yield _odd("nested", image, f"lies in {'/'.join(below)!r} below its class folder")


def _of_name(image: ScannedImage, name: str, places: Mapping[str, str]) -> Iterator[Oddity]:
    """The same file name in other classes."""
    if len(places) > 1:
        others = list(islice((other for other in places if other != image.class_name), 3))
        told = f"has the name of a file in {_listed([repr(other) for other in others], len(places) - 1)}"
        yield _odd("same-name", image, told, other=places[others[0]])


def _places_of_names(files: Mapping[str, ScannedImage]) -> dict[str, dict[str, str]]:
    """File name -> class -> its first file of that name."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for file, image in sorted(files.items()):
        found[PurePosixPath(file).name].setdefault(image.class_name, image.path)
    return found


@cache
def _formats() -> dict[str, str]:
    return {**Image.registered_extensions(), ".heic": "HEIF", ".heif": "HEIF"}


def _format_of(extension: str) -> str:
    """The format that an extension stands for, "" for none that is known."""
    return _as_jpeg(_formats().get(extension.lower(), ""))


def _as_jpeg(format_name: str) -> str:
    return "JPEG" if format_name == "MPO" else format_name  # a JPEG with more pictures behind it


def _is_bad(character: str) -> bool:
    return character in _BAD_CHARACTERS or unicodedata.category(character) in _BAD_KINDS


def _listed(words: Sequence[str], n: int | None = None) -> str:
    """ "a, b and c"; with n more than there are words: "a, b and 3 more"."""
    rest = (n or len(words)) - len(words)
    shown = [*words, f"{rest} more"] if rest else list(words)
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
