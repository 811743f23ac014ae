"""What stands already where `init` is to make a workspace: fgvr.toml, and what an earlier `init` has stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgvr_kit import settings as settings_module
from fgvr_kit.errors import WorkspaceError
from fgvr_kit.pipeline.init.sides import Alike
from fgvr_kit.settings import FILE_NAME, HUB, Settings
from fgvr_kit.store import Store
from fgvr_kit.types import Notice, ScannedImage, Side
from fgvr_kit.workspace import place_of

_DRAWN_BY = {"dataset.test": "--test ", "dataset.val": "--val ", "dataset.seed": "--set dataset.seed="}
"""Settings that the draw of a split hangs on, and how they are given."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What an earlier `init` knows: images by path, hashes that were compared, near-duplicates, sides, what is
    set aside, and the hashes of the images in use. Sides and use are forgotten for another draw (resplit)."""

    known: Mapping[str, ScannedImage]
    compared: frozenset[str]
    alike: list[Alike]
    sides: Mapping[str, Side]
    quarantined: Mapping[str, str]
    used: frozenset[str]

    @classmethod
    def of(cls, root: Path, place: str, *, resplit: bool) -> Stored:
        path = root / ".fgvr" / "fgvr.db"
        if not path.is_file():
            return cls({}, frozenset(), [], {}, {}, frozenset())
        with Store(path) as store:
            images = store.scanned()
            known = {i.path: i for i in (*images, *store.scans(place))}
            compared = frozenset(i.sha256 for i in images if i.pixel_facts)
            sides = {} if resplit else store.sides() or {i.sha256: _old_side(i) for i in images if i.split}
            used = frozenset() if resplit else frozenset(i.sha256 for i in images if not i.set_aside)
            return cls(known, compared, store.duplicates(), sides, store.quarantined(), used)


def _old_side(image: ScannedImage) -> Side:
    """The side of an image in a workspace that is older than table `splits`."""
    assert image.split is not None
    return Side(image.split, image.sha256, "draw")


def applicable(
    root: Path, name: str, place: Path, overrides: Sequence[str]
) -> tuple[list[str], list[Notice]]:
    """The overrides that fgvr.toml has no value of its own for, and a notice about the others.

    Raises WorkspaceError when the workspace belongs to other images.
    """
    file = root / FILE_NAME
    standing, default = settings_module.load(file, environ={}), Settings()
    present = place_of(standing.dataset.path, root)
    if present != place and (place.exists() or name.startswith(HUB)):
        raise WorkspaceError(
            f"there is a workspace here already, for other images: {present}",
            code="workspace-exists",
            where=str(root),
            hint=f"use another directory (-w DIR), or change [dataset] path in {file} if they have moved",
        )
    wanted = settings_module.load(file, overrides, environ={})
    given = [(text, key) for text in overrides for key in settings_module.chosen([text])]
    # A folder is the same in another spelling: "photos", "photos/", "/home/me/photos".
    told = [text for text, key in given if key == "dataset.root" and _is_root(wanted, standing, root, place)]
    given = [(text, key) for text, key in given if text not in told]
    free = [
        text for text, key in given
        if _value(standing, key) in (_value(default, key), _value(wanted, key))
    ]  # fmt: skip
    kept = [text for text, _ in given if text not in free]
    notice = Notice(
        f"fgvr.toml has a value of its own and keeps it; without effect: {', '.join(kept)}",
        code="settings-kept", where=str(file), hint="edit fgvr.toml, and run fgvr-kit init again",
    )  # fmt: skip
    return free, [notice] if kept else []


def _is_root(wanted: Settings, standing: Settings, root: Path, place: Path) -> bool:
    """Whether [dataset] root names the folder that paths start from already."""
    usual = place if place.is_dir() else place.parent
    now = (root / standing.dataset.root).resolve() if standing.dataset.root else usual
    return (root / wanted.dataset.root).resolve() == now


def other_draw(root: Path, overrides: Sequence[str]) -> list[str]:
    """What was given that asks for another draw of the split than fgvr.toml does so far: "--test 0.5"."""
    so_far = settings_module.load(root / FILE_NAME, environ={})
    given = settings_module.chosen(overrides)
    return [
        f"{flag}{given[key]}" for key, flag in _DRAWN_BY.items()
        if key in given and given[key] != _value(so_far, key)
    ]  # fmt: skip


def _value(settings: Settings, key: str) -> Any:
    section, _, name = key.partition(".")
    own = getattr(settings, section, None)
    return getattr(own, name, None) if own is not None else settings.plugins.get(section, {}).get(name)


def refuse_overtaken(root: Path) -> None:
    if (root / FILE_NAME).is_file():
        raise WorkspaceError(
            "another fgvr-kit has made a workspace here meanwhile",
            code="workspace-exists",
            where=str(root),
            hint="run init again to bring it up to date, or use another directory (-w DIR)",
        )
