"""What the engine costs beside a bare loop over the same client, and how a million replies behave."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fgvr_kit.asking import parse
from fgvr_kit.asking.engine import ask
from fgvr_kit.backends.base import Backend, Request, Response
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.asking.scripted import Bar
from tests.backends.contract import opened, prompt, question

pytestmark = pytest.mark.bench

SECONDS = 0.05
N = 2_000


@contextmanager
def server() -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("latency_server.py")), str(SECONDS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()


async def bare(url: str, requests: list[Request], concurrency: int) -> list[str]:
    """What one would write in an afternoon: a client, a semaphore, nothing kept."""
    import openai

    free = asyncio.Semaphore(concurrency)
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

        async def one(request: Request) -> str:
            async with free:
                completion = await client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": request.prompt.text}],
                    max_tokens=request.max_tokens, temperature=0.0,
                )  # fmt: skip
            return completion.choices[0].message.content or ""

        return await asyncio.gather(*map(one, requests))


@pytest.mark.parametrize("concurrency", [8, 16, 64])
def test_throughput_beside_a_bare_loop(concurrency: int, tmp_path: Path) -> None:
    requests = [question(n, max_tokens=64) for n in range(N)]
    rates: dict[str, list[float]] = {"bare": [], "engine": []}
    with server() as url:
        asyncio.run(bare(url, requests[:200], concurrency))  # both find imports and kernel warm
        for turn in range(3):
            started = time.perf_counter()
            asyncio.run(bare(url, requests, concurrency))
            rates["bare"].append(N / (time.perf_counter() - started))
            backend = opened("openai:m", tmp_path, openai={"base_url": url, "concurrency": concurrency})
            with Store(tmp_path / f"{turn}.db") as store:
                started = time.perf_counter()
                asked = ask(backend, requests, store, judge=parse.judge, progress=Bar())
                rates["engine"].append(N / (time.perf_counter() - started))
            assert asked.n_new == N
    best = {name: max(found) for name, found in rates.items()}
    print(f"\nconcurrency {concurrency}: bare {best['bare']:.0f}/s, engine {best['engine']:.0f}/s, "
          f"{100 * best['engine'] / best['bare']:.0f} %")  # fmt: skip


class Instant(Backend):
    """Says "brown" at once: what remains is the engine and the store."""

    batch_size = 64

    async def reply(self, requests: list[Request]) -> list[Response]:  # type: ignore[override]
        return [Response("brown", "m", "stop", 90, 3) for _ in requests]


def test_a_million_replies(tmp_path: Path) -> None:
    n = 1_000_000
    with Store(tmp_path / "fgvr.db") as store:
        backend = Instant("instant:m", "m")
        started, done = time.perf_counter(), 0
        for part in range(10):
            some = [r for i, r in enumerate(a_million(n)) if i // (n // 10) == part]
            began = time.perf_counter()
            done += ask(backend, some, store, judge=parse.judge).n_new
            print(f"\n{done:>9,} stored: {len(some) / (time.perf_counter() - began):,.0f} written/s", end="")
        print(f"\nwritten in {time.perf_counter() - started:.0f} s")
    command = [sys.executable, "-c", AGAIN, str(tmp_path / "fgvr.db"), str(n)]
    print(
        subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
        ).stdout
    )


AGAIN = """
import resource, sys, time
from pathlib import Path
from fgvr_kit.asking.engine import ask
from fgvr_kit.store import Store
from tests.bench.test_asking import Instant, a_million
store = Store(Path(sys.argv[1]))
started = time.perf_counter()
asked = ask(Instant("instant:m", "m"), a_million(int(sys.argv[2])), store)
assert (asked.n_new, asked.n_stored) == (0, int(sys.argv[2])), asked
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"resume scan: {time.perf_counter() - started:.1f} s, peak {peak:.2f} GB")
"""


def a_million(n: int, n_attributes: int = 14) -> Iterator[Request]:
    """n requests of extract: the same few prompts about many images."""
    prompts = [prompt(f"Question {i}? " * 12) for i in range(n_attributes)]
    for start in range(0, n, n_attributes):
        images = (ImageRef(Path("a.jpg"), f"{start:064x}"),)
        for i in range(min(n_attributes, n - start)):
            yield Request("extract", prompts[i], images, images[0].sha256, f"a{i}", max_tokens=64)
