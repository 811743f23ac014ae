"""Joins from what stands to what it rests on: description and answers to the replies behind them, and failures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from fgvr_kit.store.database import Tables

_OF_ANSWERS = """
select a.attribute, a.value, a.source, a.machine, a.confidence, a.reply_id,
       c.value as written, c.author, c.created as written_at, r.model, r.backend, r.text as said
from answers a
join images i on i.id = a.image_id
left join corrections c on c.sha256 = i.sha256 and c.attribute = a.attribute
left join replies r on r.id = a.reply_id
where a.image_id = ?
order by a.attribute
"""
_OF_SAMPLES = """
select i.id as image_id, a.attribute, coalesce(a.machine, a.value) as value, s.id as reply_id, s.sample,
       s.text, s.attribute is null as is_joint, ps.sampling
from answers a
join images i on i.id = a.image_id
join replies r on r.id = a.reply_id
join replies s on s.subject = r.subject and s.attribute is r.attribute and s.purpose = r.purpose
              and s.backend = r.backend and s.sample <> r.sample
join prompts pr on pr.id = r.prompt_id
join prompts ps on ps.id = s.prompt_id and ps.text = pr.text and ps.system is pr.system
where s.outcome in ('ok', 'repaired') and (a.source <> 'human' or a.machine is not null) {and_one}
order by i.id, a.attribute, s.sample
"""
_UNUSABLE = """
select 'reply' as kind, r.id as reply_id, r.key, r.purpose, r.subject, i.path as image, r.attribute, r.backend,
       r.model, r.prompt_name, r.template_hash, r.outcome as reason, null as message, null as why, null as hint,
       r.text, r.max_tokens, r.created
from replies_with_prompts r left join images i on i.sha256 = r.subject and i.set_aside is null
where r.outcome not in ('ok', 'repaired') {and_this}
union all
select 'request', null, f.key, f.purpose, f.subject, i.path, f.attribute, f.backend,
       null, null, null, f.code, f.message, f.why, f.hint, null, null, f.created
from failures f left join images i on i.sha256 = f.subject and i.set_aside is null
where 1 {and_that}
order by 4, 12, 6, 7
"""


class ChainTables(Tables):
    def chain_of_answers(self, image_id: int) -> list[dict[str, Any]]:
        """A row for each answer about an image, by attribute: value, source, machine, confidence, reply_id; what a
        person wrote (written, author, written_at); model, backend and words (said) of the reply behind it."""
        return self._dicts(_OF_ANSWERS, [image_id])

    def chain_of_description(self, image_id: int) -> dict[str, Any] | None:
        """The row of table `descriptions`, if there is one."""
        return next(iter(self.db["descriptions"].rows_where("image_id = ?", [image_id])), None)

    def replies_about(self, sha256: str) -> list[dict[str, Any]]:
        """Rows of view `replies_with_prompts` whose subject is this picture, the oldest first."""
        return list(
            self.db["replies_with_prompts"].rows_where("subject = ?", [sha256], order_by="created, id")
        )

    def reply_of_id(self, reply_id: int) -> dict[str, Any] | None:
        """A row of view `replies_with_prompts`."""
        return next(iter(self.db["replies_with_prompts"].rows_where("id = ?", [reply_id])), None)

    def failures_about(self, sha256: str) -> list[dict[str, Any]]:
        """Requests about this picture that got no reply, the oldest first."""
        return list(self.db["failures"].rows_where("subject = ?", [sha256], order_by="created, rowid"))

    def has_samples(self) -> bool:
        """Whether anything was asked more than once."""
        return self.db.execute("select 1 from replies where sample > 0 limit 1").fetchone() is not None

    def samples(self, image_id: int | None = None) -> Iterator[dict[str, Any]]:
        """What was said when the same was asked once more, beside the answer that stands; of one image, or all.

        Rows: image_id, attribute, value (the machine's), reply_id, sample, text, is_joint, options.
        """
        if not self.has_samples():  # without any, the join would look for them a million times
            return
        query = _OF_SAMPLES.format(and_one="" if image_id is None else "and i.id = ?")
        for row in self._rows(query, [] if image_id is None else [image_id]):
            options = json.loads(row.pop("sampling") or "{}").get("options") or ()
            yield row | {"options": tuple(options)}

    def unusable(self, purpose: str | None = None, attribute: str | None = None) -> list[dict[str, Any]]:
        """Replies that hold no answer (kind "reply", reason is their outcome) and requests without a reply (kind
        "request", reason is the code of the error), a row for each image in use that they are about."""
        wanted = {"purpose": purpose, "attribute": attribute}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        query = _UNUSABLE.format(
            and_this="".join(f" and r.{name} = ?" for name in wanted),
            and_that="".join(f" and f.{name} = ?" for name in wanted),
        )
        return self._dicts(query, [*wanted.values(), *wanted.values()])

    def frequent_values(self, attribute: str, most: int) -> list[str]:
        """The values of an attribute, the most frequent first."""
        rows = self.db.execute(
            "select value from answers where attribute = ? group by value order by count(*) desc, value limit ?",
            [attribute, most],
        )
        return [value for (value,) in rows]

    def unsure(self, below: float) -> list[tuple[int, str]]:
        """(image id, attribute) of the machine's answers with a confidence below this."""
        return self.db.execute(
            "select image_id, attribute from answers where confidence < ? and source <> 'human'", [below]
        ).fetchall()

    def paths_from(self, begun: str, most: int) -> list[str]:
        """Paths of images in use that begin so, in order, at most so many."""
        rows = self.db.execute(
            "select path from images where set_aside is null and substr(path, 1, ?) = ? order by path limit ?",
            [len(begun), begun, most],
        )
        return [path for (path,) in rows]

    def _dicts(self, query: str, params: Sequence[Any]) -> list[dict[str, Any]]:
        return list(self._rows(query, params))

    def _rows(self, query: str, params: Sequence[Any]) -> Iterator[dict[str, Any]]:
        cursor = self.db.conn.execute(query, list(params))
        names = [column[0] for column in cursor.description]
        return (dict(zip(names, row, strict=True)) for row in cursor)
