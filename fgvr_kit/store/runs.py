"""What training and evaluation leave behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fgvr_kit.store.database import Tables
from fgvr_kit.types import Prediction, Score


class RunTables(Tables):
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

    def groups(self) -> dict[int, str]:
        """image id -> key of the images that are no independent evidence of each other, of those in use."""
        return dict(
            self.db.execute(
                "select id, coalesce(nullif(group_key, ''), sha256) from images where set_aside is null"
            ).fetchall()
        )

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
            self.db.conn.executemany(
                "insert or replace into predictions (model, protocol, image_id, options, predicted, truth, scores)"
                " values (?, ?, ?, ?, ?, ?, ?)",
                (
                    (model, protocol, p.image_id, json.dumps(p.options, ensure_ascii=False), p.predicted, p.truth,
                     json.dumps(p.scores))
                    for p in predictions
                ),
            )  # fmt: skip

    def scores(self) -> list[Score]:
        rows = self.db.execute(
            "select model, protocol, metric, n, value, low, high, note, class from scores order by rowid"
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
                    "class": s.class_name,
                }
                for s in scores
            )
