"""reports/preview.html: what `train --preview` shows, as one file to look at, offline, with the pictures in it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from fgvr_kit.edited import write_text
from fgvr_kit.report.render import template

if TYPE_CHECKING:
    from PIL.Image import Image

    from fgvr_kit.training.planning.preview import Preview


def write_preview_page(preview: Preview, folder: Path, file: Path) -> None:
    """folder: where the paths of images start from; no part of it is written."""
    rows = [seen for stage in preview.stages for seen in (stage.longest, *stage.rows)]
    pictures = {seen: [_uri(picture) for picture in seen.pictures] for seen in rows}
    page = template("preview.html", folder).render(preview=preview, pictures=pictures)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, page)


def _uri(picture: Image) -> str:
    """As PNG: no pixel is changed."""
    held = io.BytesIO()
    picture.save(held, format="PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()
