"""The images of the dataset: what was found, what was left out, which side of the split each was given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fgvr_kit.store.database import Tables, chunks
from fgvr_kit.types import Box, FileFacts, Image, PixelFacts, ScannedImage, Side, Skipped, Split

_DECIDED = (
    "class",
    "split",
    "sha256",
    "n_bytes",
    "mtime_ns",
    "label",
    "box",
    "group_key",
    "set_aside",
    "details",
)
_READ = (
    "width",
    "height",
    "format",
    "mode",
    "frames",
    "orientation",
    "camera",
    "taken",
    "phash",
    "thumb",
)
_USED = "set_aside is null"


class ImageTables(Tables):
    def images(self, split: Split | None = None) -> list[Image]:
        """The images in use by path; of one split, or all. Those set aside are none."""
        where = f"where {_USED}" + (" and split = ?" if split else "")
        rows = self.db.execute(
            f"select id, path, class, split, sha256, box from images {where} order by path",
            [split] if split else [],
        )
        return [
            Image(number, path, name, side, sha256, _box(box))
            for number, path, name, side, sha256, box in rows
        ]

    def n_images(self, split: Split | None = None) -> int:
        """How many images are in use; of one split, or all."""
        return (
            self.count("images", f"{_USED} and split = ?", [split]) if split else self.count("images", _USED)
        )

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Pixel hash -> width and height of the images in use."""
        rows = self.db.execute("select sha256, width, height from images where set_aside is null")
        return {sha256: (width, height) for sha256, width, height in rows}

    def digest_images(self, columns: Sequence[str]) -> str:
        """16 hex digits of these columns of the images in use: for fingerprints."""
        return self.digest("images", columns, _USED)

    def scanned(self) -> list[ScannedImage]:
        """Every image with all its facts, by path, also those set aside. About 2 kB of memory each."""
        rows = self.db.execute(
            "select path, class, split, sha256, width, height, n_bytes, mtime_ns, box, label, group_key,"
            " set_aside, details, format, mode, frames, orientation, camera, taken, phash, thumb"
            " from images order by path"
        )
        return [_scanned(row) for row in rows]

    def put_images(self, images: Sequence[ScannedImage], skipped: Sequence[Skipped]) -> int:
        """Make the tables `images` and `skipped` hold just these; ids of images that stay are kept.

        What was made from an image that is gone, or whose pixels or class changed, goes with it; so do the
        negatives and options of an image that changed sides or was set aside, and options that name a class
        that is gone. Only rows that changed are written. Returns how many earlier images were removed.
        """
        columns = ", ".join(f"[{c}]" for c in ("id", "path", *_DECIDED))
        with self.transaction():
            known = {row[1]: row for row in self.db.execute(f"select {columns} from images")}
            now = {image.path: _decided(image) for image in images}
            gone = [row[0] for path, row in known.items() if path not in now or _is_another(row, now[path])]
            self._forget(gone)
            moved = [row[0] for path, row in known.items() if path in now and _changed_sides(row, now[path])]
            self._unmine(moved)
            changed = [i for i in images if i.path not in known or known[i.path][2:] != now[i.path]]
            self._write(changed, now)
            self.db["options"].delete_where(
                "image_id in (select image_id from options where class not in"
                f" (select class from images where {_USED}))"
            )
            self.db["scans"].delete_where()
            self.db["skipped"].delete_where()
            self.db["skipped"].insert_all(
                (
                    {"path": s.path, "reason": s.reason, "code": s.code, "class": s.class_name}
                    for s in skipped
                ),
                replace=True,
            )
        return len(gone)

    def _write(self, images: Sequence[ScannedImage], decided: Mapping[str, tuple[Any, ...]]) -> None:
        """Insert or update rows; an image without facts keeps those that are stored."""
        for group in ([i for i in images if i.file_facts], [i for i in images if not i.file_facts]):
            columns = ("path", *_DECIDED, *(_READ if group and group[0].file_facts else _READ[:2]))
            names = ", ".join(f"[{c}]" for c in columns)
            kept = ", ".join(f"[{c}] = excluded.[{c}]" for c in columns[1:])
            kept += ", damage = case when mtime_ns = excluded.mtime_ns then damage end"
            marks = ", ".join("?" * len(columns))
            self.db.conn.executemany(
                f"insert into images ({names}) values ({marks}) on conflict (path) do update set {kept}",
                ((i.path, *decided[i.path], *_facts(i)) for i in group),
            )

    def _forget(self, ids: Sequence[int]) -> None:
        self._unmine(ids)
        for chunk in chunks(ids):
            marks = ",".join("?" * len(chunk))
            for table in ("answers", "descriptions", "predictions"):
                self.db[table].delete_where(f"image_id in ({marks})", chunk)
            self.db["images"].delete_where(f"id in ({marks})", chunk)

    def _unmine(self, ids: Sequence[int]) -> None:
        for chunk in chunks(ids):
            marks = ",".join("?" * len(chunk))
            self.db["options"].delete_where(f"image_id in ({marks})", chunk)
            self.db["negatives"].delete_where(
                f"image_id in ({marks}) or negative_id in ({marks})", [*chunk, *chunk]
            )

    def put_scans(self, place: str, images: Sequence[ScannedImage]) -> None:
        """Keep images of a scan that has not ended yet. place: where the dataset lies."""
        with self.transaction():
            self.db.conn.executemany(
                "insert or replace into scans (place, path, image) values (?, ?, ?)",
                ((place, image.path, json.dumps(asdict(image), default=bytes.hex)) for image in images),
            )

    def scans(self, place: str) -> list[ScannedImage]:
        """What a scan of this dataset that did not end has read."""
        rows = self.db.execute("select image from scans where place = ?", [place])
        return [_thawed(json.loads(text)) for (text,) in rows]

    def skipped(self) -> list[Skipped]:
        rows = self.db.execute(
            "select path, reason, coalesce(code, ''), coalesce(class, '') from skipped order by path"
        )
        return [Skipped(*row) for row in rows]

    # --- what was decided about pictures, also while they are away -------------------------------------------

    def sides(self) -> dict[str, Side]:
        """Pixel hash -> side of the split, of every picture that was ever given one."""
        rows = self.db.execute("select sha256, split, group_key, drawn_by from splits")
        return {sha256: Side(split, group, by) for sha256, split, group, by in rows}

    def put_sides(self, sides: Mapping[str, Side]) -> None:
        """Write sides down; those of other pictures stay."""
        with self.transaction():
            self.db.conn.executemany(
                "insert into splits (sha256, split, group_key, drawn_by) values (?, ?, ?, ?) on conflict (sha256)"
                " do update set split = excluded.split, group_key = excluded.group_key,"
                " drawn_by = excluded.drawn_by",
                ((sha256, side.split, side.group, side.by) for sha256, side in sides.items()),
            )

    def forget_sides(self) -> None:
        """Every picture is drawn anew by the next `init`."""
        with self.transaction():
            self.db["splits"].delete_where()

    def duplicates(self) -> list[tuple[str, str, float]]:
        """(pixel hash, other, match) of pictures that are nearly the same."""
        return self.db.execute("select sha256, other, match from duplicates order by 1, 2").fetchall()

    def put_duplicates(self, pairs: Iterable[tuple[str, str, float]]) -> None:
        """Write pairs down; those that are there stay."""
        with self.transaction():
            self.db.conn.executemany("insert or replace into duplicates values (?, ?, ?)", pairs)

    def quarantined(self) -> dict[str, str]:
        """Pixel hash -> why the picture is set aside."""
        return dict(self.db.execute("select sha256, reason from quarantine order by sha256").fetchall())

    def put_quarantined(self, reasons: Mapping[str, str]) -> None:
        """Make table `quarantine` hold just these."""
        with self.transaction():
            self.db["quarantine"].delete_where()
            self.db["quarantine"].insert_all({"sha256": s, "reason": r} for s, r in reasons.items())

    def damage(self) -> dict[str, str]:
        """path -> what a strict decoder found in the file ("" for nothing), where one has looked."""
        return dict(self.db.execute("select path, damage from images where damage is not null").fetchall())

    def put_damage(self, found: Iterable[tuple[str, str]]) -> None:
        """(path, what a strict decoder found) of images whose file it has read."""
        with self.transaction():
            self.db.conn.executemany(
                "update images set damage = ? where path = ?", ((told, path) for path, told in found)
            )


def _thawed(cells: dict[str, Any]) -> ScannedImage:
    pixels = cells["pixel_facts"] | {"thumb": bytes.fromhex(cells["pixel_facts"]["thumb"])}
    box = tuple(cells["box"]) if cells["box"] else None
    return ScannedImage(
        **cells
        | {"box": box, "file_facts": FileFacts(**cells["file_facts"]), "pixel_facts": PixelFacts(**pixels)}
    )


def _box(text: str | None) -> Box | None:
    if not text:
        return None
    left, top, right, bottom = (int(n) for n in text.split(","))
    return left, top, right, bottom


def _decided(image: ScannedImage) -> tuple[Any, ...]:
    """The cells of columns _DECIDED."""
    box = ",".join(map(str, image.box)) if image.box else None
    details = json.dumps(dict(image.details), ensure_ascii=False) if image.details else None
    return (
        image.class_name, image.split, image.sha256, image.n_bytes, image.mtime_ns, image.label or image.class_name,
        box, image.group, image.set_aside, details,
    )  # fmt: skip


def _facts(image: ScannedImage) -> tuple[Any, ...]:
    """The cells of columns _READ, or of the first two of them."""
    size = (image.width, image.height)
    file, pixels = image.file_facts, image.pixel_facts
    if file is None or pixels is None:
        return size
    signed = pixels.phash - (1 << 64) if pixels.phash >> 63 else pixels.phash  # SQLite has no unsigned
    return (
        *size, file.format, file.mode, file.frames, file.orientation, file.camera, file.taken,
        signed, pixels.thumb,
    )  # fmt: skip


def _is_another(row: Sequence[Any], now: Sequence[Any]) -> bool:
    """Its pixels or its class changed: nothing made from it stands."""
    return (row[2], row[4]) != (now[0], now[2])


def _changed_sides(row: Sequence[Any], now: Sequence[Any]) -> bool:
    return not _is_another(row, now) and (row[3], row[10] is None) != (now[1], now[8] is None)


def _scanned(row: Sequence[Any]) -> ScannedImage:
    path, class_name, split, sha256, width, height, n_bytes, mtime_ns = row[:8]
    phash, thumb = row[19], row[20]
    return ScannedImage(
        path, class_name, split, sha256, width, height, n_bytes, mtime_ns,
        box=_box(row[8]),
        label=row[9] or row[1],
        group=row[10],
        set_aside=row[11],
        details=json.loads(row[12]) if row[12] else {},
        file_facts=None if row[13] is None else FileFacts(*row[13:19]),
        pixel_facts=None if phash is None else PixelFacts(phash % (1 << 64), thumb),
    )  # fmt: skip
