"""fgvr-kit schema"""

from __future__ import annotations

import difflib
import inspect
import json as json_module
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from fgvr_kit.cli import complete
from fgvr_kit.cli.options import JsonOption, VerboseOption, note_command
from fgvr_kit.cli.output import Output, schema_name
from fgvr_kit.errors import UsageError

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Command -> the key under which it shows the steps of the walk.
_WALKS = {"status": "steps", "demo": "walk"}


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            show_default=False,
            autocompletion=complete.commands,
            help="Whose; without one: which commands there are.",
        ),
    ] = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
) -> None:
    """What a command takes and what its --json prints, as JSON Schema: for programs and agents.

    The schema has two parts: options (a flag's name without the dashes) and output (the one document that --json
    prints, where the command succeeded or failed).

    Example: fgvr-kit schema attributes extract
    """
    note_command(None, json, verbose, None)
    with Output("schema") as out:
        known = commands()
        if not words:
            rows = [(" ".join(key), schema_name(key), about(function)) for key, function in known.items()]
            out.data["commands"] = [
                dict(zip(("command", "schema", "about"), row, strict=True)) for row in rows
            ]
            out.table("commands", ("command", "schema", "about"), rows)
            out.next.append("fgvr-kit schema COMMAND")
            return
        key = _known(tuple(words), known)
        out.data |= schema_of(key, known[key])
        if not out.is_json:
            sys.stdout.write(json_module.dumps(out.data, ensure_ascii=False, indent=2) + "\n")


def commands() -> dict[tuple[str, ...], Callable[..., None]]:
    """Words -> function of every command that can be called, in the order of the help."""
    from fgvr_kit.cli.app import app

    root: Any = typer.main.get_command(app)
    order = {name: place for place, name in enumerate(root.list_commands(None))}
    found = dict(_walk(app, ()))
    return {key: found[key] for key in sorted(found, key=lambda key: order.get(key[0], len(order)))}


def _walk(app: typer.Typer, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Callable[..., None]]]:
    for single in app.registered_commands:
        assert single.callback is not None
        yield (*words, single.name or single.callback.__name__), single.callback
    for group in app.registered_groups:
        assert group.typer_instance is not None
        assert group.name is not None
        inner = group.typer_instance
        above = inner.registered_callback
        if inner.info.invoke_without_command is True and above is not None and above.callback is not None:
            yield (*words, group.name), above.callback
        yield from _walk(inner, (*words, group.name))


def _known(words: tuple[str, ...], known: Mapping[tuple[str, ...], Callable[..., None]]) -> tuple[str, ...]:
    wanted = tuple(word for whole in words for word in whole.split())  # 'attributes extract' in quotes too
    if wanted in known:
        return wanted
    texts = [" ".join(key) for key in known]
    close = difflib.get_close_matches(" ".join(wanted), texts, n=1)
    raise UsageError(
        f"there is no command {' '.join(wanted)!r}",
        code="unknown-command",
        hint=f"did you mean {close[0]!r}?" if close else f"commands: {', '.join(texts)}",
    )


def about(function: Callable[..., None]) -> str:
    return (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")


def schema_of(words: tuple[str, ...], function: Callable[..., None]) -> dict[str, Any]:
    """A JSON Schema with the properties `options` and `output`."""
    output, definitions = _output(words)
    return {
        "$schema": _DIALECT,
        "title": f"fgvr-kit {' '.join(words)}",
        "description": about(function),
        "type": "object",
        "properties": {"options": _options(function), "output": output},
        "$defs": definitions,
    }


# --- what it takes ------------------------------------------------------------------------------------------


def _options(function: Callable[..., None]) -> dict[str, Any]:
    """flags: how it is written; none for an argument, whose position counts."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, (kind, info, default) in _parameters(function).items():
        shape = _shape(kind)
        shape |= {"description": info.help or ""}
        for word, bound in (("minimum", info.min), ("maximum", info.max)):
            if bound is not None:
                shape[word] = bound
        if isinstance(info, ArgumentInfo):
            key = name
            shape["position"] = sum("position" in other for other in properties.values())
            if default is inspect.Parameter.empty:
                required.append(key)
        else:
            shape["flags"] = _flags(name, kind, info)
            key = shape["flags"][0].lstrip("-")
            if default is not None:
                shape["default"] = default
        properties[key] = shape
    return {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False,
    }  # fmt: skip


def _parameters(
    function: Callable[..., None],
) -> dict[str, tuple[Any, ArgumentInfo | OptionInfo, Any]]:
    """Name -> (type, Typer's own description, default) of every argument and option that is shown."""
    hints = get_type_hints(function, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *described = get_args(hints[name]) if get_origin(hints[name]) is Annotated else (hints[name],)
        info = next((d for d in described if isinstance(d, ArgumentInfo | OptionInfo)), None)
        if info is not None and not info.hidden:
            found[name] = (kind, info, parameter.default)
    return found


def _flags(name: str, kind: Any, info: OptionInfo) -> list[str]:
    """The long one first."""
    # Inside Annotated, Typer takes the first flag for a default and sorts that out later.
    written = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
    declared = [part for text in written for part in text.split("/") if part.startswith("-")]
    if not declared:
        long = f"--{name.strip('_').replace('_', '-')}"
        declared = [long, f"--no-{long[2:]}"] if kind is bool else [long]
    return sorted(declared, key=lambda flag: not flag.startswith("--"))


def _shape(kind: Any) -> dict[str, Any]:
    """JSON Schema of a parameter's type; that it may be left out is told by `required`, not by null."""
    from pydantic import TypeAdapter

    shape: dict[str, Any] = TypeAdapter(kind).json_schema()
    kinds = [one for one in shape.pop("anyOf", []) if one != {"type": "null"}]
    return {**shape, **kinds[0]} if kinds else shape


# --- what it prints -----------------------------------------------------------------------------------------


def _output(words: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the envelope, the definitions that it refers to)."""
    from fgvr_kit.types import Notice

    data, definitions = _described(_data_of(words))
    warnings, of_notice = _described({"warnings": list[Notice]})
    done = {
        "schema": {"const": schema_name(words)},
        "ok": {"const": True},
        "data": data,
        "warnings": warnings["properties"]["warnings"],
        "next": {"type": "array", "items": {"type": "string"}, "description": "commands that make sense now"},
    }
    text_or_null = {"type": ["string", "null"]}
    error = {"code": {"type": "string"}, "message": {"type": "string"}, "where": text_or_null, "why": text_or_null,
             "hint": {"type": "string"}}  # fmt: skip
    failed = {
        "schema": {"const": schema_name(words)},
        "ok": {"const": False},
        "error": _closed(error),
    }
    return {"oneOf": [_closed(done), _closed(failed)]}, definitions | of_notice


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _described(kinds: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(an object whose keys may be there, of these types; definitions)."""
    from pydantic import TypeAdapter

    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for name, kind in kinds.items():
        shape = TypeAdapter(kind).json_schema(mode="serialization")
        definitions |= shape.pop("$defs", {})
        properties[name] = shape
    if "Summary" in definitions:  # its notices are printed as warnings
        del definitions["Summary"]["properties"]["notices"]
    return {"type": "object", "properties": properties}, definitions


def _data_of(words: tuple[str, ...]) -> dict[str, Any]:
    """Key -> type of what stands under "data"; every key may be missing. New ones may come, none is renamed."""
    from fgvr_kit.cli import ablate, bench, training
    from fgvr_kit.dataset.licences import Attribution
    from fgvr_kit.doctor.diagnosis import Diagnosis
    from fgvr_kit.pipeline.explain import Explained
    from fgvr_kit.pipeline.failed import Failed, Group
    from fgvr_kit.pipeline.planted import Fault
    from fgvr_kit.pipeline.quality import Quality
    from fgvr_kit.pipeline.quality.kept import Change
    from fgvr_kit.rehearsal.compare import Compared
    from fgvr_kit.rehearsal.listed import Listed
    from fgvr_kit.rehearsal.sent import Wording
    from fgvr_kit.types import Finding, Score, Skipped, Summary

    summaries: dict[str, Any] = {"steps": list[Summary]}
    changes: dict[str, Any] = {"changes": list[Change], "stale": list[str], "dry_run": bool}
    known: dict[str, dict[str, Any]] = {
        "check": {
            **summaries,
            "failed": dict[str, int],
            "figures": dict[str, dict[str, Any]],
            "findings": list[Finding],
            "kinds": dict[str, str],
            "page": str,
        },
        "train": {**summaries, **training.types_told()},
        "ablate": ablate.types_told(),
        "bench toy": bench.types_told(),
        "eval": {**summaries, "scores": list[Score], "tuned": str},
        "demo": {**summaries, "scores": list[Score], "notes": list[str]},
        "status": {
            "workspace": str | None,
            "dataset": str,
            "replies": int,
            "skipped": list[Skipped],
            "licences": list[Attribution],
        },
        "explain": {**get_type_hints(Explained)},
        "errors": {"errors": list[Failed], "groups": list[Group], "outdated": int},
        "attributes review": {"url": str, "images": int, "attributes": int},
        "attributes report": {**get_type_hints(Quality), "page": str},
        **{f"attributes {verb}": changes for verb in ("keep", "drop", "merge")},
        "settings": {"settings": list[dict[str, Any]]},
        "replies export": {"replies": int, "file": str},
        "prompts list": {"prompts": list[Listed]},
        "prompts show": {
            "name": str,
            "path": str,
            "from": str,
            "hash": str,
            "image": str | None,
            "attribute": str | None,
            "backend": str | None,
            "system": str,
            "user": str,
            "pictures": list[tuple[int, int]],
            "tokens": dict[str, float],
            "raw": str,
        },
        "prompts eject": {"files": list[str], "makes stale": list[str]},
        "prompts diff": {"old": str, "new": str, "diff": list[str], "wordings": list[Wording]},
        "prompts lint": {"faults": list[Fault]},
        "prompts compare": {**get_type_hints(Compared)},
        "doctor": {"diagnoses": list[Diagnosis], "problems": int, "warnings": int},
        "schema": {"commands": list[dict[str, str]]},
    }
    name = " ".join(words)
    if name in _WALKS:
        from fgvr_kit.status import Step

        known[name][_WALKS[name]] = list[Step]
    return known.get(name, summaries)
