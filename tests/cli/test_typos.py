"""A slip of the finger is answered with the word that was meant, and exit 2."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Shell


@pytest.fixture(autouse=True)
def workspace(shell: Shell) -> None:
    (shell.cwd / "fgvr.toml").write_text('[dataset]\npath = "pests"\n')


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trian", "'train'"),
        ("atributes", "'attributes'"),
        ("doctr", "'doctor'"),
        ("attributes extrct", "'extract'"),
        ("replies exprt", "'export'"),
    ],
)
def test_commands(shell: Shell, typed: str, meant: str) -> None:
    result = shell(*typed.split())
    assert result.code == 2
    assert f"Did you mean {meant}?" in result.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mine --modle x", "--model"),
        ("train --recipee x", "--recipe"),
        ("attributes extract --bakend x", "--backend"),
        ("doctor --modles", "--models"),
        ("--jsno status", "--json"),
    ],
)
def test_options(shell: Shell, typed: str, meant: str) -> None:
    result = shell(*typed.split())
    assert result.code == 2
    assert meant in result.err.partition("No such option")[2]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mine --set domane.unit=x", "did you mean [domain]?"),
        ("mine --set domain.unti=x", "did you mean 'unit'?"),
        ("mine --set ollamma.host=x", "did you mean [ollama]?"),
        ("mine --set ollama.hots=x", "did you mean 'host'?"),
        ("mine --set finedefics.epoch=1", "did you mean 'epochs'?"),
        ("train --recipe finedefix", "did you mean 'finedefics'?"),
        ("schema trian", "did you mean 'train'?"),
    ],
)
def test_names_of_ours(shell: Shell, typed: str, meant: str) -> None:
    result = shell(*typed.split(), "--json")
    assert result.code == 2
    assert result.json["error"]["hint"] == meant


def test_variables_of_the_environment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGVR_TRIAN__MODEL", "x")
    assert shell("mine", "--json").json["error"]["hint"] == "did you mean [train]?"
