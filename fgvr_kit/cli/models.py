"""fgvr-kit models"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgvr_kit.cli.options import JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command

if TYPE_CHECKING:
    from fgvr_kit.cli.output import Output
    from fgvr_kit.families import Family

_STORED = "nf4, int8 or none (text model only; vision tower, connector and lm_head stay whole)"


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME_OR_PATH]",
            show_default=False,
            help="A family, a hub id or a folder: can it be trained here? Only its config.json is read.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Vision-language models that can be trained here: what is known of each family, and whether yours is one.

    Example: fgvr-kit models Qwen/Qwen2.5-VL-7B-Instruct
    """
    from fgvr_kit.cli.output import Output
    from fgvr_kit.families import NOT_DRIVEN, families

    note_command(workspace, json, verbose, set_)
    with Output("models") as out:
        known = families()
        if name is not None:
            _tell_one(out, name, known)
            return
        out.data["families"] = [_facts(one, family) for one, family in known.items()]
        out.data["not_driven"] = dict(NOT_DRIVEN)
        out.table(
            "families",
            ("family", "model types", "tokens a picture", "such as"),
            [
                (n, ", ".join(f.model_types), f.image_tokens, ", ".join(f.examples[:1]))
                for n, f in known.items()
            ],
        )
        out.table("cannot be driven", ("model type", "why"), list(NOT_DRIVEN.items()))
        out.next += ["fgvr-kit models FAMILY", "fgvr-kit train --model HUB_ID"]


def _tell_one(out: Output, name: str, known: dict[str, Family]) -> None:
    from fgvr_kit import plugins
    from fgvr_kit.families import known_families
    from fgvr_kit.families.weights.finding import config_in, family_of

    types = {plugins.normalise(kind): family for kind, family in known_families().items()}
    family = types.get(plugins.normalise(name))
    is_checkpoint = family is None
    if family is None:
        family = family_of(config_in(name), name)
    title = next(n for n, one in known.items() if one is family)
    out.data |= {"name": name, "usable": True, "family": _facts(title, family)}
    if is_checkpoint:
        out.say(f"{name} can be used: it is of the family {title}")
        out.next.append(f"fgvr-kit train --model {name}")
    out.table(title, None, [(word, text) for word, text in _rows(family) if text])


def _facts(name: str, family: Family) -> dict[str, Any]:
    facts = asdict(family)
    del facts["by_parts"], facts["sees"]
    return {"name": name, **facts, "embedding": family.embedding, "quantize": ["nf4", "int8", "none"]}


def _rows(family: Family) -> list[tuple[str, str]]:
    processor = ", ".join(f"{name} = {value}" for name, value in family.processor_kwargs.items())
    return [
        ("model types", ", ".join(family.model_types)),
        ("such as", ", ".join(family.examples)),
        ("tokens a picture", family.image_tokens),
        ("embedding", family.embedding),
        ("vision tower", f"{family.vision}: never trained"),
        ("connector", ", ".join(family.connector)),
        ("LoRA targets", family.lora_targets),
        ("trained whole", ", ".join(family.trained_whole)),
        ("quantize", _STORED),
        ("positions", "one number a token" if family.plain_positions else "time, height and width (M-RoPE)"),
        ("attention", "the tokens of an image see each other" if family.whole_images else "causal"),
        ("processor", processor),
        ("notes", family.notes),
        ("limits", family.limits),
    ]
