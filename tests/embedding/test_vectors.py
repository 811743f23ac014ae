from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fgvr_kit.embedding.vectors import Rows, VectorFile, read_about, write_about
from fgvr_kit.errors import StoreError
from fgvr_kit.store import Store

ROOT = Path(__file__).parents[2]
D = 16
ABOUT = {
    "key": "toy", "preprocessing": "none", "dimension": D, "scale": 100.0, "seen_with": ["open_clip 3"],
}  # fmt: skip


def unit(n: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def names(n: int, start: int = 0) -> list[str]:
    return [f"s{k}" for k in range(start, start + n)]


def opened(store: Store) -> VectorFile:
    return VectorFile(store.path.parent / "vectors" / "toy", "toy", ABOUT)


def file_of(store: Store) -> Path:
    return store.path.parent / "vectors" / "toy" / "vectors.f32"


def test_what_is_kept_is_read_back_in_any_order(store: Store) -> None:
    vectors = unit(10)
    opened(store).append(store, names(6), vectors[:6])
    opened(store).append(store, names(4, 6), vectors[6:])
    file = opened(store)
    rows = Rows(file, file.places(store, names(10)))
    assert rows.shape == (len(rows), D) == (10, D)
    assert np.array_equal(rows[:], vectors)
    assert np.array_equal(rows[2:5], vectors[2:5])
    assert np.array_equal(rows[::-3], vectors[::-3])
    assert np.array_equal(rows[[7, 0, 7]], vectors[[7, 0, 7]])
    assert np.array_equal(rows[np.array([], dtype=int)], vectors[:0])
    assert np.array_equal(rows[-1], vectors[-1])
    assert np.array_equal(np.asarray(rows) @ vectors[0], vectors @ vectors[0])
    with pytest.raises(IndexError):
        rows[[10]]


def test_what_is_taken_is_a_copy(store: Store) -> None:
    file = opened(store)
    rows = Rows(file, file.append(store, names(3), unit(3)))
    taken = rows[:]
    taken[:] = 0
    assert np.array_equal(rows[:], unit(3))


def test_a_subject_has_one_vector_whoever_computes_it_again(store: Store) -> None:
    vectors = unit(4)
    with Store(store.path) as other:  # another process: it does not know what this one has found out
        mine, theirs = opened(store), opened(other)
        assert mine.places(store, names(4)).tolist() == theirs.places(other, names(4)).tolist() == [-1] * 4
        first = mine.append(store, names(3), vectors[:3])
        second = theirs.append(other, names(4), -vectors)
        assert second[:3].tolist() == first.tolist()
        assert np.array_equal(theirs.read(second), [*vectors[:3], -vectors[3]])
        assert mine.places(store, names(4)).tolist() == second.tolist()
    assert store.count("vectors") == 4


WRITER = """
import sys
from pathlib import Path
from fgvr_kit.store import Store
from tests.embedding.test_vectors import names, opened, unit

folder, start = Path(sys.argv[1]), int(sys.argv[2])
with Store(folder / "fgvr.db") as store:
    file = opened(store)
    for first in range(start, start + 300, 3):
        file.append(store, names(3, first), unit(600)[first : first + 3])
"""


def test_two_processes_at_once_do_not_write_over_each_other(store: Store) -> None:
    """The second half of what one writes is the first half of what the other writes."""
    command = [sys.executable, "-c", WRITER, str(store.path.parent)]
    both = [subprocess.Popen([*command, start], cwd=ROOT) for start in ("0", "150")]
    assert [process.wait() for process in both] == [0, 0]
    file = opened(store)
    places = file.places(store, names(450))
    assert sorted(places.tolist()) == list(range(450))
    assert np.array_equal(file.read(places), unit(600)[:450])
    assert file_of(store).stat().st_size == 450 * 4 * D


KILLED = """
import os, signal, sys
from pathlib import Path
from fgvr_kit.store import Store
from tests.embedding.test_vectors import names, opened, unit

class Dying(Store):
    def put_vector_rows(self, model, rows):
        if "s4" in rows:
            os.kill(os.getpid(), signal.SIGKILL)
        super().put_vector_rows(model, rows)

with Dying(Path(sys.argv[1]) / "fgvr.db") as store:
    opened(store).append(store, names(4), unit(8)[:4])
    opened(store).append(store, names(4, 4), unit(8)[4:])
"""


def test_a_kill_between_file_and_rows_leaves_nothing_wrong(store: Store) -> None:
    command = [sys.executable, "-c", KILLED, str(store.path.parent)]
    done = subprocess.run(command, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert file_of(store).stat().st_size == 8 * 4 * D  # rows that nobody knows
    file = opened(store)
    assert file.places(store, names(8)).tolist() == [0, 1, 2, 3, -1, -1, -1, -1]
    assert file.append(store, ["other"], unit(1, seed=1)).tolist() == [4]
    assert np.array_equal(file.read(np.arange(5)), [*unit(8)[:4], *unit(1, seed=1)])


def cut_off(file: Path) -> None:
    with file.open("r+b") as content:
        content.truncate(5 * 4 * D + 7)


def blanked(file: Path) -> None:
    with file.open("r+b") as content:
        content.seek(5 * 4 * D)
        content.write(bytes(5 * 4 * D))


def of_others(file: Path) -> None:
    """Whole unit vectors, and the wrong ones: as by another database in the same folder."""
    with file.open("r+b") as content:
        content.seek(5 * 4 * D)
        content.write(unit(5, seed=9).tobytes())


@pytest.mark.parametrize("damage", [cut_off, blanked, of_others])
def test_what_a_file_lost_is_computed_again_and_the_rest_kept(
    store: Store, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    opened(store).append(store, names(10), unit(10))
    damage(file_of(store))  # type: ignore[operator]
    with caplog.at_level(logging.WARNING):
        file = opened(store)
        assert file.places(store, names(10)).tolist() == [0, 1, 2, 3, 4, -1, -1, -1, -1, -1]
        assert file.places(store, names(10)).tolist().count(-1) == 5
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "5 of its vectors" in caplog.text
    file.append(store, names(5, 5), unit(10)[5:])
    assert np.array_equal(file.read(file.places(store, names(10))), unit(10))


def test_a_file_that_is_gone_is_written_again(store: Store) -> None:
    opened(store).append(store, names(3), unit(3))
    file_of(store).unlink()
    file = opened(store)
    assert file.places(store, names(3)).tolist() == [-1, -1, -1]
    assert np.array_equal(file.read(file.append(store, names(3), unit(3))), unit(3))


def test_a_workspace_can_be_moved(store: Store, tmp_path: Path) -> None:
    opened(store).append(store, names(3), unit(3))
    store.close()
    shutil.move(store.path.parent, tmp_path / "elsewhere")
    with Store(tmp_path / "elsewhere" / "fgvr.db") as moved:
        file = opened(moved)
        assert np.array_equal(file.read(file.places(moved, names(3))), unit(3))


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_told_to_the_store(store: Store) -> None:
    file_of(store).parent.parent.write_text("a file where the folder should be")
    with pytest.raises(StoreError) as caught:
        opened(store).append(store, names(3), unit(3))
    assert caught.value.code == "vectors-unwritable"
    assert store.count("vectors") == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"dimension": 16}', '{"dimension": "many", "key": "x"}'])
def test_a_description_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    write_about(tmp_path, ABOUT)
    assert read_about(tmp_path) == ABOUT
    (tmp_path / "model.json").write_text(text)
    assert read_about(tmp_path) is None
