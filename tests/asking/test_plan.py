from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fgvr_kit import plugins, shipped
from fgvr_kit.asking.estimate import Estimator, filled, thinks
from fgvr_kit.asking.plan import Calibration, Plan, plan, shown_time, shown_usd
from fgvr_kit.asking.prices import find_price
from fgvr_kit.backends.base import Request
from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.types import GENERAL, ImageRef
from tests.asking.counted import (
    COUNTED,
    END,
    SIZE,
    Recorded,
    backend,
    coins,
    descriptions,
    picture,
    prompt,
    row,
)

EXAMPLE = shipped.folder("examples") / "euro-coins"
OPENAI = "https://api.openai.com"


def planned(
    requests: Iterable[Request],
    spec: str = "openai:gpt-4o",
    replies: Iterable[Recorded] = (),
    *,
    batch: bool = False,
) -> Plan:
    named = backend(spec)
    estimator = Estimator(named, lambda sha256: SIZE)
    calibration = Calibration.from_replies(((r.request, r.row) for r in replies), estimator)
    price = find_price(spec, OPENAI, {})
    return plan(
        requests, named, estimator, price, is_stored=lambda r: False, calibration=calibration, batch=batch
    )


def taken(recorded: Iterable[Recorded]) -> tuple[int, int]:
    rows = [r.row for r in recorded]
    return sum(r["input_tokens"] for r in rows), sum(r["output_tokens"] for r in rows)


@pytest.mark.parametrize(("model", "image"), [("gpt-4o", 255), ("gpt-4o-mini", 8500), ("gpt-4.1-mini", 41)])
def test_the_plan_of_euro_coins_is_within_fifteen_percent_of_what_the_replies_took(
    model: str, image: int
) -> None:
    recorded = list(coins(image))
    found = planned((r.request for r in recorded), f"openai:{model}")
    read, written = taken(recorded)
    assert found.calls == 460 * 14
    assert found.input_tokens.likely == pytest.approx(read, rel=0.15)
    assert found.output_tokens.likely == pytest.approx(written, rel=0.15)
    assert found.input_tokens.low <= read <= found.input_tokens.high
    assert found.output_tokens.low <= written <= found.output_tokens.high


def test_so_are_the_texts_alone_and_the_descriptions() -> None:
    for recorded in ([Recorded(_blind(r.request), r.row) for r in coins(0)], list(descriptions())):
        found = planned(r.request for r in recorded)
        read, written = taken(recorded)
        assert found.input_tokens.likely == pytest.approx(read, rel=0.15)
        assert found.output_tokens.likely == pytest.approx(written, rel=0.15)


def _blind(request: Request) -> Request:
    return Request(
        request.purpose, request.prompt, (), request.subject, request.attribute, max_tokens=request.max_tokens
    )


def test_five_replies_correct_a_plan_whose_images_were_guessed_wrong() -> None:
    recorded = list(coins(900))
    guess = planned((r.request for r in recorded), "openai:some-model")
    found = planned((r.request for r in recorded), "openai:some-model", recorded[:5])
    read, _ = taken(recorded)
    assert abs(guess.input_tokens.likely / read - 1) > 0.5
    assert found.input_tokens.likely == pytest.approx(read, rel=0.05)
    assert found.input_tokens.low <= read <= found.input_tokens.high
    assert "5 real replies" in found.basis


def test_more_replies_make_a_narrower_range() -> None:
    recorded = list(coins(255))
    few, many = (planned((r.request for r in recorded), replies=recorded[:n]) for n in (14, 280))
    width = [p.output_tokens.high - p.output_tokens.low for p in (few, many)]
    assert width[1] < width[0] / 2
    assert many.output_tokens.low <= taken(recorded)[1] <= many.output_tokens.high


def test_time_is_told_by_real_replies_only_and_shared_by_the_calls_at_once() -> None:
    requests = [r.request for r in coins(255, 10)]
    told = [Recorded(requests[0], row(100, 5, seconds)) for seconds in (2.0, 2.0, 2.0)]
    assert planned(requests).seconds is None
    alone = planned(requests, replies=told).seconds
    assert alone is not None
    assert alone.likely == pytest.approx(140 * 2.0)
    four = backend("openai:gpt-4o")
    four.concurrency = 4
    estimator = Estimator(four, lambda sha256: SIZE)
    calibration = Calibration.from_replies(((r.request, r.row) for r in told), estimator)
    price = find_price("openai:gpt-4o", OPENAI, {})
    at_once = plan(
        requests, four, estimator, price, is_stored=lambda r: False, calibration=calibration
    ).seconds
    assert at_once is not None
    assert at_once.likely == pytest.approx(alone.likely / 4)


def test_replies_without_token_counts_change_nothing() -> None:
    recorded = list(coins(255, 5))
    silent = [Recorded(r.request, row(None, None, None)) for r in recorded]
    requests = [r.request for r in recorded]
    assert planned(requests, replies=silent).input_tokens == planned(requests).input_tokens
    assert planned(requests, replies=silent).seconds is None


def test_what_is_stored_is_not_planned() -> None:
    named = backend("openai:gpt-4o")
    requests = [r.request for r in coins(255, 10)]
    found = plan(
        requests, named, Estimator(named, lambda sha256: SIZE), find_price(named.spec, OPENAI, {}),
        is_stored=lambda r: r.attribute != GENERAL,
    )  # fmt: skip
    assert (found.calls, found.stored) == (10, 130)
    nothing = plan(
        [],
        named,
        Estimator(named, lambda s: SIZE),
        find_price(named.spec, OPENAI, {}),
        is_stored=lambda r: True,
    )
    assert (nothing.calls, nothing.input_tokens, nothing.cost) == (0, (0, 0, 0), (0, 0, 0))


def test_the_price_is_that_of_the_tokens_and_half_of_it_in_a_batch() -> None:
    requests = [r.request for r in coins(255, 20)]
    now, later = planned(requests), planned(requests, batch=True)
    assert now.cost is not None
    assert later.cost is not None
    assert now.cost.likely == pytest.approx(
        (now.input_tokens.likely * 2.5 + now.output_tokens.likely * 10) / 1e6, rel=1e-3
    )
    assert later.cost.likely == pytest.approx(now.cost.likely / 2)


def test_an_unknown_price_is_said_and_is_not_zero() -> None:
    found = planned([r.request for r in coins(255, 1)], "openai:my-model")
    assert found.cost is None
    assert found.as_dict()["cost_usd"] is None
    assert ("price", "", "unknown", "") in found.rows()
    assert any("prices.toml" in note for note in found.notes)
    assert any("guess" in note for note in found.notes)


def test_a_plan_is_plain_data() -> None:
    found = planned([r.request for r in coins(255, 1)])
    again = json.loads(json.dumps(found.as_dict()))
    assert again["calls"] == 14
    assert again["input_tokens"]["likely"] == found.input_tokens.likely
    assert [what for what, *_ in found.rows()] == [
        "calls", "already stored", "input tokens", "output tokens", "time", "price",
    ]  # fmt: skip


def test_requests_are_looked_at_one_by_one() -> None:
    alive = 0

    class Counted(str):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def stream() -> Iterator[Request]:
        nonlocal alive
        for number in range(2000):
            alive += 1
            assert alive < 100, "requests pile up"
            subject = Counted(f"{number}")
            yield Request("extract", prompt(), (picture(number),), subject, "colour")
            del subject

    assert planned(stream()).calls == 2000


def test_a_model_that_thinks_may_use_up_its_tokens() -> None:
    found = planned([r.request for r in coins(255, 1)], "openai:gpt-5-mini")
    assert found.output_tokens.likely == found.output_tokens.high == 256 + 13 * 64
    assert any("thinks" in note for note in found.notes)
    assert [thinks(m) for m in ("o4-mini", "gemini-2.5-flash", "gpt-4o", "gemini-2.5-flash-lite", "qwen2.5vl:7b")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_json_with_all_attributes_is_estimated_within_fifteen_percent() -> None:
    names = [name for name in COUNTED["replies"] if name not in (GENERAL, "together", "describe")]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    counted = sum(COUNTED["replies"]["together"]) / 460 + END
    assert filled(schema).likely == pytest.approx(counted, rel=0.15)
    request = Request("extract", prompt(), (picture(),), "0" * 64, None, schema, max_tokens=60)
    estimator = Estimator(backend("openai:gpt-4o"), lambda sha256: SIZE)
    assert estimator.of(request).output == (60, 60, 60)  # max_tokens comes first


def test_the_schema_counts_where_the_server_reads_it() -> None:
    schema = {"type": "object", "properties": {"leg_colour": {"type": "string"}}}
    bare = Request("extract", prompt(), subject="0" * 64)
    shaped = Request("extract", prompt(), subject="0" * 64, schema=schema)
    hosted, local = (Estimator(backend(spec), lambda s: SIZE) for spec in ("openai:gpt-4o", "ollama:llava"))
    assert hosted.reads(shaped).high > hosted.reads(bare).high
    assert local.reads(shaped) == local.reads(bare)


def test_images_are_counted_as_they_are_sent() -> None:
    request = Request("extract", prompt(), (picture(),))
    whole = Estimator(backend("openai:claude-opus-5"), lambda s: (2000, 1500)).reads(request)
    sent = Estimator(backend("openai:claude-opus-5", max_pixels=280 * 210), lambda s: (2000, 1500)).reads(
        request
    )
    assert whole.likely - sent.likely == 72 * 54 - 10 * 8


def test_an_image_of_unknown_size_is_reckoned_and_said() -> None:
    named = backend("openai:gpt-4o")
    estimator = Estimator(named, lambda sha256: None)
    found = plan([Request("extract", prompt(), (picture(),))], named, estimator, find_price(named.spec, OPENAI, {}),
                 is_stored=lambda r: False)  # fmt: skip
    assert any("sizes of 1 images" in note for note in found.notes)


def test_five_replies_of_the_toy_plan_the_rest_within_fifteen_percent(tmp_path: Path) -> None:
    """A real model in this process, with a vocabulary that no rate was made for."""
    backends = plugins.load("backends", "transformers")
    toy = backends.make("toy-vlm", backends.Settings(device="cpu"), tmp_path)
    paths = sorted((EXAMPLE / "train" / "1_euro").glob("*.jpg"))[:3]
    refs = [ImageRef(path, pixel_sha256(open_image(path))) for path in paths]
    requests = [replace(r.request, images=(ref,), subject=ref.sha256) for ref in refs for r in coins(0, 1)]
    recorded = [
        Recorded(request, row(reply.input_tokens, reply.output_tokens))
        for request, reply in zip(requests, asyncio.run(toy.reply(requests)), strict=True)
    ]
    estimator = Estimator(toy, lambda sha256: SIZE)
    calibration = Calibration.from_replies(((r.request, r.row) for r in recorded[:5]), estimator)
    price = find_price(toy.spec, None, {})
    found = plan(requests, toy, estimator, price, is_stored=lambda r: False, calibration=calibration)
    read, written = taken(recorded)
    assert len(recorded) == 42
    assert found.input_tokens.likely == pytest.approx(read, rel=0.15)
    assert found.output_tokens.likely == pytest.approx(written, rel=0.15)
    assert found.cost == (0, 0, 0)


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "0.00 USD"), (0.00312, "0.0031 USD"), (4.2, "4.20 USD"), (1200.4, "1,200 USD")]
)
def test_money_is_shown_to_the_digits_that_matter(amount: float, shown: str) -> None:
    assert shown_usd(amount) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(40, "40 s"), (720, "12 min"), (12_600, "3.5 h"), (181_440, "2.1 days")]
)
def test_time_is_shown_in_its_own_unit(seconds: float, shown: str) -> None:
    assert shown_time(seconds) == shown
