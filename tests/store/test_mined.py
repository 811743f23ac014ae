from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from fgvr_kit.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "fgvr.db")


def test_rows_are_numbered_on_behind_the_last_one_of_the_same_model(store: Store) -> None:
    assert store.n_vector_rows("a") == 0
    store.put_vector_rows("a", {"x": (0, 7), "y": (4, 8)})
    store.put_vector_rows("b", {"x": (0, 9)})
    assert (store.n_vector_rows("a"), store.n_vector_rows("b")) == (5, 1)
    assert store.vector_rows("b", ["x", "y"]) == {"x": (0, 9)}


def test_thousands_of_subjects_can_be_looked_up(store: Store) -> None:
    store.put_vector_rows("a", {str(n): (n, 2**40 + n) for n in range(1200)})
    found = store.vector_rows("a", [str(n) for n in range(2000)])
    assert found == {str(n): (n, 2**40 + n) for n in range(1200)}


def test_a_row_belongs_to_one_subject(store: Store) -> None:
    store.put_vector_rows("a", {"x": (0, 7)})
    with pytest.raises(sqlite3.IntegrityError):
        store.put_vector_rows("a", {"y": (0, 8)})
    assert store.vector_rows("a", ["x", "y"]) == {"x": (0, 7)}


def test_what_a_subject_got_since_is_not_forgotten(store: Store) -> None:
    store.put_vector_rows("a", {"x": (0, 7), "y": (1, 8)})
    store.put_vector_rows("a", {"x": (2, 7)})
    store.forget_vector_rows("a", {"x": 0, "y": 1})
    assert store.vector_rows("a", ["x", "y"]) == {"x": (2, 7)}


def test_the_next_row_is_found_without_looking_at_all_of_them(store: Store) -> None:
    plan = store.db.execute("explain query plan select max(row) from vectors where model = 'a'").fetchall()
    assert "model=?" in str(plan)
    assert "idx_vectors_model_row" in str(plan)
