"""The images of the dataset: what was found, what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from fgvr_kit.store.database import Tables, chunks
from fgvr_kit.types import Image, ScannedImage, Skipped, Split


class ImageTables(Tables):
    def images(self, split: Split | None = None) -> list[Image]:
        """Images by path; of one split, or all."""
        where = "where split = ?" if split else ""
        rows = self.db.execute(
            f"select id, path, class, split, sha256 from images {where} order by path",
            [split] if split else [],
        )
        return [Image(*row) for row in rows]

    def scanned(self) -> list[ScannedImage]:
        rows = self.db.execute(
            "select path, class, split, sha256, width, height, n_bytes, mtime_ns from images order by path"
        )
        return [ScannedImage(*row) for row in rows]

    def put_images(self, images: Sequence[ScannedImage], skipped: Sequence[Skipped]) -> int:
        """Make the tables `images` and `skipped` hold just these; ids of images that stay are kept.

        What was made from an image that is gone, or whose pixels or class changed, goes with it; so do the
        negatives and options of an image that changed sides, and options that name a class that is gone.
        Returns how many rows of earlier images were removed.
        """
        with self.transaction():
            known = {image.path: image for image in self.images()}
            keep = {(image.path, image.sha256, image.class_name) for image in images}
            gone = [old for old in known.values() if (old.path, old.sha256, old.class_name) not in keep]
            self._forget([image.id for image in gone])
            sides = {image.path: image.split for image in images}
            self._unmine([old.id for path, old in known.items() if sides.get(path, old.split) != old.split])
            self.db.conn.executemany(
                "insert into images (path, class, split, sha256, width, height, n_bytes, mtime_ns)"
                " values (?, ?, ?, ?, ?, ?, ?, ?)"
                " on conflict (path) do update set split = excluded.split, n_bytes = excluded.n_bytes,"
                " mtime_ns = excluded.mtime_ns",
                [
                    (i.path, i.class_name, i.split, i.sha256, i.width, i.height, i.n_bytes, i.mtime_ns)
                    for i in images
                ],
            )
            self.db["options"].delete_where(
                "image_id in (select image_id from options where class not in (select class from images))"
            )
            self.db["skipped"].delete_where()
            self.db["skipped"].insert_all({"path": s.path, "reason": s.reason} for s in skipped)
        return len(gone)

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

    def skipped(self) -> list[Skipped]:
        return [Skipped(*row) for row in self.db.execute("select path, reason from skipped order by path")]
