"""What one micro-batch contributes to a stage: model calls around the pure functions of losses.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from fgvr_kit.families.base import Vlm
from fgvr_kit.training.batch import Batch
from fgvr_kit.training.losses import CategoryTerm, Negatives, alignment_loss, next_token_loss


@dataclass(frozen=True, slots=True)
class Terms:
    """total: the scalar that is minimised.  parts: detached scalars by name, for the log."""

    total: Tensor
    parts: Mapping[str, Tensor]


Objective = Callable[[Vlm, Batch], Terms]


@dataclass(frozen=True, slots=True)
class Align:
    """Stage align of Finedefics, equation (8): learn to describe the image, and align image, description
    and class name. The image goes through the vision tower once."""

    attribute_temperature: float
    category_temperature: float
    negatives: Negatives
    ccc: CategoryTerm

    def __call__(self, vlm: Vlm, batch: Batch) -> Terms:
        assert batch.words is not None, "stage align needs AlignCollator"
        words = batch.words
        features = vlm.image_features(batch.inputs)
        hidden = vlm.hidden_states(batch.inputs, features)  # (B, T, H)
        generation = next_token_loss(vlm.logits, hidden, batch.labels)
        # All texts of the step at once, each once: a class name recurs in most samples.
        texts = F.normalize(vlm.embed_texts(words.texts).float(), dim=-1)  # (U, H)
        objects = F.normalize(vlm.embed_objects(batch.inputs, features).float(), dim=-1)  # (B, H)
        alignment = alignment_loss(
            objects,
            texts[words.attributes],
            texts[words.categories],
            texts[words.hard_attributes],
            texts[words.hard_categories],
            attribute_temperature=self.attribute_temperature,
            category_temperature=self.category_temperature,
            class_ids=words.class_ids,
            hard_class_ids=words.hard_class_ids,
            negatives=self.negatives,
            ccc=self.ccc,
        )
        parts = {
            "generation": generation,
            "object_attribute": alignment.object_attribute,
            "attribute_category": alignment.attribute_category,
            "category_category": alignment.category_category,
        }
        return Terms(generation + alignment.total, {name: t.detach() for name, t in parts.items()})


def instruct(vlm: Vlm, batch: Batch) -> Terms:
    """Stage instruct of Finedefics, equation (9): next-token loss over the answer."""
    hidden = vlm.hidden_states(batch.inputs, vlm.image_features(batch.inputs))  # (B, T, H)
    generation = next_token_loss(vlm.logits, hidden, batch.labels)
    return Terms(generation, {"generation": generation.detach()})
