"""What the stages of Finedefics minimise: model calls around the pure functions of training/losses.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from fgvr_kit.families.base import Vlm
from fgvr_kit.training import processes
from fgvr_kit.training.data.batch import Batch
from fgvr_kit.training.data.steps import Micro
from fgvr_kit.training.losses import (
    HALVES,
    AlignmentLoss,
    CategoryTerm,
    Negatives,
    Weights,
    alignment_loss,
    answer_loss,
    supervised_tokens,
)
from fgvr_kit.training.objectives.bank import Bank
from fgvr_kit.training.objectives.contrast import Places, Plan, plan_contrast
from fgvr_kit.training.objectives.gradient_cache import Group, embed, embed_still
from fgvr_kit.training.objectives.learning import (
    Engine,
    Objective,
    StepObjective,
    Tally,
    Terms,
    samples_of,
    tokens_of,
)
from fgvr_kit.training.objectives.temperatures import Temperatures

__all__ = ["Align", "Instruct", "Objective", "Terms", "instruct"]

Contrast = Literal["step", "micro"]


class Align(StepObjective):
    """Stage align of Finedefics, equation (8): learn to describe the image, and align image, description and
    class name. The image goes through the vision tower once, every text through the model once.

    contrast: "step" compares a sample with all others of its optimizer step, in all processes, so that the
    result depends on neither micro-batch nor machine; "micro", with those in memory at the same time, of all
    processes. More than one micro-batch is compared by gradient caching.
    learned: the temperatures are trained.  negative_gradient: False lets none pass through hard negatives.
    bank_steps: without that gradient, hard negatives are embedded anew after so many steps; 0: always.
    """

    def __init__(
        self,
        *,
        attribute_temperature: float,
        category_temperature: float,
        negatives: Negatives,
        ccc: CategoryTerm,
        contrast: Contrast = "step",
        learned: bool = False,
        temperature_learning_rate: float = 5e-3,
        negative_gradient: bool = True,
        bank_steps: int = 0,
        weights: Weights = HALVES,
    ) -> None:
        self.temperatures = Temperatures(attribute_temperature, category_temperature, learned=learned)
        self.learning_rate = temperature_learning_rate
        self.negatives = negatives
        self.ccc = ccc
        self.contrast = contrast
        self.negative_gradient = negative_gradient
        self.weights = weights
        self.bank = Bank(bank_steps)

    def __call__(self, vlm: Vlm, batch: Batch) -> Terms:
        assert batch.words is not None, "stage align needs AlignCollator"
        plan = plan_contrast([[batch.words]], negative_gradient=self.negative_gradient)
        share = plan.shares[0][0]
        found = embed(vlm, batch, share, n_tokens=supervised_tokens(batch.labels))
        assert found.generation is not None
        alignment = self._compare(torch.cat([found.vectors, embed_still(vlm, share)]), plan.places)
        parts = {"generation": found.generation, **_terms(alignment)}
        total = found.generation + alignment.total
        return Terms(total, {name: part.detach() for name, part in parts.items()})

    def learn(self, vlm: Vlm, rounds: Sequence[Micro], engine: Engine) -> Tally:
        self.bank.next_step()
        tally = Tally()
        n_tokens, n_samples = tokens_of(rounds), samples_of(rounds)
        for micros in [rounds] if self.contrast == "step" else [[micro] for micro in rounds]:
            words = processes.everyone([None if m.batch is None else m.batch.words for m in micros])
            if not any(w for process in words for w in process):
                continue
            plan = plan_contrast(words, negative_gradient=self.negative_gradient, bank=self.bank)
            group = Group(vlm, micros, plan.shares[processes.rank()], engine, n_tokens)
            gradient = self._gradient(group.vectors(), plan, n_samples, tally)
            group.send_back(gradient, tally)
        return tally

    def trained(self) -> list[nn.Parameter]:
        return self.temperatures.trained()

    def after_step(self) -> None:
        self.temperatures.keep_in_range()

    def named(self) -> dict[str, Tensor]:
        return self.temperatures.named()

    def to(self, device: torch.device) -> None:
        self.temperatures = self.temperatures.anew().to(device)
        self.bank = Bank(self.bank.steps)

    def save(self, folder: Path) -> None:
        self.temperatures.save(folder)
        if self.bank.steps:
            self.bank.save(folder)

    def load(self, folder: Path) -> None:
        self.temperatures.load(folder)
        if self.bank.steps:
            self.bank.load(folder)

    def _gradient(self, mine: Tensor, plan: Plan, n_samples: int, tally: Tally) -> Tensor:
        """(n, D): the gradient of the step's alignment loss with respect to this process's vectors.

        Every process computes the same loss over the vectors of all, and takes its part of the gradient. What
        all of them have alike (the loss, the gradients of the temperatures) is counted once in their sum.
        """
        joined, start = processes.join_rows(mine)
        if self.bank.steps:
            fresh = dict(plan.still)
            self.bank.put(list(fresh), joined[list(fresh.values())])
            joined = torch.cat([joined, self.bank.rows(plan.banked, joined)])
        leaf = joined.requires_grad_()
        alignment = self._compare(leaf, plan.places)
        share = len(plan.places.class_ids) / n_samples
        wanted = [leaf, *self.trained()]
        gradients = torch.autograd.grad(alignment.total * share, wanted, materialize_grads=True)
        for parameter, gradient in zip(self.trained(), gradients[1:], strict=True):
            part = gradient / processes.size()
            parameter.grad = part if parameter.grad is None else parameter.grad + part
        share /= processes.size()
        terms = {**_terms(alignment), "total": alignment.total}
        tally.add(**{name: value * share for name, value in terms.items()})
        return gradients[0][start : start + len(mine)]

    def _compare(self, vectors: Tensor, places: Places) -> AlignmentLoss:
        places = places.to(vectors.device)
        hard = vectors if self.negative_gradient else vectors.detach()
        return alignment_loss(
            vectors[places.objects],
            vectors[places.attributes],
            vectors[places.categories],
            hard[places.hard_attributes],
            hard[places.hard_categories],
            attribute_temperature=self.temperatures.attribute,
            category_temperature=self.temperatures.category,
            class_ids=places.class_ids,
            hard_class_ids=places.hard_class_ids,
            negatives=self.negatives,
            ccc=self.ccc,
            weights=self.weights,
        )


class Instruct(StepObjective):
    """Stage instruct of Finedefics, equation (9): next-token loss over the answer."""

    def __call__(self, vlm: Vlm, batch: Batch) -> Terms:
        loss = _answers(vlm, batch, supervised_tokens(batch.labels))
        return Terms(loss, {"generation": loss.detach()})

    def learn(self, vlm: Vlm, rounds: Sequence[Micro], engine: Engine) -> Tally:
        tally = Tally()
        n_tokens = tokens_of(rounds)
        for micro in rounds:
            if micro.batch is None:
                continue
            with engine.autocast():
                loss = _answers(vlm, micro.batch.to(vlm.device), n_tokens)
            engine.backward(loss)
            tally.add(generation=loss, total=loss)
            tally.check(micro, loss)
        return tally


instruct = Instruct()


def _answers(vlm: Vlm, batch: Batch, n_tokens: int) -> Tensor:
    features = vlm.image_features(batch.inputs)
    states = vlm.embed_step(batch.inputs, features, labels=batch.labels, objects=False)
    return answer_loss(vlm.logits(states.answers), states.targets, n_tokens=n_tokens)


def _terms(alignment: AlignmentLoss) -> dict[str, Tensor]:
    names = ("object_attribute", "attribute_category", "category_category")
    return {name: getattr(alignment, name) for name in names}
