from __future__ import annotations

import builtins
from typing import Any

import pytest

from fgvr_kit import plugins
from fgvr_kit.errors import MissingExtra, PluginError


def test_the_rooms_list_their_files() -> None:
    assert plugins.names("backends") == ["clip", "ollama", "openai", "replay", "transformers"]
    assert plugins.names("recipes") == ["finedefics"]
    assert {"idefics2", "llava", "smolvlm", "qwen2_5_vl"} <= set(plugins.names("families"))


def test_names_are_normalised() -> None:
    assert plugins.load("families", "Qwen2.5-VL").__name__ == "fgvr_kit.families.qwen2_5_vl"


def test_an_unknown_name_offers_the_closest() -> None:
    with pytest.raises(PluginError) as caught:
        plugins.load("backends", "olama")
    assert (caught.value.code, caught.value.hint) == ("unknown-backend", "did you mean 'ollama'?")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_open_clip(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "open_clip":
            raise ModuleNotFoundError("No module named 'open_clip'", name="open_clip")
        return real(name, *args, **kwargs)

    monkeypatch.setattr("importlib.import_module", lambda name: without_open_clip(name))
    with pytest.raises(MissingExtra) as caught:
        plugins.require("open_clip", "comparing images")
    assert (
        caught.value.message == "comparing images needs the package 'open_clip_torch', which is not installed"
    )
    assert caught.value.hint == "pip install 'fgvr-kit[local]'"
    assert caught.value.exit_code == 2


def test_a_missing_module_of_our_own_stays_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        if name == "fgvr_kit.backends.openai":
            raise ModuleNotFoundError("No module named 'fgvr_kit.gone'", name="fgvr_kit.gone")
        return real(name)

    real = plugins.importlib.import_module
    monkeypatch.setattr(plugins.importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="gone"):
        plugins.load("backends", "openai")
