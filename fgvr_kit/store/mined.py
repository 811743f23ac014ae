"""Vectors, look-alikes and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fgvr_kit.store.database import Tables, chunks
from fgvr_kit.types import Negative, Option


class MinedTables(Tables):
    def embeddings(self, model: str, subjects: Sequence[str]) -> dict[str, bytes]:
        """subject (a pixel hash, or a text) -> vector as float32 bytes, for those that are there."""
        found: dict[str, bytes] = {}
        for chunk in chunks(subjects):
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

    def vector_rows(self, model: str, subjects: Sequence[str]) -> dict[str, int]:
        """subject (a pixel hash, or a text) -> row of its vector in the model's file, for those that are there."""
        found: dict[str, int] = {}
        for chunk in chunks(subjects):
            marks = ",".join("?" * len(chunk))
            found |= dict(
                self.db.execute(
                    f"select subject, row from vectors where model = ? and subject in ({marks})",
                    [model, *chunk],
                ).fetchall()
            )
        return found

    def n_vector_rows(self, model: str) -> int:
        """One more than the last row that is taken in the model's file."""
        last = self.db.execute("select max(row) from vectors where model = ?", [model]).fetchone()[0]
        return 0 if last is None else int(last) + 1

    def put_vector_rows(self, model: str, rows: Mapping[str, int]) -> None:
        with self.transaction():
            self.db["vectors"].upsert_all(
                ({"model": model, "subject": s, "row": row} for s, row in rows.items()),
                pk=("model", "subject"),
            )

    def forget_vector_rows(self, model: str, subjects: Sequence[str]) -> None:
        """These have no vector any more; what they had stands in no file, or is not whole."""
        with self.transaction():
            for chunk in chunks(subjects):
                marks = ",".join("?" * len(chunk))
                self.db["vectors"].delete_where(f"model = ? and subject in ({marks})", [model, *chunk])

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
