from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.backends.base import open_backend
from fgvr_kit.errors import PluginError, SettingsError
from fgvr_kit.settings import Settings

ROOT = Path(__file__).parents[2]


# --- naming a backend -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "kind", "code", "hint"),
    [
        ("", SettingsError, "no-backend", "--backend openai:MODEL"),
        ("  ", SettingsError, "no-backend", "under [extract] in fgvr.toml"),
        ("gpt-4o", SettingsError, "backend-spec", '"openai:gpt-4o-mini"'),
        ("openai:", SettingsError, "backend-spec", "BACKEND:MODEL"),
        (":gpt-4o", SettingsError, "backend-spec", "BACKEND:MODEL"),
        ("olama:qwen2.5vl:7b", PluginError, "unknown-backend", "did you mean 'ollama'?"),
    ],
)
def test_a_spec_that_names_nobody_says_how_to_write_it(
    spec: str, kind: type[Exception], code: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught:
        open_backend(spec, Settings(), tmp_path, key="extract.backend")
    assert isinstance(caught.value, SettingsError | PluginError)
    assert caught.value.code == code
    assert hint in caught.value.hint


def test_only_the_first_colon_parts_backend_and_model(tmp_path: Path) -> None:
    backend = open_backend(" Ollama:qwen2.5vl:7b ", Settings(), tmp_path, key="extract.backend")
    assert (backend.spec, backend.model) == ("ollama:qwen2.5vl:7b", "qwen2.5vl:7b")
