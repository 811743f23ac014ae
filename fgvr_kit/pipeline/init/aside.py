"""Which images are set aside, and why: quarantined by `check`, under another licence, not one of the shots."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fgvr_kit.dataset.licences import NOT_STATED, counted, licence_of, permit, refuse_unknown
from fgvr_kit.dataset.quarantine import is_about
from fgvr_kit.dataset.splits import keep_shots
from fgvr_kit.errors import DatasetError
from fgvr_kit.settings import DatasetSettings
from fgvr_kit.types import Notice, ScannedImage

QUARANTINED = "quarantined: "
LICENCE = "licence: "
"""How the reasons begin: "quarantined: damaged", "licence: cc-by-nc". Scripts may rely on it."""


def set_aside(
    images: Sequence[ScannedImage],
    dataset: DatasetSettings,
    quarantined: Mapping[str, str],
    used: Collection[str] = (),
) -> list[ScannedImage]:
    """The images with the reason why each is not used, None where it is.

    quarantined: pixel hash -> why; some reasons are about one side of the split only.  used: pixel hashes that
    were shots before; they stay before others.
    """
    is_permitted = permit(dataset.only_licence)

    def why(image: ScannedImage) -> str | None:
        reason = quarantined.get(image.sha256)
        if reason and is_about(reason, image.split):
            return QUARANTINED + reason
        return None if is_permitted(image) else LICENCE + (licence_of(image.details) or NOT_STATED)

    marked = [replace(image, set_aside=why(image)) for image in images]
    return keep_shots(marked, dataset.shots, dataset.seed, used)


def of_licence(images: Sequence[ScannedImage]) -> list[ScannedImage]:
    """The images that are set aside for their licence."""
    return [image for image in images if (image.set_aside or "").startswith(LICENCE)]


def refuse_licences(images: Sequence[ScannedImage], only: Sequence[str], place: Path) -> None:
    """Raise SettingsError for a wanted licence that is none, DatasetError when fewer than two classes are left."""
    refuse_unknown(only, images)
    is_permitted = permit(only)
    classes = {image.class_name for image in images if is_permitted(image)}
    if only and len(classes) < 2:
        raise DatasetError(
            f"only one class, {min(classes)!r}, has images under {' or '.join(only)}" if classes
            else f"no image is under {' or '.join(only)}",
            code="licence-leaves-nothing", where=str(place),
            why=f"licences in this dataset: {counted(images) or NOT_STATED}",
            hint="name more of them: --only-licence, or [dataset] only_licence in fgvr.toml",
        )  # fmt: skip


def licence_notices(images: Sequence[ScannedImage]) -> list[Notice]:
    """Classes that have no image left under the licences wanted."""
    held = {image.class_name for image in of_licence(images)}
    gone = sorted(held - {image.class_name for image in images if not image.set_aside})
    if not gone:
        return []
    more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
    return [
        Notice(
            f"no image is left of {', '.join(map(repr, gone[:3]))}{more}", code="licence-class-gone",
            why="[dataset] only_licence sets all of its images aside" if len(gone) == 1
            else "[dataset] only_licence sets all of their images aside",
            hint="a model that is trained now does not know of it; name another licence, or go on without",
        )
    ]  # fmt: skip
