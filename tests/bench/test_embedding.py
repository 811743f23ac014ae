"""Images embedded a second, from JPEG files to stored vectors, beside the bare forward on tensors that are ready.

Both sides take turns in one run, with the same weights (random), batches and threads. Run it on a machine that has
nothing else to do: what others take from one side they may not take from the other.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.embedding import Clip, Rows
from fgvr_kit.embedding.model import Model
from fgvr_kit.embedding.vectors import VectorFile
from fgvr_kit.store import Store
from fgvr_kit.types import ImageRef
from tests.bench.test_scan import photographs

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.bench

ROUNDS = 3
MANY, D = 200_000, 512


@pytest.fixture(autouse=True)
def all_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


Seconds = np.ndarray
"""By the clock, and of all cores together: the latter is nearly the same whatever else the machine does."""


def now() -> Seconds:
    return np.array([time.perf_counter(), time.process_time()])


def references(root: Path, n: int) -> list[ImageRef]:
    """n JPEGs of 500x375."""
    paths = sorted(photographs(root, n).rglob("*.jpg"))
    return [ImageRef(path, pixel_sha256(open_image(path))) for path in paths]


def random_weights(name: str, folder: Path) -> str:
    import open_clip

    torch.save(open_clip.create_model(name).state_dict(), folder / "weights.pt")
    return f"{name}:{folder / 'weights.pt'}"


def seconds_of_forward(model: Model, batches: list[Any]) -> Seconds:
    began = now()
    with torch.inference_mode():
        for batch in batches:
            model._net.encode_image(batch.to(model.device, model._dtype), normalize=True).cpu()
    return now() - began


def seconds_of_embedding(clip: Clip, refs: list[ImageRef], store: Store, batch_size: int) -> Seconds:
    began = now()
    clip.images(store, refs, batch_size=batch_size)
    return now() - began


@pytest.mark.parametrize(("name", "n", "batch_size"), [("ViT-B-32", 128, 64), ("ViT-L-14", 16, 8)])
def test_embedding_from_files_beside_the_bare_forward(
    tmp_path: Path, name: str, n: int, batch_size: int
) -> None:
    refs = references(tmp_path / "photographs", n)
    clip = Clip(random_weights(name, tmp_path))
    model = clip._load()
    pixels = model.preparation.pixels(
        torch.from_numpy(np.stack([model.preparation.picture(ref) for ref in refs]))
    )
    ready = list(pixels.split(batch_size))
    seconds_of_forward(model, ready[:1])
    shares = []
    for turn in range(ROUNDS):
        with Store(tmp_path / str(turn) / "fgvr.db") as store:
            clip.scale(store)  # model.json is written
            bare = seconds_of_forward(model, ready)
            whole = seconds_of_embedding(clip, refs, store, batch_size)
        bare = (bare + seconds_of_forward(model, ready)) / 2  # before and after: others come and go
        shares.append(bare / whole)
        print(
            f"\n{name} on {model.device}, {torch.get_num_threads()} threads: bare forward {n / bare[0]:.2f} images/s,"
            f" from files {n / whole[0]:.2f} images/s, {100 * shares[-1][0]:.1f} %;"
            f" processor time {bare[1]:.1f} s and {whole[1]:.1f} s, {100 * shares[-1][1]:.1f} %",
            flush=True,
        )
    by_clock, of_processor = 100 * np.median(shares, axis=0)
    print(f"median {by_clock:.1f} % by the clock, {of_processor:.1f} % of the processor time")


def test_what_is_stored_costs_no_model_and_the_time_grows_with_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 10,000 to 200,000 vectors of 512 numbers that are stored already; and the memory that reading them takes."""
    clip = Clip("toy-clip", device="cpu")
    monkeypatch.setattr(Clip, "_load", lambda _: pytest.fail("the model was loaded"))
    for n in (10_000, 50_000, MANY):
        about = {"key": clip.key, "preprocessing": "none", "dimension": D, "scale": 1.0, "seen_with": ["1"]}
        with Store(tmp_path / str(n) / "fgvr.db") as store:
            file = VectorFile(store.path.parent / "vectors" / "many", "many", about)
            began = time.perf_counter()
            for start in range(0, n, 64):
                vectors = np.random.default_rng(start).normal(size=(min(64, n - start), D)).astype(np.float32)
                file.append(store, [f"{k:064x}" for k in range(start, start + len(vectors))], vectors)
            written = time.perf_counter() - began
            monkeypatch.setattr(Clip, "_file", lambda _self, _store, file=file: file)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            refs = [ImageRef(Path("gone.jpg"), f"{k:064x}") for k in range(n)]
            began = time.perf_counter()
            rows = clip.rows(store, refs, batch_size=64)
            found = time.perf_counter() - began
            began = time.perf_counter()
            total = sum(float(rows[start : start + 4096].sum()) for start in range(0, n, 4096))
            read = time.perf_counter() - began
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
        assert isinstance(rows, Rows)
        assert np.isfinite(total)
        print(
            f"\n{n:,} vectors: kept at {n / written:,.0f}/s in batches of 64, found again at {n / found:,.0f}/s"
            f" (looked up, read and summed), read in blocks at {4 * D * n / read / 1e9:.2f} GB/s;"
            f" {grown:.0f} MB more memory for {4 * D * n / 1e6:.0f} MB of vectors"
        )


def test_time_is_linear_in_the_images(tmp_path: Path) -> None:
    refs = references(tmp_path / "photographs", 1600)
    clip = Clip("toy-clip", device="cpu")
    for n in (200, 400, 800, 1600):
        with Store(tmp_path / str(n) / "fgvr.db") as store:
            clip.scale(store)
            seconds = seconds_of_embedding(clip, refs[:n], store, 64)
            began = time.perf_counter()
            Clip("toy-clip", device="cpu").images(store, refs[:n], batch_size=64)
            again = time.perf_counter() - began
        print(
            f"\n{n} images: {1e3 * seconds[0] / n:.2f} ms each; {1e3 * again:.0f} ms for all when they are stored"
        )
