from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.workspace import Workspace
from tests.cli.conftest import Shell
from tests.training.conftest import build_workspace


@pytest.fixture
def work(shell: Shell, toy_vlm_path: Path) -> Workspace:
    return build_workspace(shell.cwd)


def test_a_plan_counts_before_anything_is_trained(shell: Shell, work: Workspace) -> None:
    data = shell("ablate", "no-attributes", "one-stage", "--seeds", "2", "--plan", "--json").json["data"]
    assert [(t["name"], t["seed"]) for t in data["trials"]] == [
        (name, seed) for name in ("paper", "no-attributes", "one-stage") for seed in (42, 43)
    ]
    assert (data["stages"], data["steps"]) == (10, 30)
    assert not (work.state / "runs").exists()
    said = shell("ablate", "--plan")
    assert (said.code, "no-attributes" in said.out, "attributes.csv" in said.out) == (0, True, True)


def test_ablations_are_listed(shell: Shell, work: Workspace) -> None:
    result = shell("ablate", "--list", "--json")
    names = [one["name"] for one in result.json["data"]["ablations"]]
    assert names[0] == "paper"
    assert "random-negatives" in names


def test_an_unknown_name_is_refused(shell: Shell, work: Workspace) -> None:
    result = shell("ablate", "nois", "--json")
    assert (result.code, result.json["error"]["code"]) == (2, "unknown-ablation")
