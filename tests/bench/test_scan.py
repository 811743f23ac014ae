"""How fast a folder is read, beside the least that reading it can cost on the same machine in the same run."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgvr_kit.dataset.duplicates import candidates, turned_candidates
from fgvr_kit.dataset.files import walk
from fgvr_kit.dataset.folder import scan
from fgvr_kit.pipeline.init import init
from fgvr_kit.types import Entry, PixelFacts

pytestmark = pytest.mark.bench

SIZE = (500, 375)  # what the six datasets of the papers have on average


def photographs(root: Path, n: int, n_classes: int = 20, size: tuple[int, int] = SIZE) -> Path:
    """n JPEGs of blotches, no two alike."""

    def write(i: int) -> None:
        noise = np.random.default_rng(i).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        folder = root / f"class_{i % n_classes}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(folder / f"{i}.jpg", quality=85)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(write, range(n)))
    return root


def floor(root: Path, entries: list[Entry], *, of: str = "pixels") -> float:
    """Seconds to read, decode and hash each file once, on as many threads as there are cores.

    of: what the SHA-256 is over; an image's identity is that of its pixels, which are many times the file.
    """

    def touch(entry: Entry) -> None:
        path = root / entry.file
        data = path.read_bytes()
        with Image.open(BytesIO(data)) as image:
            image.load()
            hashlib.sha256(image.tobytes() if of == "pixels" else data).digest()

    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(touch, entries))
    return time.perf_counter() - began


@pytest.mark.parametrize("n", [1_000, 10_000])
def test_a_first_and_a_second_scan_beside_the_floor(tmp_path: Path, n: int) -> None:
    root = photographs(tmp_path / "photographs", n)
    entries = [Entry(path, path.split("/")[0]) for path in walk(root)]
    floor(root, entries[:200])  # the files are in the page cache for all three
    least, of_files = floor(root, entries), floor(root, entries, of="file")
    began = time.perf_counter()
    images, _ = scan(root, entries)
    first = time.perf_counter() - began
    known = {image.path: image for image in images}
    began = time.perf_counter()
    scan(root, entries, known)
    second = time.perf_counter() - began
    print(
        f"\n{n:,} files of {SIZE[0]}x{SIZE[1]}: floor {least:.2f} s, first scan {first:.2f} s"
        f" ({first / least:.2f} times the floor; {first / of_files:.2f} times one that hashes the files only;"
        f" {n / first:.0f} files/s),"
        f" second scan {second:.3f} s ({first / second:.0f} times faster)"
    )


@pytest.mark.parametrize("n", [1_000, 10_000, 100_000])
def test_init_and_check_of_many_small_files(tmp_path: Path, n: int) -> None:
    """The whole command in a process of its own: seconds, files a second, memory."""
    root = photographs(tmp_path / "photographs", n, n_classes=100, size=(64, 48))
    for again in ("init", "init again", "check"):
        command = ["check"] if again == "check" else ["init", str(root)]
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "fgvr_kit", *command, "-w", str(tmp_path / "work")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        assert done.returncode in (0, 3), done.stderr
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"\n{n:,} files: {again} {seconds:.1f} s, {n / seconds:.0f} files/s, peak so far {peak:.2f} GB")


def facts_of_strangers(n: int) -> list[PixelFacts]:
    """n pictures, no two alike, whose thumbs are smooth as those of photographs are: amplitudes fall with 1 / f."""
    noise, k = np.random.default_rng(0), np.arange(16)
    waves = np.cos(np.pi * k[:, None] * (2 * k + 1) / 32)  # (16, 16)
    small = np.empty((n, 16, 16, 3), dtype=np.uint8)
    for channel in range(3):
        amplitudes = noise.normal(size=(n, 16, 16)) / (1 + k[:, None] + k)
        small[..., channel] = np.clip(128 + 25 * (waves.T @ amplitudes @ waves), 0, 255)
    hashes = noise.integers(0, 2**63, n, dtype=np.uint64)
    return [PixelFacts(int(h), one.tobytes()) for h, one in zip(hashes, small, strict=True)]


def test_near_duplicates_of_100_000_hashes_in_all_forms() -> None:
    facts = facts_of_strangers(100_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, search in (("upright", candidates), ("mirrored and turned", turned_candidates)):
        began, of_process = time.perf_counter(), time.process_time()
        n = sum(1 for _ in search(facts))
        seconds, of_process = time.perf_counter() - began, time.process_time() - of_process
        print(f"\n100,000 hashes, {name}: {seconds:.1f} s ({of_process:.1f} s of one core), {n} candidates")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
    print(f"{grown:.2f} GB more memory")


def test_a_second_init_beside_the_first(tmp_path: Path) -> None:
    """What a second `init` of an unchanged folder costs in this process, beside the first."""
    root = photographs(tmp_path / "photographs", 2_000)
    began = time.perf_counter()
    init(root, tmp_path / "work")
    first = time.perf_counter() - began
    began = time.perf_counter()
    init(root, tmp_path / "work")
    second = time.perf_counter() - began
    print(f"\ninit of 2,000 files: {first:.2f} s, again {second:.2f} s ({first / second:.0f} times faster)")
