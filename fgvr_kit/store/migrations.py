"""The tables, as a list of migrations that are never edited once released: add a function instead."""

from __future__ import annotations

import hashlib
import json

from sqlite_utils import Database, Migrations

migrations = Migrations("fgvr_kit")


@migrations()
def m001_first_tables(db: Database) -> None:
    db["images"].create(
        {
            "id": int,
            "path": str,
            "class": str,
            "split": str,
            "sha256": str,
            "width": int,
            "height": int,
            "n_bytes": int,
            "mtime_ns": int,
        },
        pk="id",
        not_null={"path", "class", "split", "sha256"},
    )
    db["images"].create_index(["path"], unique=True)
    db["images"].create_index(["sha256"])
    db["skipped"].create({"path": str, "reason": str}, pk="path")
    db["replies"].create(
        {
            "id": int,
            "key": str,
            "backend": str,
            "model": str,
            "purpose": str,
            "subject": str,
            "attribute": str,
            "prompt_name": str,
            "template_hash": str,
            "system": str,
            "prompt": str,
            "images": str,
            "sampling": str,
            "text": str,
            "outcome": str,
            "finish_reason": str,
            "input_tokens": int,
            "output_tokens": int,
            "seconds": float,
            "note": str,
            "created": str,
        },
        pk="id",
        not_null={"key", "backend", "purpose", "prompt", "text", "outcome"},
    )
    db["replies"].create_index(["key"], unique=True)
    db["replies"].create_index(["subject"])
    db["answers"].create(
        {"image_id": int, "attribute": str, "value": str, "reply_id": int},
        pk=("image_id", "attribute"),
        foreign_keys=[("image_id", "images", "id"), ("reply_id", "replies", "id")],
    )
    db["descriptions"].create(
        {"image_id": int, "text": str, "source": str, "reply_id": int},
        pk="image_id",
        foreign_keys=[("image_id", "images", "id"), ("reply_id", "replies", "id")],
    )
    db["embeddings"].create({"model": str, "subject": str, "vector": bytes}, pk=("model", "subject"))
    db["negatives"].create(
        {
            "image_id": int,
            "rank": int,
            "negative_id": int,
            "class": str,
            "class_similarity": float,
            "image_similarity": float,
        },
        pk=("image_id", "rank"),
        foreign_keys=[("image_id", "images", "id"), ("negative_id", "images", "id")],
    )
    db["options"].create(
        {"image_id": int, "rank": int, "class": str, "similarity": float},
        pk=("image_id", "rank"),
        foreign_keys=[("image_id", "images", "id")],
    )
    db["runs"].create(
        {
            "id": str,
            "recipe": str,
            "stage": str,
            "fingerprint": str,
            "parent": str,
            "model": str,
            "settings": str,
            "status": str,
            "note": str,
            "versions": str,
            "started": str,
            "finished": str,
        },
        pk="id",
    )
    db["steps"].create(
        {"run_id": str, "step": int, "epoch": float, "terms": str},
        pk=("run_id", "step"),
        foreign_keys=[("run_id", "runs", "id")],
    )
    db["predictions"].create(
        {
            "model": str,
            "protocol": str,
            "image_id": int,
            "options": str,
            "predicted": str,
            "truth": str,
            "scores": str,
        },
        pk=("model", "protocol", "image_id"),
        foreign_keys=[("image_id", "images", "id")],
    )
    db["scores"].create(
        {
            "model": str,
            "protocol": str,
            "metric": str,
            "n": int,
            "value": float,
            "low": float,
            "high": float,
            "note": str,
        },
        pk=("model", "protocol", "metric"),
    )
    # walk: one row for each part of the walk that stands: what it was made from, and what it did.
    db["walk"].create({"step": str, "fingerprint": str, "summary": str, "finished": str}, pk="step")


@migrations()
def m002_what_files_tell(db: Database) -> None:
    table = db["images"]
    # label: the dataset's own, where classes were merged. box: "left,top,right,bottom". group_key: what must
    # share a split. set_aside: why an image is not used. details: the other columns of its row, as JSON.
    for name in ("label", "box", "group_key", "set_aside", "details", "format", "mode", "camera", "taken"):
        table.add_column(name, str)
    for name in ("frames", "orientation", "phash"):
        table.add_column(name, int)
    table.add_column("thumb", bytes)  # 16 x 16 RGB
    table.add_column("damage", str)  # what a strict decoder found; '' for nothing, null where nobody looked
    # scans: images of a scan that has not ended, as JSON, so that a kill costs nothing that was read.
    db["scans"].create({"place": str, "path": str, "image": str}, pk=("place", "path"))
    # duplicates: pairs of pixel hashes of nearly the same picture. match: 0..1.
    db["duplicates"].create({"sha256": str, "other": str, "match": float}, pk=("sha256", "other"))
    # splits: which side a picture was given, also while it is away. drawn_by: "layout", "draw" or "regroup".
    db["splits"].create({"sha256": str, "split": str, "group_key": str, "drawn_by": str}, pk="sha256")
    db["quarantine"].create({"sha256": str, "reason": str}, pk="sha256")
    db["findings"].create(
        {
            "id": int,
            "kind": str,
            "severity": str,
            "message": str,
            "path": str,
            "other": str,
            "value": float,
            "why": str,
            "hint": str,
        },
        pk="id",
        not_null={"kind", "severity", "message"},
    )
    db["findings"].create_index(["path"])


@migrations()
def m003_what_was_asked_once(db: Database) -> None:
    # prompts: what was sent, once for all the images it was sent with. sampling: settings of the call, as JSON.
    db["prompts"].create(
        {
            "id": int,
            "hash": str,
            "name": str,
            "template_hash": str,
            "system": str,
            "text": str,
            "sampling": str,
        },
        pk="id",
        not_null={"hash", "text"},
    )
    db["prompts"].create_index(["hash"], unique=True)
    replies = db["replies"]
    # max_tokens: a cut-off reply is asked again when more are allowed. calls: 2 after a repair turn; rejected:
    # what was said before it. sample: which of several replies to one question. scores: probability of each
    # option, as JSON. cost: USD, null where nobody knows.
    for name in ("prompt_id", "max_tokens", "calls", "sample"):
        replies.add_column(name, int)
    for name in ("rejected", "scores"):
        replies.add_column(name, str)
    replies.add_column("cost", float)
    db.conn.create_function("prompt_hash", 5, prompt_hash, deterministic=True)
    columns = "prompt_name, template_hash, system, prompt, sampling"
    db.execute(
        "insert or ignore into prompts (hash, name, template_hash, system, text, sampling)"
        f" select prompt_hash({columns}), {columns} from replies order by id"
    )
    db.execute(
        "update replies set calls = 1, sample = 0, max_tokens = json_extract(sampling, '$.max_tokens'),"
        f" prompt_id = (select id from prompts where hash = prompt_hash({columns}))"
    )
    replies.transform(drop=set(columns.split(", ")))
    db.create_view(
        "replies_with_prompts",
        "select r.*, p.name as prompt_name, p.template_hash, p.system, p.text as prompt, p.sampling"
        " from replies r join prompts p on p.id = r.prompt_id",
    )
    # failures: requests that got no reply; gone as soon as they get one.
    db["failures"].create(
        {
            "key": str,
            "backend": str,
            "purpose": str,
            "subject": str,
            "attribute": str,
            "code": str,
            "message": str,
            "why": str,
            "hint": str,
            "created": str,
        },
        pk="key",
    )
    # corrections: what people say about a picture, whatever a model said or will say.
    db["corrections"].create(
        {"sha256": str, "attribute": str, "value": str, "author": str, "created": str},
        pk=("sha256", "attribute"),
    )
    # source: "model", "options" or "human". confidence: 0..1. machine: what stood there before a person came.
    db["answers"].add_column("source", str)
    db["answers"].add_column("machine", str)
    db["answers"].add_column("confidence", float)
    # batches: what was handed to a provider's batch service, and is to be collected. keys: of the replies wanted.
    db["batches"].create(
        {
            "id": str,
            "backend": str,
            "step": str,
            "state": str,
            "keys": str,
            "created": str,
            "collected": str,
        },
        pk="id",
    )
    # skipped: code of the reason, and the class of the image that it should have been; '' where nobody knows.
    db["skipped"].add_column("code", str)
    db["skipped"].add_column("class", str)


@migrations()
def m004_vectors_in_a_file(db: Database) -> None:
    # vectors: which row of a model's file (embedding/vectors.py) holds the vector of a pixel hash or a text.
    # sum: of the row's bits, by which it is known again. A million rows come here: each is kept once, no rowid beside.
    db.execute(
        "create table vectors (model text, subject text, row integer, sum integer, primary key (model, subject))"
        " without rowid"
    )
    db["vectors"].create_index(["model", "row"], unique=True)
    # Those of before stand under other keys: they are computed again.
    db["embeddings"].drop()
    # position: where the choice is shown, 0 is A. Those mined before had none: they are mined again.
    db["options"].delete_where()
    db["options"].add_column("position", int)
    db["walk"].delete_where("step in ('mine', 'eval')")
    # class: which one the score is about, '' for all.
    db["scores"].drop()
    db["scores"].create(
        {
            "model": str,
            "protocol": str,
            "metric": str,
            "class": str,
            "n": int,
            "value": float,
            "low": float,
            "high": float,
            "note": str,
        },
        pk=("model", "protocol", "metric", "class"),
    )


def prompt_hash(*parts: str | None) -> str:
    """32 hex digits over name, template_hash, system, text and sampling of table `prompts`."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
