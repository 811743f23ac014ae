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
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

N_KILLS = 5
N_PHOTOGRAPHS = 460
N_REPLIES = N_PHOTOGRAPHS * (13 + 1) + N_PHOTOGRAPHS  # 13 attributes, the free description, the summary


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "fgvr_kit", "demo", str(folder), "--json"]


def demo(folder: Path) -> dict[str, Any]:
    done = subprocess.run(command(folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def rows(folder: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(folder / ".fgvr" / "fgvr.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def final(data: dict[str, Any]) -> tuple[Any, Any, Any]:
    return data["walk"], data["scores"], data["notes"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], float]:
    folder = tmp_path_factory.mktemp("demo") / "undisturbed"
    started = time.monotonic()
    return folder, demo(folder), time.monotonic() - started


def test_the_demo_does_every_step_and_says_what_it_rests_on(
    undisturbed: tuple[Path, dict[str, Any], float],
) -> None:
    folder, data, _ = undisturbed
    assert [(step["name"], step["state"]) for step in data["walk"]] == [
        (name, "done")
        for name in ("init", "discover", "extract", "describe", "mine", "align", "instruct", "eval")
    ]
    assert [(s["model"], s["metric"], s["n"]) for s in data["scores"]] == [
        ("zero-shot", "accuracy", 155),
        ("tuned", "accuracy", 155),
        ("tuned", "difference from zero-shot", 155),
    ]
    assert all(s["low"] <= s["value"] <= s["high"] for s in data["scores"])
    assert all("untrained toy model" in s["note"] for s in data["scores"])
    notes = " ".join(data["notes"])
    assert "untrained toy model" in notes
    assert "recorded replies" in notes
    assert rows(folder, "select count(*), count(distinct key) from replies") == [(N_REPLIES, N_REPLIES)]


def test_a_demo_killed_five_times_ends_like_an_undisturbed_one(
    undisturbed: tuple[Path, dict[str, Any], float], tmp_path: Path
) -> None:
    whole, expected, seconds = undisturbed
    moments = random.Random(20261121)
    folder = tmp_path / "killed"
    kills = 0
    while kills < N_KILLS:
        process = subprocess.Popen(
            command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(timeout=moments.uniform(0.05, 0.3) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        else:
            assert process.returncode == 0
            break
    assert kills == N_KILLS, "done before it was killed often enough"

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
