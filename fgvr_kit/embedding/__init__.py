"""open_clip vectors of images and texts, each computed once: kept by model and pixels in a file of the workspace."""

from fgvr_kit.embedding.clip import Clip
from fgvr_kit.embedding.specs import Precision, clip_key
from fgvr_kit.embedding.vectors import Rows

__all__ = ["Clip", "Precision", "Rows", "clip_key"]
