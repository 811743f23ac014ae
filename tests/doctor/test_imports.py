"""What the probes tell, from false packages in a process of its own and from what real ones have said."""

from __future__ import annotations

import os

import pytest

from fgvr_kit.doctor import child, imports
from fgvr_kit.doctor.child import Said
from fgvr_kit.surroundings import gpus
from tests.cli.conftest import python
from tests.doctor.conftest import TORCH, WITH_GPU, Packages

NMS = "RuntimeError: operator torchvision::nms does not exist"
BLOOM = "ModuleNotFoundError: Could not import module 'BloomPreTrainedModel'. Are this object's requirements defined?"


def probe(chain: str = "torch", seconds: float = 60) -> Said:
    return child.run("probe", chain, seconds=seconds)


def said(**steps: dict[str, object]) -> Said:
    return Said(tuple({"step": name, **facts} for name, facts in steps.items()))


def test_a_pair_that_fits_is_fine(packages: Packages) -> None:
    packages.whole()
    told = probe()
    assert told.died is None
    assert imports.pair(told).state == "ok"
    assert imports.libraries(told, ["open_clip"]) == []
    assert imports.libraries(probe("training"), ["transformers", "peft"]) == []
    assert [diagnosis.state for diagnosis in imports.bitsandbytes(told)] == ["ok"]


def test_a_mismatched_pair_is_recognised_by_its_odd_error(packages: Packages) -> None:
    packages.whole()
    packages.module("torchvision", "raise RuntimeError('operator torchvision::nms does not exist')")
    found = imports.pair(probe())
    assert (found.name, found.state) == ("torch", "problem")
    assert "torch torchvision" in found.fix


def test_what_fails_because_of_the_pair_is_not_told_twice() -> None:
    told = said(transformers={"errors": [BLOOM, NMS]}, peft={"errors": [BLOOM, NMS]})
    assert imports.libraries(told, ["transformers", "peft"]) == []


def test_the_cause_of_could_not_import_module_is_named() -> None:
    told = said(transformers={"errors": [BLOOM, "ImportError: cannot import name 'x' from 'accelerate'"]})
    (found,) = imports.libraries(told, ["transformers"])
    assert found.state == "problem"
    assert "cannot import name 'x' from 'accelerate'" in found.seen
    assert "fgvr-kit[local]" in found.fix


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("ModuleNotFoundError: No module named 'timm.layers'", "fgvr-kit[local]"),
        ("OSError: libcudnn.so.9: cannot open shared object file: No such file", "torch torchvision"),
        ("ValueError: something else", "pip install --upgrade 'fgvr-kit[local]'"),
    ],
)
def test_each_error_has_its_fix(error: str, fix: str) -> None:
    (found,) = imports.libraries(said(open_clip={"errors": [error]}), ["open_clip"])
    assert fix in found.fix


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_import_that_crashes_does_not_take_doctor_with_it(packages: Packages) -> None:
    packages.whole()
    packages.module("torchvision", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    found = imports.pair(probe())
    assert found.state == "problem"
    assert "torchvision crashed (SIGSEGV)" in found.seen


def test_an_import_that_hangs_is_given_up(packages: Packages) -> None:
    packages.whole()
    packages.module("open_clip", "import time; time.sleep(600)")
    told = probe(seconds=3)
    assert imports.pair(told).state == "ok"
    (found,) = imports.libraries(told, ["open_clip"])
    assert "did not end within 3 s" in found.seen


def test_a_child_that_dies_at_its_very_end_has_said_all(packages: Packages) -> None:
    packages.whole()
    packages.module("open_clip", "import atexit, os; atexit.register(os._exit, 3)")
    told = probe()
    assert told.died is not None
    assert imports.pair(told).state == "ok"
    assert imports.libraries(told, ["open_clip"]) == []


def test_half_a_line_is_no_line() -> None:
    whole = b'fgvr-kit-doctor {"begun": "torch"}\n'
    assert child._lines(whole + b'fgvr-kit-doctor {"st') == ({"begun": "torch"},)


def test_an_import_that_leaves_python_is_told(packages: Packages) -> None:
    packages.whole()
    packages.module("torch", "raise SystemExit('no licence for this machine')")
    assert "no licence for this machine" in imports.pair(probe()).seen


def test_bitsandbytes_is_tried_on_a_gpu_and_its_error_told(packages: Packages) -> None:
    packages.whole()
    packages.module("torch", TORCH + WITH_GPU)
    packages.module("bitsandbytes", "raise RuntimeError('CUDA Setup failed despite GPU being available')")
    (found,) = imports.bitsandbytes(probe())
    assert (found.name, found.state) == ("bitsandbytes", "problem")
    assert "CUDA Setup failed" in found.seen


def test_noise_of_libraries_is_no_answer(packages: Packages) -> None:
    packages.whole()
    packages.module(
        "open_clip", "print('{\"step\": \"torch\"}'); import sys; print('harmless', file=sys.stderr)"
    )
    told = probe()
    assert [line["step"] for line in told.lines if "step" in line] == [
        "torch", "torchvision", "gpu", "bitsandbytes", "open_clip",
    ]  # fmt: skip


def test_the_current_folder_is_not_imported_from(tmp_path, packages: Packages, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    packages.whole()
    (tmp_path / "torch.py").write_text("raise RuntimeError('a script of the user')")
    monkeypatch.chdir(tmp_path)
    assert imports.pair(probe()).state == "ok"


def test_the_probe_itself_loads_nothing() -> None:
    code = (
        "import sys, fgvr_kit.doctor.probe\nheavy = ('torch', 'pydantic', 'numpy')\n"
        "sys.exit(str([m for m in heavy if m in sys.modules] or 0))"
    )
    assert python(code).stderr.strip() == "0"


@pytest.mark.slow
def test_what_is_installed_here_can_be_imported() -> None:
    told = child.run("probe", "torch", seconds=300)
    assert imports.pair(told).state == "ok"
    assert imports.libraries(told, ["open_clip"]) == []
    training = child.run("probe", "training", seconds=300)
    assert training.died is None
    assert imports.libraries(training, ["transformers", "peft"]) == []


@pytest.mark.gpu
@pytest.mark.skipif(not gpus(), reason="no NVIDIA GPU")
def test_on_a_gpu_torch_computes_and_bitsandbytes_packs() -> None:
    told = child.run("probe", "torch", seconds=300)
    facts = imports.step(told, "gpu")
    assert facts is not None
    assert (facts["available"], facts["told"], "errors" in facts) == (True, [], False)
    (found,) = imports.bitsandbytes(told)
    assert (found.state, "on this GPU" in found.seen) == ("ok", True)
