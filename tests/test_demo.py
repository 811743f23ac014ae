"""The whole walk on the real photographs, as `make demo` runs it. Slow: minutes."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

STEPS = ("init", "check", "discover", "extract", "describe", "mine", "align", "instruct", "eval")
KILLED_IN = ("extract", "mine", "align", "instruct", "eval")
N_PHOTOGRAPHS = 460
N_REPLIES = N_PHOTOGRAPHS * (13 + 1) + N_PHOTOGRAPHS  # 13 attributes, the free description, the summary


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "fgvr_kit", "demo", str(folder), "--json"]


def demo(folder: Path) -> dict[str, Any]:
    done = subprocess.run(command(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def rows(folder: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{folder}/.fgvr/fgvr.db?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def stands(folder: Path, step: str) -> bool:
    """Whether a step of the walk is done."""
    try:
        return bool(rows(folder, f"select 1 from walk where step = '{step}'"))
    except sqlite3.OperationalError:  # no database yet, or no tables in it
        return False


def kill_in(folder: Path, step: str, after: float) -> None:
    """Begin or go on, and kill -9 so many seconds after the step before this one stands."""
    process = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not stands(folder, STEPS[STEPS.index(step) - 1]):
        assert process.poll() is None, f"ended before {step}"
        time.sleep(0.02)
    time.sleep(after)
    assert process.poll() is None, "done before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def final(data: dict[str, Any]) -> tuple[Any, Any, Any]:
    return data["walk"], data["scores"], data["notes"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("demo") / "undisturbed"
    return folder, demo(folder)


def test_the_demo_does_every_step_and_says_what_it_rests_on(
    undisturbed: tuple[Path, dict[str, Any]],
) -> None:
    folder, data = undisturbed
    assert [(step["name"], step["state"]) for step in data["walk"]] == [(name, "done") for name in STEPS]
    accuracies = {(s["model"], s["protocol"][:6]) for s in data["scores"] if s["metric"] == "accuracy"}
    assert accuracies >= {("zero-shot", "choice"), ("tuned", "choice"), ("linear probe", "closed")}
    assert any(s["metric"] == "difference from zero-shot" and s["model"] == "tuned" for s in data["scores"])
    assert all(s["low"] <= s["value"] <= s["high"] for s in data["scores"])
    looked = [s for s in data["scores"] if s["model"] not in ("chance", "most frequent class")]
    assert all("untrained toy model" in s["note"] for s in looked)
    notes = " ".join(data["notes"])
    assert "untrained toy model" in notes
    assert "recorded replies" in notes
    assert rows(folder, "select count(*), count(distinct key) from replies") == [(N_REPLIES, N_REPLIES)]


def test_a_demo_killed_five_times_ends_like_an_undisturbed_one(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    whole, expected = undisturbed
    ended = {step: datetime.fromisoformat(at) for step, at in rows(whole, "select step, finished from walk")}
    chance = random.Random(20261121)
    folder = tmp_path / "killed"
    for step in KILLED_IN:
        took = (ended[step] - ended[STEPS[STEPS.index(step) - 1]]).total_seconds()
        kill_in(folder, step, after=chance.uniform(0, 0.5) * took)

    assert final(demo(folder)) == final(expected)

    for table, columns in {
        "replies": "key, text, outcome",
        "answers": "image_id, attribute, value",
        "descriptions": "image_id, text",
        "negatives": "image_id, rank, negative_id, class",
        "options": "image_id, rank, class",
        "steps": "run_id, step, terms",
        "predictions": "model, protocol, image_id, options, predicted, scores",
    }.items():
        query = f"select {columns} from {table} order by {columns}"
        assert rows(folder, query) == rows(whole, query), table
