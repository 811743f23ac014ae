"""A loss over more samples than fit into memory: gradient caching (Gao et al. 2021, arXiv 2101.06983).

First every micro-batch is embedded without a graph; the loss over all the vectors gives the gradient of each;
then the micro-batches are embedded again, one at a time, with a graph, and their gradients are sent through it.
That is the gradient of one big batch, provided that both passes give the same vectors: so the second one draws
the same random numbers (dropout), and the vision tower, which is frozen, is not asked again at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.batch import Batch
from fgvr_kit.training.data.steps import Micro
from fgvr_kit.training.losses import answer_loss
from fgvr_kit.training.objectives.contrast import Share
from fgvr_kit.training.objectives.learning import Engine, Tally


@dataclass(frozen=True, slots=True)
class RandomState:
    """Where the random numbers of a pass begin, on the CPU and on its device."""

    device: torch.device
    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> RandomState:
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(device, torch.get_rng_state(), cuda)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Within: the same random numbers once more; afterwards those that were due before."""
        with torch.random.fork_rng(devices=[] if self.cuda is None else [self.device]):
            torch.set_rng_state(self.cpu)
            if self.cuda is not None:
                torch.cuda.set_rng_state(self.cuda, self.device)
            yield


class SeenOnce:
    """A module whose outputs of a first pass serve the second: used on the frozen vision tower.

    They wait in the main memory: a tower that hands out all its layers (LLaVA's does) fills tens of megabytes
    an image. A module with trainable weights is run again, since the second pass needs its graph.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._is_frozen = not any(p.requires_grad for p in module.parameters())
        self._kept: dict[int, list[Any]] = {}

    @contextmanager
    def first(self, n: int) -> Iterator[None]:
        """Within: the outputs are kept, as those of micro-batch n."""
        kept = self._kept.setdefault(n, [])

        def look(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            output = forward(*args, **kwargs)
            kept.append(_moved(output, torch.device("cpu")))
            return output

        with self._instead(look):
            yield

    @contextmanager
    def second(self, n: int) -> Iterator[None]:
        """Within: what was kept of micro-batch n is given back, and forgotten."""
        kept = self._kept.pop(n, [])

        def remember(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            return _moved(kept.pop(0), next(self._module.parameters()).device)

        with self._instead(remember):
            yield

    @contextmanager
    def _instead(self, called: Callable[..., Any]) -> Iterator[None]:
        if not self._is_frozen:
            yield
            return
        module, forward = self._module, self._module.forward
        had_own = "forward" in vars(module)  # some libraries put theirs there
        was_training = module.training
        module.eval()  # frozen: dropout in it would only make the two passes differ
        module.forward = lambda *args, **kwargs: called(forward, *args, **kwargs)
        try:
            yield
        finally:
            if had_own:
                module.forward = forward
            else:
                del module.forward
            module.train(was_training)


def _moved(output: Any, device: torch.device) -> Any:
    """What a module gave, tensors in tuples and transformers' outputs, on another device."""
    from accelerate.utils import send_to_device  # type: ignore[import-untyped]

    return send_to_device(output, device)


@dataclass(frozen=True, slots=True)
class Pass:
    """vectors: (n, D) unit rows of a share, with their graph.  features: of its images.

    generation: the loss of its answers, where they were asked for.
    """

    vectors: Tensor
    features: Sequence[Tensor]
    generation: Tensor | None = None


def embed(vlm: Vlm, batch: Batch, share: Share, *, n_tokens: int | None = None) -> Pass:
    """The objects of a micro-batch and its texts with a gradient.

    n_tokens: of the whole step; given, the answers go through the same pass.
    """
    features = vlm.image_features(batch.inputs)
    labels = None if n_tokens is None else batch.labels
    states = vlm.embed_step(batch.inputs, features, share.loud, labels=labels)
    vectors = F.normalize(torch.cat([states.objects, states.texts]).float(), dim=-1)
    if n_tokens is None:
        return Pass(vectors, features)
    loss = answer_loss(vlm.logits(states.answers), states.targets, n_tokens=n_tokens)
    return Pass(vectors, features, loss)


def embed_still(vlm: Vlm, share: Share) -> Tensor:
    """(n, D) unit rows: the texts of a share without a gradient."""
    with torch.no_grad():
        return F.normalize(vlm.embed_texts(share.still).float(), dim=-1)


class Group:
    """The micro-batches of this process in one contrastive batch.

    One alone keeps its graph between the two calls; several are passed through the model twice.
    """

    def __init__(
        self, vlm: Vlm, micros: Sequence[Micro], shares: Sequence[Share], engine: Engine, n_tokens: int
    ) -> None:
        """n_tokens: supervised tokens of the whole step."""
        self._vlm = vlm
        self._todo = [(m, share) for m, share in zip(micros, shares, strict=True) if m.batch is not None]
        self._engine = engine
        self._n_tokens = n_tokens
        self._tower = SeenOnce(vlm.base_model.get_submodule(vlm.family.vision))
        self._states: list[RandomState] = []
        self._kept: Pass | None = None

    def vectors(self) -> Tensor:
        """(n, D): what the shares ask for, in their order, without a graph."""
        rows = [self._first(n, micro, share) for n, (micro, share) in enumerate(self._todo)]
        return torch.cat(rows) if rows else torch.zeros(0, 0, device=self._vlm.device)

    def _first(self, n: int, micro: Micro, share: Share) -> Tensor:
        vlm, batch = self._vlm, micro.batch.to(self._vlm.device)
        self._states.append(RandomState.now(vlm.device))
        if len(self._todo) == 1:
            with self._engine.autocast():
                self._kept = found = embed(vlm, batch, share, n_tokens=self._n_tokens)
        else:
            with torch.no_grad(), self._engine.autocast(), self._tower.first(n):
                found = embed(vlm, batch, share)
        with self._engine.autocast():
            return torch.cat([found.vectors.detach(), embed_still(vlm, share)])

    def send_back(self, gradient: Tensor, tally: Tally) -> None:
        """Backward passes, one a micro-batch. gradient: (n, D), of the rows that `vectors` gave."""
        due = gradient.split([share.n_rows for _, share in self._todo])
        for n, ((micro, share), part) in enumerate(zip(self._todo, due, strict=True)):
            found = self._kept or self._second(n, micro, share)
            self._kept = None
            assert found.generation is not None
            surrogate = (found.vectors * part[: len(found.vectors)]).sum()
            self._engine.backward(found.generation + surrogate)
            tally.add(generation=found.generation, total=found.generation)
            tally.check(micro, found.generation, found.vectors)

    def _second(self, n: int, micro: Micro, share: Share) -> Pass:
        vlm, batch = self._vlm, micro.batch.to(self._vlm.device)
        with self._engine.autocast():
            with self._states[n].again(), self._tower.second(n):
                found = embed(vlm, batch, share)
            # A pass of its own: in one with the vectors, dropout would not fall where it fell the first time.
            states = vlm.embed_step(batch.inputs, found.features, labels=batch.labels, objects=False)
            loss = answer_loss(vlm.logits(states.answers), states.targets, n_tokens=self._n_tokens)
        return Pass(found.vectors, found.features, loss)
