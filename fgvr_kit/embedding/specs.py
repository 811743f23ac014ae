"""What a CLIP model is called, and the key its vectors are kept under. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fgvr_kit import toy
from fgvr_kit.errors import SettingsError
from fgvr_kit.fingerprint import digest_files, fingerprint

Precision = Literal["fp32", "bf16", "fp16"]

HUB, FOLDER = "hf-hub:", "local-dir:"

_OPENER_VERSION = "2"
"""Raise it when open_image would give other pixels, or this room other vectors of the same pixels."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A CLIP model as the settings name it.

    text: as it was given.  name: as open_clip calls the model, "hf-hub:..." and "local-dir:..." included.
    pretrained: tag or file of the weights; "" where the name says it all.
    """

    text: str
    name: str
    pretrained: str = ""

    @property
    def folder(self) -> Path | None:
        """Where the model lies, if its name is that of a folder."""
        return Path(self.name.removeprefix(FOLDER)) if self.name.startswith(FOLDER) else None

    @property
    def file(self) -> Path | None:
        """The file of its weights, if the name says one that is there."""
        return Path(self.pretrained) if self.pretrained and Path(self.pretrained).is_file() else None

    @property
    def readable(self) -> str:
        """Its name as part of a file name."""
        whole = self.folder.name if self.folder and self.text not in toy.NAMES else self.text
        name = f"{self.name}-{self.file.stem}" if self.file else whole
        return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:60]


def parse(text: str) -> Spec:
    """Raises SettingsError "no-mine-model" for "", "mine-model-spec" where the weights are not said."""
    if not text:
        raise SettingsError(
            "no CLIP model is chosen: mine.model is empty",
            code="no-mine-model",
            hint="--model ViT-L-14:laion2b_s32b_b82k (what FOCI used); [mine] model in fgvr.toml keeps it",
        )
    if text in toy.NAMES:
        return Spec(text, f"{FOLDER}{toy.path_of(text)}")
    if text.startswith((HUB, FOLDER)):
        return Spec(text, text)
    name, _, pretrained = text.partition(":")
    if not name or not pretrained:
        raise SettingsError(
            f"the CLIP model {text!r} does not say which weights",
            code="mine-model-spec",
            hint="ARCHITECTURE:PRETRAINED, such as ViT-L-14:laion2b_s32b_b82k",
        )
    return Spec(text, name, pretrained)


def clip_key(text: str, precision: Precision = "fp32") -> str:
    """The model with all that decides its vectors: a toy by how it is built, files by what is in them."""
    if text in toy.NAMES:
        return f"{toy.identity(text)}#{fingerprint(precision, _OPENER_VERSION)}"
    spec = parse(text)
    places = [place for place in (spec.folder, Path(spec.pretrained)) if place and place != Path()]
    files = [digest_files(place) for place in places if place.exists()]
    return f"{text}#{fingerprint(files, precision, _OPENER_VERSION)}"
