"""What models said, and what was made of it: answers and descriptions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fgvr_kit.store.database import Tables, chunks
from fgvr_kit.store.migrations import prompt_hash
from fgvr_kit.types import Answer, Description, Outcome

_COLUMNS = (
    "key", "backend", "model", "purpose", "subject", "attribute", "prompt_id", "images", "text", "outcome",
    "finish_reason", "input_tokens", "output_tokens", "seconds", "cost", "max_tokens", "calls", "rejected",
    "sample", "scores", "note", "created",
)  # fmt: skip
_PUT = (
    f"insert into replies ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))})"
    f" on conflict (key) do update set {', '.join(f'{c} = excluded.{c}' for c in _COLUMNS[1:])}"
)
_OF_PROMPTS = ("prompt_name", "template_hash", "system", "prompt", "sampling")
_DEFAULTS: dict[str, Any] = {"calls": 1, "sample": 0}
_REMEMBERED = 512
"""Prompts whose rows are known without looking: all attributes of an image, asked about one image after another."""


class Standing(NamedTuple):
    """Of a stored reply, what decides whether it has to be asked for again, and its note."""

    outcome: Outcome
    max_tokens: int | None
    calls: int
    note: str | None


class ReplyTables(Tables):
    def __init__(self, path: Path) -> None:
        self._prompt_ids: dict[tuple[Any, ...], int] = {}
        super().__init__(path)

    def forget(self) -> None:
        self._prompt_ids.clear()

    def replies(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of view `replies_with_prompts` by their key, for those that are there."""
        found: dict[str, dict[str, Any]] = {}
        for chunk in chunks(keys):
            marks = ",".join("?" * len(chunk))
            rows = self.db["replies_with_prompts"].rows_where(f"key in ({marks})", chunk)
            found |= {row["key"]: row for row in rows}
        return found

    def standing(self, keys: Sequence[str]) -> dict[str, Standing]:
        """key -> how its reply stands, for those that are there."""
        found: dict[str, Standing] = {}
        for chunk in chunks(keys):
            marks = ",".join("?" * len(chunk))
            rows = self.db.conn.execute(
                f"select key, outcome, max_tokens, calls, note from replies where key in ({marks})", chunk
            )
            found.update((row[0], Standing._make(row[1:])) for row in rows)
        return found

    def models_of(self, backend: str, purpose: str) -> dict[str, int]:
        """Model as the server named it -> replies it gave, the first one first."""
        rows = self.db.execute(
            "select model, count(*) from replies where backend = ? and purpose = ? group by model"
            " order by min(id)",
            [backend, purpose],
        )
        return dict(rows.fetchall())

    def all_replies(self) -> Iterator[dict[str, Any]]:
        yield from self.db["replies_with_prompts"].rows_where(order_by="id")

    def put_replies(self, rows: Iterable[dict[str, Any]]) -> None:
        """Insert replies in one transaction; a reply whose key is there is replaced and keeps its id.

        A row is one of view `replies_with_prompts`, without `id` and `created`. What is answered now is no
        failure any more.
        """
        created = datetime.now(UTC).isoformat(timespec="seconds")
        with self.transaction():
            full = [_DEFAULTS | row | {"created": created, "prompt_id": self._prompt_id(row)} for row in rows]
            self.db.conn.executemany(_PUT, ([row.get(column) for column in _COLUMNS] for row in full))
            self.db.conn.executemany("delete from failures where key = ?", ([row["key"]] for row in full))

    def _prompt_id(self, row: dict[str, Any]) -> int:
        """The row of table `prompts` for what was sent; made when it is not there."""
        parts = tuple(row.get(name) for name in _OF_PROMPTS)
        if (known := self._prompt_ids.get(parts)) is not None:
            return known
        hashed = prompt_hash(*parts)
        found = self.db.conn.execute("select id from prompts where hash = ?", [hashed]).fetchone()
        if found is None:
            insert = (
                "insert into prompts (hash, name, template_hash, system, text, sampling)"
                " values (?, ?, ?, ?, ?, ?) returning id"
            )
            found = self.db.conn.execute(insert, [hashed, *parts]).fetchone()
        if len(self._prompt_ids) >= _REMEMBERED:
            self._prompt_ids.clear()
        self._prompt_ids[parts] = int(found[0])
        return self._prompt_ids[parts]

    def failures(self) -> list[dict[str, Any]]:
        """Requests that got no reply, oldest first."""
        return list(self.db["failures"].rows_where(order_by="created, rowid"))

    def put_failures(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write down requests that got no reply, by their key."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        with self.transaction():
            self.db["failures"].upsert_all(({**row, "created": created} for row in rows), pk="key")

    def answers(self) -> dict[int, dict[str, str]]:
        """image id -> attribute -> value."""
        found: dict[int, dict[str, str]] = {}
        for image_id, attribute, value in self.db.execute(
            "select image_id, attribute, value from answers order by image_id, attribute"
        ):
            found.setdefault(image_id, {})[attribute] = value
        return found

    def put_answers(self, answers: Iterable[Answer], *, images: Sequence[int] | None = None) -> int:
        """Make table `answers` hold just these; returns how many. They may come as they are made.

        images: only what is known of these images is replaced.
        """
        insert = (
            "insert into answers (image_id, attribute, value, reply_id, source, machine, confidence)"
            " values (?, ?, ?, ?, ?, ?, ?)"
        )
        with self.transaction():
            if images is None:
                self.db["answers"].delete_where()
            for some in chunks(list(images or ())):
                self.db["answers"].delete_where(f"image_id in ({','.join('?' * len(some))})", some)
            rows = (
                (a.image_id, a.attribute, a.value, a.reply_id, a.source, a.machine, a.confidence)
                for a in answers
            )
            return int(self.db.conn.executemany(insert, rows).rowcount)

    def corrections(self) -> dict[tuple[str, str], str]:
        """(pixel sha256, attribute) -> the value that a person wrote."""
        rows = self.db.execute("select sha256, attribute, value from corrections order by sha256, attribute")
        return {(sha256, attribute): value for sha256, attribute, value in rows}

    def put_correction(self, sha256: str, attribute: str, value: str | None, author: str = "") -> None:
        """What a person says about a picture; None takes it back. Table `answers` follows at once."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        with self.transaction():
            if value is None:
                self.db.execute(
                    "delete from corrections where sha256 = ? and attribute = ?", [sha256, attribute]
                )
            else:
                row = {"sha256": sha256, "attribute": attribute, "value": value, "author": author,
                       "created": created}  # fmt: skip
                self.db["corrections"].upsert(row, pk=("sha256", "attribute"))
            for (image_id,) in self.db.execute("select id from images where sha256 = ?", [sha256]).fetchall():
                self._correct(image_id, attribute, value)

    def _correct(self, image_id: int, attribute: str, value: str | None) -> None:
        """Bring one answer in line with a correction; the machine's own value is kept beside it."""
        found = self.db.execute(
            "select value, source, machine, reply_id from answers where image_id = ? and attribute = ?",
            [image_id, attribute],
        ).fetchone()
        said, source, machine, reply_id = found or (None, None, None, None)
        machine = machine if source == "human" else said
        if value is None and machine is None:
            self.db.execute("delete from answers where image_id = ? and attribute = ?", [image_id, attribute])
            return
        scores = self._scores_of(reply_id) if value is None else {}
        self.db["answers"].upsert(
            {
                "image_id": image_id,
                "attribute": attribute,
                "value": machine if value is None else value,
                "source": "human" if value is not None else "options" if scores else "model",
                "machine": None if value is None else machine,
                "reply_id": reply_id,
                "confidence": scores.get(str(machine)),
            },
            pk=("image_id", "attribute"),
        )

    def _scores_of(self, reply_id: int | None) -> dict[str, float]:
        """Probability of each option that a reply weighed; {} for one that was written."""
        found = self.db.execute("select scores from replies where id = ?", [reply_id]).fetchone()
        scores: dict[str, float] = json.loads(found[0]) if found and found[0] else {}
        return scores

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
