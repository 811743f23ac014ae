from __future__ import annotations

from dataclasses import dataclass

import pytest

from fgvr_kit import surroundings
from fgvr_kit.cli.offers import Offer, backends_here, domain_here
from fgvr_kit.pipeline.guess import Guess
from fgvr_kit.settings import load as load_settings
from fgvr_kit.surroundings import Gpu
from fgvr_kit.templates import load

GIB = 2**30


@dataclass
class Machine:
    """What the machine of the test offers; `hosts`: where an Ollama was looked for."""

    models: list[str] | None = None
    gpus: tuple[Gpu, ...] = ()
    hosts: tuple[str, ...] = ()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()

    def ollama_models(host: str, seconds: float = 1.0) -> list[str] | None:
        found.hosts += (host,)
        return found.models

    monkeypatch.setattr(surroundings, "ollama_models", ollama_models)
    monkeypatch.setattr(surroundings, "gpus", lambda: list(found.gpus))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MY_KEY"):
        monkeypatch.delenv(name, raising=False)
    return found


def offer(*overrides: str) -> Offer:
    return backends_here(load_settings(None, overrides, environ={}))


def test_where_nobody_could_look_the_way_out_is_told_and_nothing_is_asked(machine: Machine) -> None:
    found = offer()
    assert not found.is_asked
    assert found.choices == ()
    assert "ollama pull" in " ".join(found.remarks)
    assert "fgvr-kit attributes --backend" in " ".join(found.remarks)


def test_models_of_ollama_that_see_are_choices_and_the_first_is_what_enter_takes(machine: Machine) -> None:
    machine.models = ["gemma3:4b", "llama3.1:8b", "llava:7b", "qwen2.5vl:7b", "qwen3:8b"]
    found = offer('ollama.host="http://there:1"')
    assert found.choices == ("ollama:gemma3:4b", "ollama:llava:7b", "ollama:qwen2.5vl:7b")
    assert found.default == "ollama:gemma3:4b"
    assert "3 of 5" in found.remarks[0]
    assert machine.hosts == ("http://there:1",)


def test_an_ollama_without_eyes_is_told_what_to_pull(machine: Machine) -> None:
    machine.models = ["llama3.1:8b"]
    found = offer()
    assert (found.default, found.choices, found.is_asked) == ("", (), True)
    assert "ollama pull" in found.remarks[1]


@pytest.mark.parametrize(
    ("memory", "choices"),
    [
        (24 * GIB, ("transformers:Qwen/Qwen2.5-VL-7B-Instruct",)),
        (8 * GIB, ("transformers:Qwen/Qwen2.5-VL-3B-Instruct",)),
        (4 * GIB, ()),
        (0, ()),
    ],
)
def test_a_gpu_is_offered_a_model_that_fits_and_enter_downloads_nothing(
    machine: Machine, memory: int, choices: tuple[str, ...]
) -> None:
    machine.gpus = (Gpu("small", 2 * GIB, 0), Gpu("large", memory, 0))
    found = offer()
    assert found.choices == choices
    assert found.default == ""
    assert found.is_asked == bool(choices)


@pytest.mark.parametrize(
    ("environ", "override"),
    [
        ({"OPENAI_API_KEY": "sk-secret-secret"}, 'openai.api_key_env="OPENAI_API_KEY"'),
        ({"MY_KEY": "sk-secret-secret"}, 'openai.api_key_env="MY_KEY"'),
        ({"OPENAI_BASE_URL": "http://there/v1"}, 'openai.api_key_env="MY_KEY"'),
        ({}, 'openai.base_url="http://there/v1"'),
    ],
)
def test_what_is_paid_is_named_and_never_what_enter_takes(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], override: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = offer(override)
    assert found.is_asked
    assert (found.default, found.choices) == ("", ())
    assert "openai:MODEL" in found.remarks[0]
    assert "secret" not in found.remarks[0]


@pytest.mark.parametrize(
    ("key", "template", "expected"),
    [
        ("domain.superclass", "insects-pests", "beetle"),
        ("domain.superclass", None, "beetle"),
        ("domain.superclass", "birds", "bird"),
        ("domain.unit", "insects-pests", "species"),
        ("domain.unit", "vehicles", "make and model"),
        ("domain.notes", None, ""),
    ],
)
def test_a_guess_is_offered_unless_another_template_was_chosen(
    key: str, template: str | None, expected: str
) -> None:
    guess = Guess("beetle", "", "insects-pests", "why")
    assert domain_here(key, guess, load(template) if template else None).default == expected


def test_the_notes_of_a_template_are_offered() -> None:
    template = load("birds")
    assert domain_here("domain.notes", None, template).default == template.said("domain.notes")
