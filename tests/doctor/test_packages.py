from __future__ import annotations

import pytest

from fgvr_kit import __version__
from fgvr_kit.doctor import packages as looked_at
from fgvr_kit.doctor.packages import fits, pair_apart, requirements
from tests.doctor.conftest import Packages

US = ["plain>=1.2", 'torch>=2.11; extra == "local"', 'peft>=0.19; extra == "local"', 'trl>=1; extra == "rl"']
EXTRAS = "Provides-Extra: local\nProvides-Extra: rl\nProvides-Extra: dev\n"


@pytest.mark.parametrize(
    ("version", "wanted", "does"),
    [
        ("2.11.0", ">=2.11", True),
        ("2.11.0+cu128", ">=2.11", True),
        ("2.9", ">=2.11", False),
        ("2.15.0", "==2.15.0", True),
        ("2.16.0", "==2.15.0", False),
        ("2.15", "==2.15.0", True),
        ("0.24.1", "<0.24.0,>=0.23.1", False),
        ("0.23.3", "<0.24.0,>=0.23.1", True),
        ("1.0", "!=1.0", False),
        ("1.0", "", True),
        ("3.13.1", ">=3.11", True),
        ("3.9.1", ">=3.11", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, wanted: str, does: bool) -> None:
    assert fits(version, wanted) is does


def test_requirements_are_those_of_one_extra(packages: Packages) -> None:
    old_style = ["torch (>=2.14.0)", "pillow (!=8.3.*,>=5.3.0)", "scipy ; extra == 'scipy'"]
    packages.metadata("something", "1.0", [*old_style, "bare", 'win; sys_platform == "win32"'])
    assert requirements("something") == {"torch": ">=2.14.0", "pillow": "!=8.3.*,>=5.3.0", "bare": ""}
    assert requirements("something", "scipy") == {"scipy": ""}
    assert requirements("nowhere-to-be-found") == {}


def test_without_local_it_is_a_choice_that_limits(packages: Packages) -> None:
    packages.metadata("fgvr-kit", __version__, ["plain>=1.2", 'not-there>=1; extra == "local"'], EXTRAS)
    found = looked_at.local()
    assert (found.name, found.state) == ("local", "warning")
    assert "fgvr-kit[local]" in found.fix


@pytest.mark.parametrize(
    ("installed", "told"),
    [
        ({"torch": "2.15.0"}, "peft is missing"),
        ({"torch": "2.9.1", "peft": "0.20"}, "torch 2.9.1 is installed"),
    ],
)
def test_half_of_local_or_an_old_one_is_a_problem(
    packages: Packages, installed: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages.metadata("fgvr-kit", __version__, US, EXTRAS)
    monkeypatch.setattr(looked_at, "version", installed.get)
    found = looked_at.local()
    assert found.state == "problem"
    assert told in found.seen


def test_an_old_package_of_the_core_is_a_problem(packages: Packages) -> None:
    packages.metadata("fgvr-kit", __version__, US, EXTRAS)
    packages.metadata("plain", "1.1")
    found = looked_at.core()
    assert (found.state, found.seen) == ("problem", "plain 1.1 is installed, and >=1.2 is needed")


def test_an_old_python_is_a_problem(packages: Packages) -> None:
    packages.metadata("fgvr-kit", __version__, US, "Requires-Python: >=99.1\n")
    assert looked_at.python().state == "problem"


def test_a_checkout_that_moved_on_since_it_was_installed_is_told(packages: Packages) -> None:
    packages.metadata("fgvr-kit", "0.0.1", US, EXTRAS)
    assert looked_at.ourselves().state == "warning"


def test_other_extras_are_listed_and_never_a_problem(packages: Packages) -> None:
    packages.metadata("fgvr-kit", __version__, US, EXTRAS)
    packages.metadata("trl", "1.10.1")
    (found,) = looked_at.extras()
    assert (found.state, found.seen) == ("ok", "[rl] installed")


def test_what_is_installed_here_is_in_order() -> None:
    assert {diagnosis.name: diagnosis.state for diagnosis in looked_at.examine()} == {
        "python": "ok", "fgvr-kit": "ok", "core": "ok", "local": "ok", "extras": "ok",
    }  # fmt: skip


def test_torchvision_tells_which_torch_it_was_built_for(packages: Packages) -> None:
    packages.metadata("torch", "2.15.0+cu132")
    packages.metadata("torchvision", "0.30.0", ["torch==2.15.0"])
    assert pair_apart() is None


def test_a_torchvision_for_another_torch_is_seen_without_importing(packages: Packages) -> None:
    packages.metadata("torch", "2.16.0")
    packages.metadata("torchvision", "0.30.0", ["torch==2.15.0"])
    assert "torchvision 0.30.0 needs torch ==2.15.0" in (pair_apart() or "")
