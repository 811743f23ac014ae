"""COCO files for tests: annotations beside small pictures of 100 x 80 pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fgvr_kit.layouts.base import Listing, Source, find_layout
from fgvr_kit.settings import DatasetSettings
from tests.photographs import picture

Rows = list[dict[str, Any]]


def listed(place: Path, **chosen: Any) -> Listing:
    source = Source(str(place), place, DatasetSettings(**chosen))
    found = find_layout(source)
    assert found.name == "coco"
    listing: Listing = found.module.read(source)
    return listing


def photos(folder: Path, *names: str, size: tuple[int, int] = (100, 80)) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(name, size).save(folder / name, "PNG")


def image(number: Any, name: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 100, "height": 80, **more}


def box(number: Any, of: Any, bbox: Any = (10, 10, 20, 20), category: Any = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": of, "category_id": category, "bbox": bbox, **more}


def coco(path: Path, images: Rows, annotations: Rows, categories: Rows | None = None, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    categories = [{"id": 1, "name": "bee", "supercategory": "insect"}] if categories is None else categories
    document = {"images": images, "annotations": annotations, "categories": categories, **more}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
