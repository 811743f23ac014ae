"""What was handed to a provider's batch service and is to be collected, perhaps by another process days later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fgvr_kit.store.database import Tables


class BatchTables(Tables):
    def open_batches(self, backend: str) -> list[dict[str, Any]]:
        """Those of a backend that were not collected, oldest first; keys: of the replies in them."""
        rows = self.db["batches"].rows_where(
            "backend = ? and collected is null", [backend], order_by="created, rowid"
        )
        return [{**row, "keys": json.loads(row["keys"])} for row in rows]

    def put_batch(self, batch_id: str, backend: str, step: str, keys: Sequence[str]) -> None:
        """Write down a batch that the server has."""
        self.db["batches"].upsert(
            {
                "id": batch_id,
                "backend": backend,
                "step": step,
                "state": "submitted",
                "keys": json.dumps(list(keys)),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            pk="id",
        )

    def name_batch(self, before: str, batch_id: str) -> None:
        """What was known by another id is this batch."""
        with self.transaction():
            self.db.execute("delete from batches where id = ? and id <> ?", [batch_id, before])
            self.db.execute("update batches set id = ? where id = ?", [batch_id, before])

    def close_batch(self, batch_id: str, state: str) -> None:
        """It is over: whatever it answered is stored."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self.transaction():
            self.db.execute(
                "update batches set state = ?, collected = ? where id = ?", [state, now, batch_id]
            )
