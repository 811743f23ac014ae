from __future__ import annotations

from pathlib import Path

import pytest

from fgvr_kit.errors import SettingsError
from fgvr_kit.settings import resolve


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "fgvr.toml"
    file.write_text('[domain]\nsuperclass = "from file"\nunit = "from file"\nnotes = "from file"\n')
    settings, origins = resolve(
        file,
        ["domain.superclass=from flag"],
        {
            "FGVR_DOMAIN__SUPERCLASS": "from env",
            "FGVR_DOMAIN__UNIT": "from env",
            "FGVR_CACHE": "x",
            "PATH": "x",
        },
    )
    assert settings.domain.model_dump(exclude_defaults=True) == {
        "superclass": "from flag",
        "unit": "from env",
        "notes": "from file",
    }
    assert origins == {
        "domain.superclass": "--set",
        "domain.unit": "environment FGVR_DOMAIN__UNIT",
        "domain.notes": "fgvr.toml",
    }
    assert settings.mine.n_negatives == 3


def test_a_plug_in_owns_its_section() -> None:
    settings, _ = resolve(None, ["finedefics.epochs=3"], {})
    assert settings.plugins == {"finedefics": {"epochs": 3}}


@pytest.mark.parametrize(
    ("override", "code", "hint"),
    [
        ("domain.supperclass=x", "settings-unknown", "did you mean 'superclass'?"),
        ("domane.superclass=x", "settings-unknown", "did you mean [domain]?"),
        ("finedefics.epoch=3", "settings-unknown", "did you mean 'epochs'?"),
        ("finedefics.epochs=-1", "settings-value", "fgvr-kit settings shows every setting with its meaning"),
        ("mine.n_options=1", "settings-value", "fgvr-kit settings shows every setting with its meaning"),
        ("extract.ask=sometimes", "settings-value", "fgvr-kit settings shows every setting with its meaning"),
        ("nonsense", "settings-set", "for example --set domain.superclass='euro coin'"),
    ],
)
def test_a_wrong_setting_is_named_with_the_way_out(override: str, code: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(None, [override], {})
    assert (caught.value.code, caught.value.hint, caught.value.exit_code) == (code, hint, 2)


def test_where_a_wrong_value_was_set_is_told(tmp_path: Path) -> None:
    file = tmp_path / "fgvr.toml"
    file.write_text("[mine]\nn_negatives = 0\n")
    with pytest.raises(SettingsError) as caught:
        resolve(file, [], {})
    assert caught.value.where == "fgvr.toml"
    assert "mine.n_negatives = 0" in caught.value.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[domain\n", "settings-toml"),
        ("superclass = 'x'\n", "settings-unknown"),
        ("[domain]\nunit = x y\n", "settings-toml"),
    ],
)
def test_a_broken_file_is_a_clear_error(tmp_path: Path, text: str, code: str) -> None:
    file = tmp_path / "fgvr.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        resolve(file, [], {})
    assert caught.value.code == code
    assert caught.value.where == str(file)
