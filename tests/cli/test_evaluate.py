from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.cli.scores import table_of
from fgvr_kit.types import Score
from tests.cli.conftest import Shell


@pytest.fixture
def mined(shell: Shell, pests: Path) -> Shell:
    assert shell("init", "pests").code == 0
    assert shell("mine", "--model", "toy-clip").code == 0
    return shell


def test_the_table_of_baselines_needs_no_mllm(mined: Shell) -> None:
    done = mined("eval", "--baselines", "--shots", "1", "--enough", "0.9", "--json")
    assert done.code == 0, done.err
    data = done.json["data"]
    models = list(dict.fromkeys(score["model"] for score in data["scores"]))
    assert models == [
        "chance", "most frequent class", "CLIP zero-shot", "k-nearest neighbours", "linear probe",
        "k-nearest neighbours, 1 shot", "linear probe, 1 shot",
    ]  # fmt: skip
    assert {"recall", "precision", "F1"} <= {s["metric"] for s in data["scores"] if s["class_name"] == "bee"}
    assert all(s["low"] <= s["value"] <= s["high"] for s in data["scores"])
    notes = {s["note"] for s in data["scores"] if s["model"] not in ("chance", "most frequent class")}
    assert notes == {"toy-clip: untrained toy model"}
    assert "shots = [1]" in (mined.cwd / "fgvr.toml").read_text()
    assert "enough = 0.9" in (mined.cwd / "fgvr.toml").read_text()


def test_people_see_a_line_for_each_of_them(mined: Shell) -> None:
    out = mined("eval", "--baselines").out
    lines = [line for line in out.splitlines() if " closed3 " in line and "untrained toy model" in line]
    assert [line.split("closed3")[0].strip() for line in lines] == [
        "CLIP zero-shot", "k-nearest neighbours", "linear probe",
    ]  # fmt: skip
    assert "linear probe" in mined("status").out
    assert "precision" not in out


def test_status_still_asks_for_the_mllm(mined: Shell) -> None:
    mined("eval", "--baselines")
    steps = {step["name"]: step for step in mined("status", "--json").json["data"]["steps"]}
    assert steps["eval"]["state"] == "to do"
    assert "CLIP zero-shot" in steps["eval"]["told"]


def test_the_mllm_joins_the_table_and_the_baselines_stay(mined: Shell) -> None:
    before = mined("eval", "--baselines", "--json").json["data"]["scores"]
    after = mined("eval", "--model", "toy-vlm", "--json").json["data"]["scores"]
    asked = {(s["model"], s["protocol"], s["metric"], s["class_name"]): s["value"] for s in after}
    assert ("zero-shot", "accuracy") in {(model, metric) for model, _, metric, _ in asked}
    for s in before:
        if not s["metric"].endswith("from CLIP zero-shot"):  # from now on they are compared with the MLLM
            assert asked[s["model"], s["protocol"], s["metric"], s["class_name"]] == s["value"]


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--baselines", "--shots", "one"], "shots-not-numbers"),
        (["--baselines", "--shots", "0,4"], "shots-not-numbers"),
        (["--shots", "4"], "shots-without-baselines"),
        (["--baselines", "--enough", "90"], "settings-value"),
        (["--baselines"], "no-mine-model"),
        ([], "no-train-model"),
    ],
)
def test_bad_input_is_told(shell: Shell, pests: Path, args: list[str], code: str) -> None:
    shell("init", "pests")
    result = shell("eval", *args, "--json")
    assert (result.code, result.json["error"]["code"]) == (2, code)


def test_before_mine_only_all_classes_are_asked_about(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    done = shell("eval", "--baselines", "--set", "mine.model=toy-clip", "--json").json
    assert "no-options" in [warning["code"] for warning in done["warnings"]]
    assert {s["protocol"].split("-")[0] for s in done["data"]["scores"]} == {"closed3"}


def test_a_line_tells_the_difference_with_its_interval_and_p() -> None:
    scores = [
        Score("a", "p", "accuracy", 10, 0.5, 0.2, 0.8),
        Score("b", "p", "accuracy", 10, 0.8, 0.6, 0.9),
        Score("b", "p", "recall", 5, 1.0, 0.5, 1.0, class_name="bee"),
        Score("b", "p", "difference from a", 10, 0.3, 0.1, 0.5),
        Score("b", "p", "p of difference from a", 10, 0.0004, 0.0004, 0.0004),
    ]
    header, rows = table_of(scores)
    assert header == ["model", "protocol", "accuracy", "95 % interval", "against a", "images"]
    assert rows == [
        ["a", "p", "50.0", "[20.0, 80.0]", "", "10"],
        ["b", "p", "80.0", "[60.0, 90.0]", "+30.0 [10.0, 50.0] p < 0.001", "10"],
    ]
