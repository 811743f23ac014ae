"""fgvr-kit settings"""

from __future__ import annotations

from typing import Any

from fgvr_kit.cli.opened import opened
from fgvr_kit.cli.options import ROOT, JsonOption, SetOption, VerboseOption, WorkspaceOption, note_command


def command(
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = 0,
    set_: SetOption = None,
) -> None:
    """Every setting in force: its value, where the value comes from, what it means.

    Precedence: --set, then FGVR_SECTION__KEY, then fgvr.toml, then the default.
    """
    from fgvr_kit.settings import FILE_NAME, resolve, sections

    note_command(workspace, json, verbose, set_)
    with opened("settings") as (out, opened_):
        settings, origins = resolve(opened_.root / FILE_NAME, ROOT.overrides)
        rows: list[dict[str, Any]] = []
        for name, section in sections(settings):
            for key, field in type(section).model_fields.items():
                full = f"{name}.{key}"
                rows.append(
                    {
                        "setting": full,
                        "value": getattr(section, key),
                        "from": origins.get(full, "default"),
                        "about": " ".join((field.description or "").split()),
                    }
                )
        out.data["settings"] = rows
        out.table(
            "settings",
            ("setting", "value", "from", "about"),
            [(r["setting"], repr(r["value"]), r["from"], r["about"]) for r in rows],
        )
