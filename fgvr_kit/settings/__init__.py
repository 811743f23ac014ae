"""fgvr.toml: every option described once, under its field.

Precedence: --set section.key=value, then FGVR_SECTION__KEY, then fgvr.toml, then the default.
A plug-in owns a section of its own name ([openai], [finedefics]): its module has a class `Settings`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fgvr_kit import plugins
from fgvr_kit.errors import SettingsError
from fgvr_kit.settings.schema import (
    CheckSettings,
    DatasetSettings,
    DescribeSettings,
    DiscoverSettings,
    DomainSettings,
    EvaluateSettings,
    ExtractSettings,
    MineSettings,
    Settings,
)
from fgvr_kit.settings.section import Section

__all__ = [
    "FILE_NAME", "HUB", "CheckSettings", "DatasetSettings", "DescribeSettings", "DiscoverSettings", "DomainSettings",
    "EvaluateSettings", "ExtractSettings", "MineSettings", "Section", "Settings", "chosen", "describe_sections", "load",
    "plugin_section", "resolve", "sections",
]  # fmt: skip

FILE_NAME = "fgvr.toml"
HUB = "hf:"  # how a dataset path on the Hugging Face hub begins
_PLUGIN_ROOMS: tuple[plugins.Room, ...] = ("backends", "recipes")

SectionT = TypeVar("SectionT", bound=Section)


def load(
    file: Path | None, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings in force. Raises SettingsError naming the key, where it was set and the closest known key."""
    return resolve(file, overrides, environ)[0]


def resolve(
    file: Path | None, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> tuple[Settings, dict[str, str]]:
    """The settings in force, and for each "section.key" that is not a default, where its value came from."""
    merged: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    for origin, key, value in _values(file, overrides, os.environ if environ is None else environ):
        section, _, name = key.partition(".")
        merged.setdefault(section, {})[name] = value
        origins[key] = origin
    own = {name: values for name, values in merged.items() if name in _own_sections()}
    foreign = {name: values for name, values in merged.items() if name not in own}
    for name in foreign:
        _check_plugin_section(name, foreign[name], origins)
    try:
        return Settings.model_validate({**own, "plugins": foreign}), origins
    except ValidationError as error:
        raise _explain(error, Settings, origins) from error


def chosen(overrides: Sequence[str]) -> dict[str, Any]:
    """ "section.key" -> value of `--set section.key=value` texts. Raises SettingsError for one of another form."""
    return {key: value for _, key, value in _values(None, overrides, {})}


def plugin_section(settings: Settings, name: str, model: type[SectionT]) -> SectionT:
    """The section [name] of a plug-in, validated by its own model."""
    try:
        return model.model_validate(settings.plugins.get(name, {}))
    except ValidationError as error:
        raise _explain(error, model, {}, prefix=name) from error


def describe_sections() -> list[tuple[str, type[Section]]]:
    """(section name, model) of every built-in section, in the order of fgvr.toml."""
    return [
        (name, field.annotation)
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    ]


def sections(settings: Settings) -> list[tuple[str, Section]]:
    """(name, section in force) of every section: the built-in ones, then those of the chosen plug-ins."""
    own = [(name, getattr(settings, name)) for name, _ in describe_sections()]
    foreign = []
    for room in _PLUGIN_ROOMS:
        for name in plugins.names(room):
            if name in settings.plugins or (room == "recipes" and name == settings.train.recipe):
                model = plugins.load(room, name).Settings
                foreign.append((name, plugin_section(settings, name, model)))
    return own + foreign


def _own_sections() -> set[str]:
    return {name for name, _ in describe_sections()}


def _values(
    file: Path | None, overrides: Sequence[str], environ: Mapping[str, str]
) -> Iterator[tuple[str, str, Any]]:
    """(origin, "section.key", value), weakest first."""
    if file is not None and file.is_file():
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{FILE_NAME} is not valid TOML: {error}",
                code="settings-toml",
                where=str(file),
                hint='text values need quotes, lists need brackets: superclass = "euro coin"',
            ) from error
        for section, values in document.items():
            if not isinstance(values, dict):
                raise SettingsError(
                    f"{section!r} stands outside any section of {FILE_NAME}",
                    code="settings-unknown",
                    where=str(file),
                    hint=f"put it below a line such as [{_closest_section_of(section)}]",
                )
            for key, value in values.items():
                yield file.name, f"{section}.{key}", value
    for name, text in sorted(environ.items()):
        if name.startswith("FGVR_") and "__" in name:
            section, _, key = name.removeprefix("FGVR_").lower().partition("__")
            yield f"environment {name}", f"{section}.{key}", _parse(text)
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals or "." not in key:
            raise SettingsError(
                f"--set {item!r} is not of the form section.key=value",
                code="settings-set",
                hint="for example --set domain.superclass='euro coin'",
            )
        yield "--set", key.strip(), _parse(text)


def _parse(text: str) -> Any:
    """A TOML value if it is one ("3", "true", "[1, 2]"), otherwise the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _plugin_room(name: str) -> plugins.Room | None:
    return next((room for room in _PLUGIN_ROOMS if name in plugins.names(room)), None)


def _check_plugin_section(name: str, values: dict[str, Any], origins: dict[str, str]) -> None:
    room = _plugin_room(name)
    if room is None:
        known = sorted(_own_sections() | {n for r in _PLUGIN_ROOMS for n in plugins.names(r)})
        close = difflib.get_close_matches(name, known, n=1)
        raise SettingsError(
            f"there is no section [{name}]",
            code="settings-unknown",
            where=next((o for key, o in origins.items() if key.startswith(f"{name}.")), None),
            hint=f"did you mean [{close[0]}]?" if close else f"sections: {', '.join(known)}",
        )
    model = getattr(plugins.load(room, name), "Settings", None)
    if model is None:
        raise SettingsError(
            f"{name} has no settings of its own", code="settings-unknown", hint=f"remove the section [{name}]"
        )
    try:
        model.model_validate(values)
    except ValidationError as error:
        raise _explain(error, model, origins, prefix=name) from error


def _closest_section_of(key: str) -> str:
    return next((name for name, model in describe_sections() if key in model.model_fields), "dataset")


def _explain(
    error: ValidationError, model: type[BaseModel], origins: Mapping[str, str], prefix: str = ""
) -> SettingsError:
    """The first problem of a pydantic error, in the user's words."""
    first = error.errors(include_url=False)[0]
    parts = [str(part) for part in first["loc"]]
    key = ".".join([prefix, *parts] if prefix else parts)
    where = origins.get(".".join(key.split(".")[:2]))
    if first["type"] == "extra_forbidden":
        fields = _fields_at(model, parts[:-1])
        close = difflib.get_close_matches(parts[-1], fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(fields)}"
        return SettingsError(f"unknown setting {key!r}", code="settings-unknown", where=where, hint=hint)
    return SettingsError(
        f"{key} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}",
        code="settings-value",
        where=where,
        hint="fgvr-kit settings shows every setting with its meaning",
    )


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    return [name for name in model.model_fields if name != "plugins"]
