from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fgvr_kit.cli import ready
from tests.backends.servers import FakeServer, Say
from tests.cli.conftest import Shell
from tests.photographs import class_folders

ATTRIBUTES = "attribute,question,options\nrim,How is the rim?,\nmetal,Which metal?,gold; brass\n"


@pytest.fixture
def coins(shell: Shell, tmp_path: Path) -> Path:
    class_folders(tmp_path / "coins", {"cent": 5, "euro": 5})
    assert shell("init", "coins").code == 0
    (tmp_path / "attributes.csv").write_text(ATTRIBUTES)
    (tmp_path / "prices.toml").write_text('"openai:*" = { input = 100.0, output = 1000.0 }\n')
    return tmp_path


def asked(shell: Shell, server: FakeServer, *more: str) -> list[str]:
    return ["attributes", "extract", "--backend", "openai:m", "--set", f"openai.base_url={server.url}", *more]


def test_a_plan_sends_nothing_and_its_document_holds_every_figure(shell: Shell, coins: Path) -> None:
    with FakeServer("openai", lambda *_: Say()) as server:
        result = shell(*asked(shell, server, "--plan", "--json"))
        assert server.calls == []
    (plan,) = result.json["data"]["plan"]
    assert (result.code, plan["step"], plan["calls"], plan["stored"]) == (0, "extract", 30, 0)
    assert plan["cost_usd"]["low"] <= plan["cost_usd"]["likely"] <= plan["cost_usd"]["high"]
    assert plan["seconds"] is None


def test_five_calls_calibrate_the_plan_and_are_not_asked_again(shell: Shell, coins: Path) -> None:
    with FakeServer("openai", lambda *_: Say("A")) as server:
        result = shell(*asked(shell, server, "--plan", "--calibrate", "--json"))
        assert (result.json["data"]["plan"][0]["calls"], len(server.calls)) == (25, 5)
        assert shell(*asked(shell, server)).code == 0
        assert len(server.calls) == 30


def test_a_budget_ends_in_exit_code_4_with_what_is_left_and_is_not_kept(shell: Shell, coins: Path) -> None:
    with FakeServer(
        "openai", lambda *_: Say("A", usage={"completion_tokens": 10})
    ) as server:  # 0.34 USD in all
        result = shell(*asked(shell, server, "--budget", "0.2", "--json"))
        assert (result.code, result.json["error"]["code"]) == (4, "partly-done")
        assert "replies are missing, about" in result.json["error"]["why"]
        n = len(server.calls)
        assert 0 < n < 30
        assert shell(*asked(shell, server)).code == 0
        assert len(server.calls) == 30
    assert "budget = 0.2" not in (coins / "fgvr.toml").read_text()


def test_a_trial_shows_what_was_asked_and_what_the_rest_would_cost(shell: Shell, coins: Path) -> None:
    with FakeServer("openai", lambda *_: Say("A")) as server:
        result = shell(*asked(shell, server, "--limit", "1", "--json"))
        assert len(server.calls) == 3
    (trial,) = result.json["data"]["trials"]
    assert [e["becomes"] for e in trial["exchanges"]] == ["general = A", "metal = gold", "rim = A"]
    assert result.json["data"]["plan"][0]["calls"] == 27


def test_a_missing_key_is_asked_for_on_a_terminal_and_kept_on_request(
    shell: Shell, coins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("fgvr_kit.keys.prompt", lambda name: "sk-typed-unseen-12345")
    monkeypatch.setattr(ready.typer, "confirm", lambda *_, **__: True)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    from fgvr_kit.cli.output import Output
    from fgvr_kit.workspace import Workspace

    with Workspace(coins, ['extract.backend="openai:gpt-4o-mini"']) as workspace:
        ready.make_ready(Output("extract"), workspace, "extract")
    assert "sk-typed-unseen-12345" in (coins / ".env").read_text()
    assert (coins / ".env").stat().st_mode & 0o077 == 0
    assert "sk-typed" not in (coins / "fgvr.toml").read_text()


def test_only_ollama_pulls(shell: Shell, coins: Path) -> None:
    with FakeServer("openai", lambda *_: Say("A")) as server:
        result = shell(*asked(shell, server, "--pull", "--json"))
    assert (result.code, result.json["error"]["code"]) == (2, "pull-unsupported")


def test_a_plan_keeps_nothing_and_a_budget_of_nothing_is_refused(shell: Shell, coins: Path) -> None:
    before = (coins / "fgvr.toml").read_text()
    with FakeServer("openai", lambda *_: Say("A")) as server:
        assert shell(*asked(shell, server, "--plan", "--hinted")).code == 0
        assert (coins / "fgvr.toml").read_text() == before
        result = shell(*asked(shell, server, "--budget", "0", "--json"))
    assert (result.code, result.json["error"]["code"]) == (2, "budget-value")


def test_a_budget_too_small_for_one_call_is_partly_done(shell: Shell, coins: Path) -> None:
    with FakeServer("openai", lambda *_: Say("A")) as server:
        result = shell(*asked(shell, server, "--budget", "0.000001", "--json"))
    assert (result.code, result.json["error"]["code"], server.calls) == (4, "partly-done", [])
