from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fgvr_kit.asking.prices import GivenPrice, find_price, given_prices, price_of
from fgvr_kit.backends import openai
from fgvr_kit.errors import SettingsError

OPENAI = "https://api.openai.com"


def test_a_listed_model_costs_what_the_list_says() -> None:
    price = find_price("openai:gpt-4o-mini", OPENAI, {})
    assert (price.kind, price.input, price.output) == ("listed", 0.15, 0.6)
    assert price.cost(1_000_000, 1_000_000) == pytest.approx(0.75)
    assert price.cost(1_000_000, 0, cached=1_000_000) == pytest.approx(0.075)
    assert price.cost(1_000_000, 1_000_000, batch=True) == pytest.approx(0.375)
    assert "genai-prices" in price.source


def test_the_address_decides_the_provider() -> None:
    groq = find_price("openai:meta-llama/llama-4-scout-17b-16e-instruct", "https://api.groq.com", {})
    router = find_price("openai:google/gemini-2.5-flash", "https://openrouter.ai", {})
    assert "groq" in groq.source
    assert "openrouter" in router.source
    assert not find_price("openai:gpt-4o-mini", "https://llm.example.org", {}).is_known


@pytest.mark.parametrize(
    ("spec", "host"),
    [
        ("openai:no-such-model", OPENAI),
        ("openai:my-model", "http://10.0.0.7:8000"),  # somebody may send a bill for it
        ("ollama:qwen3-vl:235b-cloud", "http://127.0.0.1:11434"),
        ("ollama:gpt-oss:120b", "https://ollama.com"),
        ("plugged:model", None),
    ],
)
def test_what_nobody_knows_is_unknown_and_not_free(spec: str, host: str | None) -> None:
    price = find_price(spec, host, {})
    assert (price.kind, price.source) == ("unknown", "unknown")
    assert price.cost(10**6, 10**6) is None
    assert price.cost(0, 0) is None
    assert not price.is_free


@pytest.mark.parametrize(
    ("spec", "host"),
    [
        ("clip:toy-clip", None),
        ("transformers:toy-vlm", None),
        ("replay:replies.jsonl", None),
        ("openai:my-model", "http://localhost:8000"),
        ("openai:gpt-4o", "http://127.0.0.1:8000"),
        ("openai:my-model", "http://[::1]:8000"),
        ("ollama:qwen2.5vl:7b", "http://gpu-box:11434"),
    ],
)
def test_ones_own_machine_costs_nothing(spec: str, host: str | None) -> None:
    price = find_price(spec, host, {})
    assert (price.kind, price.source) == ("local", "local: no price")
    assert price.cost(10**6, 10**6) == 0
    assert price.is_free


def test_a_model_that_is_listed_without_a_price_is_unknown() -> None:
    from genai_prices.data_snapshot import get_snapshot

    now = datetime.now(UTC)
    router = next(p for p in get_snapshot().providers if p.id == "openrouter")
    unpriced = [m.id for m in router.models if not m.get_prices(now).__dict__ and not m.id.endswith(":free")]
    free = [m.id for m in router.models if m.id.endswith(":free")]
    for model in unpriced:
        assert not find_price(f"openai:{model}", "https://openrouter.ai", {}).is_known, model
    assert free
    assert all(find_price(f"openai:{model}", "https://openrouter.ai", {}).is_free for model in free)


def test_a_given_price_wins_over_the_list_and_over_local() -> None:
    given = {"openai:gpt-4o-mini": GivenPrice(input=1, output=2), "ollama:*": GivenPrice(input=3, output=4)}
    mine = find_price("openai:gpt-4o-mini", OPENAI, given)
    assert (mine.kind, mine.cost(10**6, 10**6)) == ("given", 3)
    assert mine.cost(10**6, 10**6, batch=True) == 1.5
    assert find_price("ollama:qwen2.5vl:7b", "http://127.0.0.1:11434", given).cost(10**6, 0) == 3


def test_the_longest_pattern_that_fits_wins_and_the_exact_name_before_it() -> None:
    given = {
        "openai:*": GivenPrice(input=1, output=1),
        "openai:ft:*": GivenPrice(input=2, output=2),
        "openai:ft:mine[1]": GivenPrice(input=3, output=3),
    }
    found = [find_price(f"openai:{m}", OPENAI, given).input for m in ("x", "ft:other", "ft:mine[1]")]
    assert found == [1, 2, 3]


def test_the_workspaces_prices_win_over_the_users(tmp_path: Path) -> None:
    for folder, text in (("config", '"openai:a" = {input = 1, output = 1}\n"openai:b" = {input = 2, output = 2}'),
                         ("work", '["openai:b"]\ninput = 5.0\noutput = 6.0\ncached = 0.5\n')):  # fmt: skip
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "prices.toml").write_text(text)
    given = given_prices(tmp_path / "work", tmp_path / "config")
    assert {spec: price.input for spec, price in given.items()} == {"openai:a": 1, "openai:b": 5}
    assert given["openai:b"].cached == 0.5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"openai:a" = {input = 1', "prices-toml"),
        ('"openai:a" = {input = 1}', "prices-value"),
        ('"openai:a" = {input = -1, output = 1}', "prices-value"),
        ('"openai:a" = {input = 1, output = 1, outptu = 2}', "prices-value"),
        ('"openai:a" = 3', "prices-value"),
    ],
)
def test_a_file_that_is_not_right_is_an_error_that_names_it(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        given_prices(tmp_path, tmp_path / "none")
    assert caught.value.code == code
    assert caught.value.where == str(tmp_path / "prices.toml")


def test_a_backend_is_priced_by_the_server_it_is_set_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    hosted = openai.make("gpt-4o-mini", openai.Settings(), tmp_path)
    own = openai.make("gpt-4o-mini", openai.Settings(base_url="http://localhost:8000/v1"), tmp_path)
    assert price_of(hosted, tmp_path, config=tmp_path).kind == "listed"
    assert price_of(own, tmp_path, config=tmp_path).kind == "local"
