"""The tables, as a list of migrations that are never edited once released: add a function instead."""

from __future__ import annotations

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
