from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fgvr_kit.doctor import hardware
from fgvr_kit.surroundings import Driver, Gpu

GIB = 2**30
L4 = Driver((Gpu("NVIDIA L4", 22 * GIB, 21 * GIB, "580.65.06"),))
CUDA = {"version": "2.15.0+cu132", "cuda": "13.2", "hip": None}
NOT_THERE = {"available": False, "told": [], "mps": False}


@pytest.mark.parametrize(
    ("driver", "torch", "state", "told"),
    [
        (L4, None, "ok", "22.0 GiB, 21.0 GiB free, driver 580.65.06"),
        (Driver((Gpu("small", 6 * GIB, 6 * GIB),)), None, "warning", "too little"),
        (Driver((Gpu("busy", 24 * GIB, 3 * GIB),)), None, "warning", "another program"),
        (Driver((Gpu("NVIDIA GB10", 0, 0, "580"),)), None, "ok", "shared with the CPU"),
        (Driver(problem="Driver/library version mismatch"), None, "problem", "version mismatch"),
        (Driver(), None, "warning", "none"),
        (Driver(), NOT_THERE, "warning", "none"),
        (Driver(), {"available": True, "names": ["AMD MI300X"], "bf16": True}, "ok", "AMD MI300X"),
        (Driver(), {**NOT_THERE, "mps": True}, "ok", "mps"),
    ],
)
def test_the_gpu(driver: Driver, torch: dict[str, Any] | None, state: str, told: str) -> None:
    (found,) = hardware.gpu(driver, torch)
    assert (found.name, found.state) == ("gpu", state)
    assert told in found.seen
    assert bool(found.fix) == (state != "ok")


@pytest.mark.parametrize(
    ("facts", "build", "environ", "state", "told"),
    [
        ({"available": True, "bf16": True}, CUDA, {}, "ok", "bfloat16"),
        ({"available": True, "bf16": False}, CUDA, {}, "warning", "no bfloat16"),
        (NOT_THERE, {"version": "2.15.0+cpu", "cuda": None}, {}, "problem", "for the CPU alone"),
        (NOT_THERE, CUDA, {"CUDA_VISIBLE_DEVICES": ""}, "warning", "hides"),
        (NOT_THERE, CUDA, {}, "problem", "does not see"),
        (
            {**NOT_THERE, "told": ["The NVIDIA driver on your system is too old"]},
            CUDA,
            {},
            "problem",
            "too old",
        ),
        ({"errors": ["RuntimeError: no kernel image is available"]}, CUDA, {}, "problem", "no kernel image"),
    ],
)
def test_torch_on_the_gpu(
    facts: dict[str, Any], build: dict[str, Any], environ: dict[str, str], state: str, told: str
) -> None:
    (found,) = hardware.torch_on_gpu(L4, facts, build, environ)
    assert found.state == state
    assert told in found.seen
    assert bool(found.fix) == (state != "ok")


def test_without_a_gpu_nothing_is_said_of_torch_on_it() -> None:
    assert hardware.torch_on_gpu(Driver(), NOT_THERE, CUDA, {}) == []


@pytest.mark.parametrize(
    ("name", "free", "state"),
    [("disk", 50, "ok"), ("disk", 2, "warning"), ("disk", 0.1, "problem"), ("cache", 50, "ok"),
     ("cache", 10, "warning"), ("cache", 0.1, "problem")],
)  # fmt: skip
def test_disk(name: str, free: float, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(place: Path) -> SimpleNamespace:
        asked.append(place)
        return SimpleNamespace(free=free * GIB)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    found = hardware.disk(name, tmp_path / "not" / "there yet", "something", is_needed=True)
    assert (found.name, found.state) == (name, state)
    assert asked == [tmp_path]


@pytest.mark.parametrize(("is_needed", "state"), [(True, "problem"), (False, "warning")])
def test_a_place_that_may_not_be_written_to_is_told(
    is_needed: bool, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert hardware.disk("cache", tmp_path, "something", is_needed=is_needed).state == state


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
    ],
)
def test_the_model_cache_is_where_hugging_face_has_it(environ: dict[str, str], place: str) -> None:
    assert hardware.model_cache(environ) == Path(place)


def test_the_model_cache_is_the_one_that_is_used_here() -> None:
    import os

    constants = pytest.importorskip("huggingface_hub.constants")
    assert str(hardware.model_cache(os.environ)) == constants.HF_HUB_CACHE


@pytest.mark.parametrize(("total", "state"), [(4, "warning"), (32, "ok")])
def test_memory(total: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_memory", lambda: (total * GIB, 3 * GIB))
    assert [diagnosis.state for diagnosis in hardware.memory()] == [state]


def test_memory_of_this_machine_is_a_number_that_can_be() -> None:
    total, free = hardware._memory()
    if total is not None:
        assert total > GIB // 4
        assert free is None or 0 < free <= total
