"""Whether the picture data of a JPEG is whole. A decoder that shows pictures fills in what it cannot read, and
says nothing: bit rot, a bad copy or a broken upload passes for a photograph.

libjpeg does notice, as warnings. Which of them mean lost pixels was decided on 868 real JPEGs (seedlings-messy,
euro-coins), none of which warns but the rotten one and two that are cut off, and on 6,000 copies with bits
flipped, bytes overwritten, blanked or dropped: see `_is_loss`. Silence proves nothing: of the copies that differ
visibly about half are found.
"""

from __future__ import annotations

import re
from pathlib import Path

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN = 0xDA
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD}  # Huffman, arithmetic, quantization tables; restart interval
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_LOSSES = ("Corrupt JPEG data:", "Premature end of JPEG file", "Inconsistent progression sequence")
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_HARMLESS_BYTES = 3


def damage_of(path: Path) -> str:
    """What libjpeg says about lost picture data, "" for nothing. Only JPEGs are looked at; never raises for a
    file that is none, is gone, or is in a form that this decoder does not know."""
    try:
        with path.open("rb") as file:
            head = file.read(3)
            if head != _START + b"\xff":
                return ""
            data = head + file.read()
    except OSError:
        return ""
    picture, n_channels = _picture(data)
    told = _warning(picture, n_channels)
    return told if _is_loss(told, picture) else ""


def _warning(picture: bytes, n_channels: int) -> str:
    """The first warning or error of a decode, "" for none."""
    import simplejpeg

    try:
        # An eighth of the size reads every bit of the data and spares the arithmetic behind it.
        simplejpeg.decode_jpeg(picture, "CMYK" if n_channels == 4 else "GRAY", min_factor=8, strict=True)
    except (ValueError, RuntimeError, MemoryError) as error:
        return str(error)
    return ""


def _picture(data: bytes) -> tuple[bytes, int]:
    """The data with nothing but what decoding needs in front of the first scan, and the number of channels.

    Camera makers' notes, profiles and the gaps between them cannot be warned of then: libjpeg tells its first
    warning only, which would hide one about the picture. An end is added: a file that lacks only its end marker
    has lost nothing.
    """
    kept, n_channels, place = [_START], 3, 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # fill bytes, markers without content
            place += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            return b"".join([*kept, data[place:], _END]), n_channels
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in _FRAMES and place + 9 < len(data):
            n_channels = data[place + 9]
        if marker in _FRAMES | _TABLES:
            kept.append(data[place:end])
        place = end
    return data + _END, n_channels


def _is_loss(told: str, picture: bytes) -> bool:
    """Whether a message means that pixels were lost.

    Bytes left over behind the last pixel are the commonest trace of rot: the decoder lost count. But scanners and
    webcams fill up with a few bytes, or with many of one value, behind a picture that is whole. Of 1,077 rotten
    copies with bytes left over, 10 had three or fewer, and in none were they all alike.
    """
    if not told.startswith(_LOSSES):
        return False
    left_over = _LEFT_OVER.search(told)
    if not left_over:
        return True
    n, marker = int(left_over[1]), bytes([int(left_over[2], 16)])
    if n <= _HARMLESS_BYTES:
        return False
    padding = rb"(.)\1{%d}\xff+%s" % (min(n, 65_000) - 1, re.escape(marker))
    return re.search(padding, picture, re.DOTALL) is None
