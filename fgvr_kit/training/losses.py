"""What training minimises, as functions of tensors: the alignment terms of Finedefics and next-token loss.

Paper: Finedefics (ICLR 2025), section 3.2, equations (5) to (8). Compared with the released code (commit
a179c35) on the embeddings in tests/data/parity. Left out on purpose: the release's clamping of its
temperatures; whoever learns them keeps them in their range (temperatures.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

NOT_SUPERVISED = -100

Negatives = Literal["shared", "own"]
CategoryTerm = Literal["paper", "bounded", "released", "off"]
Temperature = float | Tensor
"""A number, or a scalar tensor through which gradients pass."""
Weights = tuple[float, float, float]
HALVES: Weights = (0.5, 0.5, 0.5)
"""Finedefics, equation (8): L_generation + (OAC + ACC + CCC) / 2."""


@dataclass(frozen=True, slots=True)
class AlignmentLoss:
    """Scalars in nats. total: the three terms times their weights, which are halves in the paper."""

    total: Tensor
    object_attribute: Tensor
    attribute_category: Tensor
    category_category: Tensor


def info_nce(
    anchors: Tensor, keys: Tensor, *, temperature: Temperature, allowed: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of each anchor finding its own key among the keys it is allowed to see.

    anchors: (B, D), unit length.  keys: (B + N, D), unit length; row i < B belongs to anchor i.
    temperature: divides the cosines, > 0.  allowed: (B, B + N) bool; its diagonal must be True.
    Returns a scalar in nats; log(B + N) is chance.  Raises ValueError when keys are fewer than anchors.
    """
    if len(keys) < len(anchors):
        raise ValueError(f"{len(anchors)} anchors but only {len(keys)} keys")
    logits = anchors @ keys.T / temperature  # (B, B + N)
    if allowed is not None:
        logits = logits.masked_fill(~allowed, -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(anchors), device=logits.device))


def alignment_loss(
    objects: Tensor,
    attributes: Tensor,
    categories: Tensor,
    hard_attributes: Tensor,
    hard_categories: Tensor,
    *,
    attribute_temperature: Temperature = 0.07,
    category_temperature: Temperature = 0.07,
    class_ids: Tensor | None = None,
    hard_class_ids: Tensor | None = None,
    negatives: Negatives = "shared",
    ccc: CategoryTerm = "paper",
    weights: Weights = HALVES,
) -> AlignmentLoss:
    """Pull an image, its description and its class name together, and push look-alike classes apart.

    objects, attributes, categories: (B, D), unit length: image, description and class name of each sample.
    hard_attributes, hard_categories: (B, K, D), unit length: the same of its hard negatives; K may be 0.
    class_ids (B,), hard_class_ids (B, K): when given, columns of an anchor's own class other than its
    positive are no negatives and are masked out; the release has no such mask.  Below 0: there is no such
    negative, the column is masked out for all.
    negatives: "shared", all hard negatives of the batch serve every anchor, as released; "own", only the
    anchor's, as equations (5) and (6) have it.
    ccc: "paper", mean_i logsumexp_k(c_i . c_ik / t), equation (7) with a temperature; "bounded", the same
    negatives against the anchor itself, log(1 + sum_k exp((c_i . c_ik - 1) / t)), which cannot fall below 0;
    "released", what the release computes (column 0 is everyone's target, which pulls different classes
    together; for comparison only); "off", 0.
    weights: of object_attribute, attribute_category and category_category in the total.
    A learned temperature gets no gradient from the "paper" term: without a positive in it, the term falls
    with the temperature alone.
    Computed in float32. Raises ValueError when only one of the two ids is given.
    """
    if (class_ids is None) != (hard_class_ids is None):
        raise ValueError("class_ids and hard_class_ids come together")
    # Under mixed precision the products below would be made in bfloat16: three digits of a cosine.
    with torch.autocast(objects.device.type, enabled=False):
        objects, attributes, categories = objects.float(), attributes.float(), categories.float()
        hard_attributes, hard_categories = hard_attributes.float(), hard_categories.float()
        all_attributes = torch.cat([attributes, hard_attributes.flatten(0, 1)])  # (B + BK, D)
        all_categories = torch.cat([categories, hard_categories.flatten(0, 1)])  # (B + BK, D)
        b, k = hard_attributes.shape[:2]
        allowed = _allowed_columns(b, k, class_ids, hard_class_ids, negatives, objects.device)  # (B, B + BK)
        t1, t2 = attribute_temperature, category_temperature

        object_attribute = (
            info_nce(objects, all_attributes, temperature=t1, allowed=allowed)
            + info_nce(attributes, objects, temperature=t1, allowed=allowed[:, :b])
        ) / 2
        attribute_category = (
            info_nce(attributes, all_categories, temperature=t2, allowed=allowed)
            + info_nce(categories, all_attributes, temperature=t2, allowed=allowed)
        ) / 2
        if ccc == "released":
            # The release divides this term by the temperature of the image and attribute pair.
            logits = categories @ all_categories.T / t1  # (B, B + BK)
            category_category = F.cross_entropy(logits, logits.new_zeros(b, dtype=torch.long))
        elif ccc == "off":
            category_category = objects.new_zeros(())
        else:
            bounded = ccc == "bounded"
            category_category = _category_term(
                categories, hard_categories, t2, class_ids, hard_class_ids, bounded=bounded
            )
        terms = (object_attribute, attribute_category, category_category)
        total = sum((w * term for w, term in zip(weights, terms, strict=True)), objects.new_zeros(()))
        return AlignmentLoss(total, *terms)


def answer_loss(logits: Tensor, targets: Tensor, *, n_tokens: int) -> Tensor:
    """What some answers contribute to the mean cross-entropy of n_tokens tokens; one rule for all families.

    logits: (N, V).  targets: (N,).  n_tokens: of all the answers that the mean is over, these among them: the
    micro-batches of an optimizer step add up to its mean, however unequal they are.
    """
    return F.cross_entropy(logits.float(), targets, reduction="sum") / n_tokens


def supervised_tokens(labels: Tensor) -> int:
    """Tokens that (B, T) labels ask for; the first of a row is foretold by nothing."""
    return int((labels[:, 1:] != NOT_SUPERVISED).sum())


def next_token_loss(to_logits: Callable[[Tensor], Tensor], hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the supervised positions of a batch; one rule for all families.

    to_logits: (N, H) -> (N, V), called once, with the N supervised rows alone: logits of the rest would be
    most of the memory of a step.  hidden: (B, T, H).  labels: (B, T), -100 where nothing is to be learned.
    Raises ValueError when no position is supervised.
    """
    targets = labels[:, 1:]
    supervised = targets != NOT_SUPERVISED  # (B, T - 1)
    if not bool(supervised.any()):
        raise ValueError("no position of the batch is supervised")
    logits = to_logits(hidden[:, :-1][supervised]).float()  # (N, V)
    return F.cross_entropy(logits, targets[supervised])


def _allowed_columns(
    b: int,
    k: int,
    class_ids: Tensor | None,
    hard_class_ids: Tensor | None,
    negatives: Negatives,
    device: torch.device,
) -> Tensor:
    """(B, B + BK) bool: which columns an anchor may see; its positive, column i, always."""
    eye = torch.eye(b, dtype=torch.bool, device=device)
    allowed = torch.ones(b, b + b * k, dtype=torch.bool, device=device)
    if negatives == "own":
        allowed[:, b:] = eye.repeat_interleave(k, dim=1)
    if class_ids is not None and hard_class_ids is not None:
        column_classes = torch.cat([class_ids, hard_class_ids.flatten()])  # (B + BK,)
        allowed &= (class_ids[:, None] != column_classes[None, :]) & (column_classes >= 0)[None, :]
    allowed[:, :b] |= eye
    return allowed


def _category_term(
    categories: Tensor,
    hard_categories: Tensor,
    temperature: Temperature,
    class_ids: Tensor | None,
    hard_class_ids: Tensor | None,
    *,
    bounded: bool,
) -> Tensor:
    """Equation (7) over the anchor's own hard negatives: (B, D), (B, K, D) -> scalar."""
    if isinstance(temperature, Tensor) and not bounded:
        temperature = temperature.detach()
    logits = torch.einsum("bd,bkd->bk", categories, hard_categories) / temperature  # (B, K)
    has_any = torch.full((len(logits),), logits.shape[1] > 0, device=logits.device)
    if class_ids is not None and hard_class_ids is not None:
        wrong = (hard_class_ids != class_ids[:, None]) & (hard_class_ids >= 0)  # (B, K)
        has_any = wrong.any(dim=1)
        logits = logits.masked_fill(~wrong, -torch.inf)
    if not bool(has_any.any()):
        return logits.new_zeros(())
    logits = logits[has_any]  # a row of -inf alone has a NaN gradient
    if bounded:
        itself = logits.new_ones(len(logits), 1) / temperature
        return F.cross_entropy(
            torch.cat([itself, logits], dim=1), logits.new_zeros(len(logits), dtype=torch.long)
        )
    return logits.logsumexp(dim=1).mean()
