from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from fgvr_kit.backends.base import Request, Response
from fgvr_kit.errors import BackendError, DatasetError, SettingsError
from fgvr_kit.pipeline.extract import extract, parts_for
from fgvr_kit.pipeline.extract.trial import trials
from fgvr_kit.pipeline.plan import plan
from tests.pipeline.coins import N_COINS, Scripted, make_workspace, opened, set_attributes, use


class Counting(Scripted):
    """Tells tokens, as servers do: 100 read, 4 written."""

    async def reply(self, requests: Sequence[Request]) -> list[Response | BackendError]:
        self.asked += requests
        await asyncio.sleep(0.002)
        return [Response("brown", "model", "stop", 100, 4) for _ in requests]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_workspace(tmp_path)
    set_attributes(root, "rim", "colour")
    (root / "prices.toml").write_text('"scripted:*" = { input = 1.0, output = 10.0 }\n')
    return root


def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    backend = Counting(lambda _: "")
    use(backend, monkeypatch)
    return backend


def test_a_plan_asks_nobody_and_counts_what_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = counting(monkeypatch)
    with opened(root) as workspace:
        ((_, requests),) = parts_for(workspace)
        before = plan(workspace, backend, requests)
        assert (before.calls, before.stored, before.seconds, backend.asked) == (3 * N_COINS, 0, None, [])
        assert before.cost is not None
        extract(workspace, limit=2)
        after = plan(workspace, backend, requests)
    assert (after.calls, after.stored) == (3 * (N_COINS - 2), 6)


def test_five_real_calls_make_it_exact_and_are_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = counting(monkeypatch)
    with opened(root) as workspace:
        ((_, requests),) = parts_for(workspace)
        found = plan(workspace, backend, requests, calibrate=True)
        assert (len(backend.asked), workspace.store.count("replies")) == (5, 5)
        assert (found.calls, found.stored) == (3 * N_COINS - 5, 5)
        assert found.input_tokens.likely == pytest.approx(100 * found.calls, rel=0.02)
        assert found.output_tokens.likely == pytest.approx(4 * found.calls, rel=0.02)
        assert found.seconds is not None
        assert found.cost is not None
        assert found.cost.likely == pytest.approx(found.calls * (100 * 1.0 + 4 * 10.0) / 1e6, rel=0.02)
        assert extract(workspace).done["asked now"] == found.calls


def test_a_budget_ends_the_step_partly_done_and_the_next_one_goes_on(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting(monkeypatch)
    with opened(root, "ask.budget=0.0015") as workspace:  # a call costs 0.00014 USD
        first = extract(workspace)
        (notice,) = first.notices
        assert (notice.code, "no room for another call" in (notice.why or "")) == (
            "requests-unanswered",
            True,
        )
        assert 0 < first.done["asked now"] < 3 * N_COINS
        assert "extract" not in workspace.store.walk()
        assert sum(row["cost"] for row in workspace.store.all_replies()) <= 0.0015
    with opened(root) as workspace:
        second = extract(workspace)
    assert first.done["asked now"] + second.done["asked now"] == 3 * N_COINS


def test_a_budget_without_a_price_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting(monkeypatch)
    (root / "prices.toml").unlink()
    with opened(root, "ask.budget=1") as workspace, pytest.raises(SettingsError) as caught:
        extract(workspace)
    assert caught.value.code == "price-unknown"


def test_a_name_under_which_another_model_answers_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for digest in ("aaa", "bbb"):
        use(
            Scripted(lambda _, digest=digest: Response("seen", f"m@{digest}", "stop", None, None)),
            monkeypatch,
        )  # type: ignore[misc]
        with opened(root, f"extract.max_tokens={64 if digest == 'aaa' else 65}") as workspace:
            set_attributes(root, "rim" if digest == "aaa" else "colour")
            notices = [n.code for n in extract(workspace).notices]
    assert notices == ["model-changed"]


def test_a_trial_shows_what_was_asked_what_was_said_and_what_it_becomes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Scripted(lambda r: "" if r.attribute == "rim" else "brown"), monkeypatch)
    with opened(root) as workspace:
        extract(workspace, limit=1)
        (trial,) = trials(workspace, 1)
    assert (trial.width, trial.height) == (150, 150)
    assert [(e.said, e.becomes) for e in trial.exchanges] == [
        ("brown", "general = brown"),
        ("", "nothing: empty, or not in the form that was asked for"),
        ("brown", "colour = brown"),
    ]
    assert "What of the rim?" in trial.exchanges[1].prompt


def test_a_plan_without_images_says_what_to_do(root: Path) -> None:
    with opened(root) as workspace:
        workspace.store.put_images([], [])
        with pytest.raises(DatasetError):
            parts_for(workspace)
