"""Vectors, look-alikes and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fgvr_kit.store.database import Tables, chunks
from fgvr_kit.types import Negative, Option


class MinedTables(Tables):
    def vector_rows(self, model: str, subjects: Sequence[str]) -> dict[str, tuple[int, int]]:
        """subject (a pixel hash, or a text) -> (row of its vector in the model's file, sum of its bits), for those
        that are there."""
        found: dict[str, tuple[int, int]] = {}
        for chunk in chunks(subjects):
            marks = ",".join("?" * len(chunk))
            rows = self.db.execute(
                f"select subject, row, sum from vectors where model = ? and subject in ({marks})",
                [model, *chunk],
            )
            found.update({subject: (row, total) for subject, row, total in rows})
        return found

    def n_vector_rows(self, model: str) -> int:
        """One more than the last row that is taken in the model's file."""
        last = self.db.execute("select max(row) from vectors where model = ?", [model]).fetchone()[0]
        return 0 if last is None else int(last) + 1

    def put_vector_rows(self, model: str, rows: Mapping[str, tuple[int, int]]) -> None:
        """rows: as vector_rows gives them. A row belongs to one subject only."""
        with self.transaction():
            self.db.conn.executemany(
                "insert into vectors (model, subject, row, sum) values (?, ?, ?, ?)"
                " on conflict (model, subject) do update set row = excluded.row, sum = excluded.sum",
                [(model, subject, row, total) for subject, (row, total) in rows.items()],
            )

    def forget_vector_rows(self, model: str, rows: Mapping[str, int]) -> None:
        """subject -> row: what stands there is not its vector any more. A row that it got since is left alone."""
        with self.transaction():
            self.db.conn.executemany(
                "delete from vectors where model = ? and subject = ? and row = ?",
                [(model, subject, row) for subject, row in rows.items()],
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
            "select image_id, rank, class, similarity, position from options order by image_id, rank"
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
                {
                    "image_id": o.image_id,
                    "rank": o.rank,
                    "class": o.class_name,
                    "similarity": o.similarity,
                    "position": o.position,
                }
                for o in options
            )
