from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from fgvr_kit.errors import StoreError
from fgvr_kit.store import Store
from fgvr_kit.store.migrations import m001_first_tables, migrations
from fgvr_kit.types import (
    Answer,
    Description,
    FileFacts,
    Finding,
    Negative,
    Option,
    PixelFacts,
    Prediction,
    ScannedImage,
    Score,
    Side,
    Skipped,
    Summary,
)


def scanned(path: str, sha: str = "", split: str = "train") -> ScannedImage:
    """An image with everything that can be stored of it."""
    return ScannedImage(
        path, path.split("/")[0], split, sha or path, 3, 4, 5, 6, box=(1, 2, 4, 6), label="a label", group="g",
        details={"observer": "Anna \u00e5"},
        file_facts=FileFacts("JPEG", "CMYK", 2, 6, "Canon 5D", "2026-05-01T14:03:22"),
        pixel_facts=PixelFacts(2**64 - 1, bytes(range(256)) * 3),
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / ".fgvr" / "fgvr.db")


def reply(key: str, text: str = "red", **more: object) -> dict[str, object]:
    return {
        "key": key,
        "backend": "fake:x",
        "purpose": "extract",
        "prompt": "?",
        "text": text,
        "outcome": "ok",
        **more,
    }


def test_what_is_written_is_there_after_closing(store: Store) -> None:
    store.put_images(
        [scanned("bee/1"), scanned("wasp/1")], [Skipped("x", "broken", "image-unreadable", "bee")]
    )
    store.put_replies([reply("k")])
    store.put_answers([Answer(1, "colour", "red", 1)])
    store.put_descriptions([Description(1, "A red bee.", "template")])
    store.put_mined([Negative(1, 0, 2, "wasp", 0.5, 0.25)], [Option(2, 0, "wasp", 0.5, 3)])
    store.put_predictions("m", "choice4", [Prediction(2, ("bee", "wasp"), "bee", "wasp", (-0.5, -1.0))])
    store.put_scores([Score("m", "choice4", "accuracy", 1, 0.0, 0.0, 0.9)])
    store.put_run(id="align-1", stage="align", status="running")
    store.put_step("align-1", 1, 0.5, {"total": 2.0})
    store.finish("mine", "f", Summary("mine", {"negatives": 1}, notes=("untrained toy model",)))
    store.put_vector_rows("clip", {"s": (3, 1234)})
    store.close()

    again = Store(store.path)
    assert again.scanned() == [scanned("bee/1"), scanned("wasp/1")]
    [left_out] = again.skipped()
    assert (left_out.reason, left_out.code, left_out.class_name) == ("broken", "image-unreadable", "bee")
    assert again.replies(["k"])["k"]["text"] == "red"
    assert again.answers() == {1: {"colour": "red"}}
    assert again.descriptions() == {1: "A red bee."}
    assert again.negatives() == {1: [Negative(1, 0, 2, "wasp", 0.5, 0.25)]}
    assert again.options() == {2: [Option(2, 0, "wasp", 0.5, 3)]}
    assert again.predictions("m", "choice4") == {
        2: Prediction(2, ("bee", "wasp"), "bee", "wasp", (-0.5, -1.0))
    }
    assert again.scores() == [Score("m", "choice4", "accuracy", 1, 0.0, 0.0, 0.9)]
    assert again.run("align-1") is not None
    assert again.steps("align-1")[0]["terms"] == {"total": 2.0}
    assert again.walk()["mine"]["summary"]["notes"] == ["untrained toy model"]
    assert again.vector_rows("clip", ["s", "t"]) == {"s": (3, 1234)}


def test_an_image_that_changes_takes_what_was_made_from_it_with_it(store: Store) -> None:
    store.put_images([scanned("bee/1"), scanned("bee/2")], [])
    store.put_answers([Answer(1, "colour", "red", None), Answer(2, "colour", "blue", None)])
    store.put_mined([Negative(2, 0, 1, "bee", 0.1, 0.1)], [])

    removed = store.put_images([scanned("bee/1", "other pixels"), scanned("bee/2")], [])

    assert removed == 1
    ids = {image.path: image.id for image in store.images()}
    assert ids["bee/2"] == 2
    assert store.answers() == {2: {"colour": "blue"}}
    assert store.negatives() == {}


def test_scanning_the_same_folder_again_changes_nothing(store: Store) -> None:
    images = [scanned("bee/1"), scanned("wasp/1", split="test")]
    store.put_images(images, [])
    before = store.images()
    assert store.put_images(images, []) == 0
    assert store.images() == before


def test_a_reply_asked_again_keeps_its_row(store: Store) -> None:
    store.put_replies([reply("a"), reply("b", "")])
    store.put_replies([reply("b", "blue")])
    assert store.count("replies") == 2
    assert {k: (r["id"], r["text"]) for k, r in store.replies(["a", "b"]).items()} == {
        "a": (1, "red"),
        "b": (2, "blue"),
    }


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def insert_and_fail() -> None:
        with store.transaction():
            store.put_replies([reply("a")])
            raise KeyError

    with pytest.raises(KeyError):
        insert_and_fail()
    assert store.count("replies") == 0


def test_thousands_of_keys_can_be_looked_up(store: Store) -> None:
    store.put_replies(reply(str(i)) for i in range(1200))
    assert len(store.replies([str(i) for i in range(2000)])) == 1200


def test_the_digest_follows_content_not_row_order(store: Store) -> None:
    store.put_answers([Answer(1, "a", "x", 1), Answer(2, "a", "y", 2)])
    first = store.digest("answers", ["image_id", "value"])
    store.put_answers([Answer(2, "a", "y", 9), Answer(1, "a", "x", 8)])
    assert store.digest("answers", ["image_id", "value"]) == first
    store.put_answers([Answer(1, "a", "x", 1)])
    assert store.digest("answers", ["image_id", "value"]) != first


def test_write_ahead_logging_is_on(store: Store) -> None:
    assert sqlite3.connect(store.path).execute("pragma journal_mode").fetchone()[0] == "wal"


def test_a_database_of_a_newer_version_is_refused_and_left_alone(store: Store) -> None:
    store.db["_sqlite_migrations"].insert(
        {"migration_set": "fgvr_kit", "name": "m999_from_the_future", "applied_at": "2099"}
    )
    store.close()
    before = store.path.read_bytes()
    with pytest.raises(StoreError) as caught:
        Store(store.path)
    assert caught.value.code == "store-newer"
    assert "upgrade" in caught.value.hint
    assert store.path.read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "fgvr.db").write_bytes(b"not a database at all, but long enough to look at" * 10)
    with pytest.raises(StoreError) as caught:
        Store(tmp_path / "fgvr.db")
    assert caught.value.code == "store-unreadable"


def test_only_rows_that_changed_are_written_and_ids_stay(store: Store) -> None:
    images = [scanned(f"bee/{n}") for n in range(3)]
    store.put_images(images, [])
    ids = {i.path: i.id for i in store.images()}
    written: list[str] = []
    store.db.conn.set_trace_callback(written.append)
    store.put_images([images[0], replace(images[1], split="test"), images[2]], [])
    store.db.conn.set_trace_callback(None)
    assert sum(statement.lower().startswith("insert into images") for statement in written) == 1
    assert {i.path: i.id for i in store.images()} == ids
    assert [i.path for i in store.images("test")] == ["bee/1"]


def test_an_image_set_aside_is_not_in_use_but_keeps_its_answers(store: Store) -> None:
    images = [scanned("bee/0"), scanned("bee/1")]
    store.put_images(images, [])
    store.put_answers([Answer(1, "colour", "red", None)])
    store.put_mined([Negative(2, 0, 1, "bee", 0.5, 0.5)], [Option(1, 0, "bee", 0.5, 0)])
    before = store.digest_images(["path"])
    store.put_images([replace(images[0], set_aside="quarantined: leak"), images[1]], [])
    assert [i.path for i in store.images()] == ["bee/1"]
    assert store.n_images() == 1
    assert len(store.scanned()) == 2
    assert store.digest_images(["path"]) != before
    assert store.answers() == {1: {"colour": "red"}}
    assert (store.negatives(), store.options()) == ({}, {})


def test_sides_quarantine_duplicates_and_findings_are_kept(store: Store) -> None:
    store.put_sides({"a": Side("test", "g", "draw"), "b": Side("train", "b", "layout")})
    store.put_sides({"a": Side("train", "g", "regroup")})
    assert store.sides() == {"a": Side("train", "g", "regroup"), "b": Side("train", "b", "layout")}
    store.put_quarantined({"a": "leak"})
    assert store.quarantined() == {"a": "leak"}
    store.put_duplicates([("a", "b", 0.9)])
    store.put_duplicates([("a", "b", 0.9), ("a", "c", 1.0)])
    assert store.duplicates() == [("a", "b", 0.9), ("a", "c", 1.0)]
    findings = [
        Finding("leak", "problem", "<b>", "bee/0", "bee/1", 0.9, "why", "hint"),
        Finding("x", "note", "y"),
    ]
    store.put_findings(findings)
    assert store.findings() == findings
    assert store.findings("leak") == findings[:1]
    store.forget_sides()
    assert store.sides() == {}


def test_a_scan_that_did_not_end_is_there_until_it_has_ended(store: Store) -> None:
    store.put_scans("pests", [scanned("bee/0"), scanned("bee/1")])
    assert store.scans("pests") == [scanned("bee/0"), scanned("bee/1")]
    assert store.scans("another folder") == []
    store.put_images([scanned("bee/0")], [])
    assert store.scans("pests") == []


def test_damage_is_known_until_the_file_changes(store: Store) -> None:
    store.put_images([scanned("bee/0")], [])
    store.put_damage([("bee/0", "cut off")])
    store.put_images([replace(scanned("bee/0"), split="test")], [])
    assert store.damage() == {"bee/0": "cut off"}
    store.put_images([replace(scanned("bee/0"), mtime_ns=7)], [])
    assert store.damage() == {}


def test_a_workspace_of_the_first_version_keeps_its_rows(tmp_path: Path) -> None:
    db = Database(tmp_path / "fgvr.db")
    first = Migrations("fgvr_kit")
    first()(m001_first_tables)
    first.apply(db)
    db["images"].insert({"id": 7, "path": "bee/0", "class": "bee", "split": "test", "sha256": "s",
                         "width": 1, "height": 1, "n_bytes": 1, "mtime_ns": 1})  # fmt: skip
    db.close()
    with Store(tmp_path / "fgvr.db") as store:
        assert [(i.id, i.path, i.split) for i in store.images()] == [(7, "bee/0", "test")]
        old = store.scanned()[0]
        assert (old.pixel_facts, old.label) == (None, "bee")
        store.put_images([scanned("bee/0", "s", "test")], [])
        assert [i.id for i in store.images()] == [7]
        assert store.scanned() == [scanned("bee/0", "s", "test")]


EXPECTED_TABLES = {
    "images": [
        "id",
        "path",
        "class",
        "split",
        "sha256",
        "width",
        "height",
        "n_bytes",
        "mtime_ns",
        "label",
        "box",
        "group_key",
        "set_aside",
        "details",
        "format",
        "mode",
        "camera",
        "taken",
        "frames",
        "orientation",
        "phash",
        "thumb",
        "damage",
    ],
    "splits": ["sha256", "split", "group_key", "drawn_by"],
    "findings": ["id", "kind", "severity", "message", "path", "other", "value", "why", "hint"],
    "answers": ["image_id", "attribute", "value", "reply_id", "source", "machine", "confidence"],
    "prompts": ["id", "hash", "name", "template_hash", "system", "text", "sampling"],
    "corrections": ["sha256", "attribute", "value", "author", "created"],
    "descriptions": ["image_id", "text", "source", "reply_id"],
    "negatives": ["image_id", "rank", "negative_id", "class", "class_similarity", "image_similarity"],
    "options": ["image_id", "rank", "class", "similarity", "position"],
    "predictions": ["model", "protocol", "image_id", "options", "predicted", "truth", "scores"],
    "scores": ["model", "protocol", "metric", "class", "n", "value", "low", "high", "note"],
    "walk": ["step", "fingerprint", "summary", "finished"],
}


def test_the_tables_have_the_columns_that_queries_in_the_wild_rely_on(store: Store) -> None:
    assert {t: [c.name for c in store.db[t].columns] for t in EXPECTED_TABLES} == EXPECTED_TABLES


def test_replies_of_the_first_tables_keep_their_prompts_and_ids(tmp_path: Path) -> None:
    db = Database(tmp_path / "fgvr.db")
    migrations.apply(db, stop_before="m003_what_was_asked_once")
    old = {
        **reply("k"),
        "prompt_name": "p",
        "template_hash": "h",
        "system": "",
        "sampling": '{"max_tokens": 9}',
    }
    db["replies"].insert_all([{**old, "key": key, "text": key} for key in "ab"])
    db["replies"].insert({**old, "key": "c", "prompt": "another"})
    db.close()
    with Store(tmp_path / "fgvr.db") as store:
        rows = list(store.all_replies())
        assert [(r["id"], r["key"], r["prompt"], r["max_tokens"], r["calls"]) for r in rows] == [
            (1, "a", "?", 9, 1), (2, "b", "?", 9, 1), (3, "c", "another", 9, 1),
        ]  # fmt: skip
        assert store.count("prompts") == 2
        store.put_replies([{**rows[0], "text": "new"}])
        assert next((r["id"], r["text"]) for r in store.all_replies()) == (1, "new")
        assert store.count("prompts") == 2


def test_a_prompt_of_a_transaction_that_was_rolled_back_is_written_again(store: Store) -> None:
    def put_and_fail() -> None:
        with store.transaction():
            store.put_replies([reply("a")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        put_and_fail()
    store.put_replies([reply("a"), reply("b")])
    assert [row["prompt"] for row in store.all_replies()] == ["?", "?"]
