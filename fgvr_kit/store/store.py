"""Store: one SQLite file a workspace, in WAL mode, through sqlite-utils.

Each method is one question or one transaction. A kill between two calls loses only the call under way.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from fgvr_kit.errors import StoreError
from fgvr_kit.fingerprint import digest_rows
from fgvr_kit.store.migrations import migrations
from fgvr_kit.types import (
    Answer,
    Description,
    Image,
    Negative,
    Option,
    Prediction,
    ScannedImage,
    Score,
    Skipped,
    Split,
    Summary,
)

_MAX_VARIABLES = 500  # SQLite's oldest limit on ? in a statement is 999


class Store:
    """The database of a workspace. Use as a context manager, or call close()."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and bring it up to date.

        Raises StoreError when it was made by a newer fgvr-kit, or is no SQLite database.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self.db = Database(sqlite3.connect(path, timeout=30, check_same_thread=False))
            self.db.enable_wal()
            self.db.execute("pragma synchronous = normal")
            self._refuse_newer()
            migrations.apply(self.db)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"the database cannot be opened: {error}",
                code="store-unreadable",
                where=str(path),
                hint="is it an fgvr.db of fgvr-kit, and is its disk full or read-only?",
            ) from error

    def _refuse_newer(self) -> None:
        known = {migration.name for migration in migrations.pending(self.db)}
        known |= {migration.name for migration in migrations.applied(self.db)}
        ours = {migration.name for migration in migrations._migrations}
        if newer := sorted(known - ours):
            raise StoreError(
                "this workspace was made by a newer fgvr-kit",
                code="store-newer",
                where=str(self.path),
                why=f"it holds the migration {newer[0]!r}, which this version does not know",
                hint="pip install --upgrade fgvr-kit",
            )

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is there, or nothing is. Nests.

        Waits for another process to finish writing; a deferred transaction that reads first would not.
        """
        if self.db.conn.in_transaction:
            yield
            return
        self.db.conn.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.conn.rollback()
            raise
        self.db.conn.commit()

    def count(self, table: str, where: str = "1", params: Sequence[Any] = ()) -> int:
        return int(self.db[table].count_where(where, list(params)))

    def digest(self, table: str, columns: Sequence[str]) -> str:
        """16 hex digits of these columns of all rows, in their own order: for fingerprints."""
        names = ", ".join(f"[{c}]" for c in columns)
        return digest_rows(self.db.execute(f"select {names} from [{table}] order by {names}"))

    # --- images -----------------------------------------------------------------------------------------

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
        for chunk in _chunks(ids, _MAX_VARIABLES):
            marks = ",".join("?" * len(chunk))
            for table in ("answers", "descriptions", "predictions"):
                self.db[table].delete_where(f"image_id in ({marks})", chunk)
            self.db["images"].delete_where(f"id in ({marks})", chunk)

    def _unmine(self, ids: Sequence[int]) -> None:
        for chunk in _chunks(ids, _MAX_VARIABLES):
            marks = ",".join("?" * len(chunk))
            self.db["options"].delete_where(f"image_id in ({marks})", chunk)
            self.db["negatives"].delete_where(
                f"image_id in ({marks}) or negative_id in ({marks})", [*chunk, *chunk]
            )

    def skipped(self) -> list[Skipped]:
        return [Skipped(*row) for row in self.db.execute("select path, reason from skipped order by path")]

    # --- replies, answers, descriptions ------------------------------------------------------------------

    def replies(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of table `replies` by their key, for those that are there."""
        found: dict[str, dict[str, Any]] = {}
        for chunk in _chunks(keys, _MAX_VARIABLES):
            marks = ",".join("?" * len(chunk))
            found |= {row["key"]: row for row in self.db["replies"].rows_where(f"key in ({marks})", chunk)}
        return found

    def all_replies(self) -> Iterator[dict[str, Any]]:
        yield from self.db["replies"].rows_where(order_by="id")

    def put_replies(self, rows: Iterable[dict[str, Any]]) -> None:
        """Insert replies in one transaction; a reply whose key is there is replaced (asked again on request)."""
        with self.transaction():
            for row in rows:
                old = self.db.execute("select id from replies where key = ?", [row["key"]]).fetchone()
                now = {"created": datetime.now(UTC).isoformat(timespec="seconds")}
                self.db["replies"].upsert({**row, **now, "id": old[0]}, pk="id") if old else (
                    self.db["replies"].insert({**row, **now})
                )

    def answers(self) -> dict[int, dict[str, str]]:
        """image id -> attribute -> value."""
        found: dict[int, dict[str, str]] = {}
        for image_id, attribute, value in self.db.execute(
            "select image_id, attribute, value from answers order by image_id, attribute"
        ):
            found.setdefault(image_id, {})[attribute] = value
        return found

    def put_answers(self, answers: Sequence[Answer]) -> None:
        """Make table `answers` hold just these."""
        with self.transaction():
            self.db["answers"].delete_where()
            self.db["answers"].insert_all(
                {"image_id": a.image_id, "attribute": a.attribute, "value": a.value, "reply_id": a.reply_id}
                for a in answers
            )

    def notes_of_answers(self) -> list[str]:
        """The distinct notes of the replies that table `answers` rests on ("untrained toy model")."""
        rows = self.db.execute(
            "select distinct note from replies where note is not null"
            " and id in (select reply_id from answers) order by note"
        )
        return [note for (note,) in rows]

    def descriptions(self) -> dict[int, str]:
        """image id -> text."""
        return dict(self.db.execute("select image_id, text from descriptions order by image_id").fetchall())

    def put_descriptions(self, descriptions: Sequence[Description]) -> None:
        """Make table `descriptions` hold just these."""
        with self.transaction():
            self.db["descriptions"].delete_where()
            self.db["descriptions"].insert_all(
                {"image_id": d.image_id, "text": d.text, "source": d.source, "reply_id": d.reply_id}
                for d in descriptions
            )

    # --- embeddings, negatives, options -------------------------------------------------------------------

    def embeddings(self, model: str, subjects: Sequence[str]) -> dict[str, bytes]:
        """subject (a pixel hash, or a text) -> vector as float32 bytes, for those that are there."""
        found: dict[str, bytes] = {}
        for chunk in _chunks(subjects, _MAX_VARIABLES):
            marks = ",".join("?" * len(chunk))
            found |= dict(
                self.db.execute(
                    f"select subject, vector from embeddings where model = ? and subject in ({marks})",
                    [model, *chunk],
                ).fetchall()
            )
        return found

    def put_embeddings(self, model: str, vectors: dict[str, bytes]) -> None:
        with self.transaction():
            self.db["embeddings"].upsert_all(
                ({"model": model, "subject": s, "vector": v} for s, v in vectors.items()),
                pk=("model", "subject"),
            )

    def negatives(self) -> dict[int, list[Negative]]:
        """image id -> negatives by rank."""
        found: dict[int, list[Negative]] = {}
        for row in self.db.execute(
            "select image_id, rank, negative_id, class, class_similarity, image_similarity from negatives"
            " order by image_id, rank"
        ):
            found.setdefault(row[0], []).append(Negative(*row))
        return found

    def options(self) -> dict[int, list[Option]]:
        """image id -> options by rank, the true class first."""
        found: dict[int, list[Option]] = {}
        for row in self.db.execute(
            "select image_id, rank, class, similarity from options order by image_id, rank"
        ):
            found.setdefault(row[0], []).append(Option(*row))
        return found

    def put_mined(self, negatives: Sequence[Negative], options: Sequence[Option]) -> None:
        """Make tables `negatives` and `options` hold just these."""
        with self.transaction():
            self.db["negatives"].delete_where()
            self.db["options"].delete_where()
            self.db["negatives"].insert_all(
                {
                    "image_id": n.image_id,
                    "rank": n.rank,
                    "negative_id": n.negative_id,
                    "class": n.class_name,
                    "class_similarity": n.class_similarity,
                    "image_similarity": n.image_similarity,
                }
                for n in negatives
            )
            self.db["options"].insert_all(
                {"image_id": o.image_id, "rank": o.rank, "class": o.class_name, "similarity": o.similarity}
                for o in options
            )

    # --- runs, predictions, scores ------------------------------------------------------------------------

    def run(self, run_id: str) -> dict[str, Any] | None:
        return next(iter(self.db["runs"].rows_where("id = ?", [run_id])), None)

    def runs(self) -> list[dict[str, Any]]:
        return list(self.db["runs"].rows_where(order_by="started, rowid"))

    def put_run(self, **columns: Any) -> None:
        """Insert or update a run by its `id`; columns not named keep their values."""
        self.db["runs"].upsert(columns, pk="id")

    def put_step(self, run_id: str, step: int, epoch: float, terms: dict[str, float]) -> None:
        self.db["steps"].upsert(
            {"run_id": run_id, "step": step, "epoch": epoch, "terms": json.dumps(terms)},
            pk=("run_id", "step"),
        )

    def steps(self, run_id: str) -> list[dict[str, Any]]:
        rows = self.db["steps"].rows_where("run_id = ?", [run_id], order_by="step")
        return [{**row, "terms": json.loads(row["terms"])} for row in rows]

    def predictions(self, model: str, protocol: str) -> dict[int, Prediction]:
        """image id -> prediction."""
        rows = self.db.execute(
            "select image_id, options, predicted, truth, scores from predictions where model = ? and protocol = ?"
            " order by image_id",
            [model, protocol],
        )
        return {
            image_id: Prediction(
                image_id, tuple(json.loads(options)), predicted, truth, tuple(json.loads(scores))
            )
            for image_id, options, predicted, truth, scores in rows
        }

    def put_predictions(self, model: str, protocol: str, predictions: Sequence[Prediction]) -> None:
        with self.transaction():
            self.db["predictions"].upsert_all(
                (
                    {
                        "model": model,
                        "protocol": protocol,
                        "image_id": p.image_id,
                        "options": json.dumps(p.options, ensure_ascii=False),
                        "predicted": p.predicted,
                        "truth": p.truth,
                        "scores": json.dumps(p.scores),
                    }
                    for p in predictions
                ),
                pk=("model", "protocol", "image_id"),
            )

    def scores(self) -> list[Score]:
        rows = self.db.execute(
            "select model, protocol, metric, n, value, low, high, note from scores order by rowid"
        )
        return [Score(*row) for row in rows]

    def put_scores(self, scores: Sequence[Score]) -> None:
        """Make table `scores` hold just these."""
        with self.transaction():
            self.db["scores"].delete_where()
            self.db["scores"].insert_all(
                {
                    "model": s.model,
                    "protocol": s.protocol,
                    "metric": s.metric,
                    "n": s.n,
                    "value": s.value,
                    "low": s.low,
                    "high": s.high,
                    "note": s.note,
                }
                for s in scores
            )

    # --- the walk -----------------------------------------------------------------------------------------

    def finish(self, step: str, fingerprint: str, summary: Summary) -> None:
        """Write down that a step of the walk stands, what it was made from and what it did."""
        self.db["walk"].upsert(
            {
                "step": step,
                "fingerprint": fingerprint,
                "summary": json.dumps(summary.as_dict(), ensure_ascii=False),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            pk="step",
        )

    def walk(self) -> dict[str, dict[str, Any]]:
        """step -> {"fingerprint", "summary" (a dict), "finished"} of every step that stands."""
        return {row["step"]: {**row, "summary": json.loads(row["summary"])} for row in self.db["walk"].rows}


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
