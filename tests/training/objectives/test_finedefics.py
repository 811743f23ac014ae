from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fgvr_kit.families.base import Vlm
from fgvr_kit.training.data.batch import InstructCollator
from fgvr_kit.training.data.steps import Micro
from fgvr_kit.training.losses import alignment_loss, answer_loss, supervised_tokens
from fgvr_kit.training.objectives.finedefics import Align, instruct
from fgvr_kit.training.objectives.learning import EachAlone, Engine, Terms
from tests.training.learned import (
    align_rows,
    assert_alike,
    gradients,
    instruct_rows,
    learn,
    micros,
    toy,
)


def objective(**options: Any) -> Align:
    given = {
        "attribute_temperature": 0.07,
        "category_temperature": 0.1,
        "negatives": "shared",
        "ccc": "paper",
    }
    return Align(**(given | options))


@pytest.fixture(scope="module")
def vlm() -> Vlm:
    return toy()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return align_rows(tmp_path_factory.mktemp("images"))


@pytest.mark.parametrize("sizes", [(2, 2, 2, 2), (5, 3), (1, 7)])
@pytest.mark.parametrize("options", [{}, {"learned": True, "negatives": "own", "ccc": "bounded"}])
def test_a_contrast_over_micro_batches_has_the_gradients_of_one_big_batch(
    vlm: Vlm, rows: list[Any], sizes: Sequence[int], options: dict[str, Any]
) -> None:
    terms, found = learn(vlm, objective(**options), micros(vlm, rows, sizes))
    whole_terms, wanted = learn(vlm, objective(**options), micros(vlm, rows, [8]))
    assert terms == pytest.approx(whole_terms, rel=1e-5)
    assert_alike(found, wanted)


def test_a_step_of_one_micro_batch_is_what_the_objective_says_of_its_batch(vlm: Vlm, rows: list[Any]) -> None:
    align = objective(learned=True)
    (micro,) = micros(vlm, rows, [8])
    terms, found = learn(vlm, align, [micro])
    vlm.model.zero_grad()
    align.temperatures.zero_grad()
    plain = align(vlm, micro.batch)
    plain.total.backward()
    assert terms["total"] == pytest.approx(plain.total.item(), rel=1e-5)
    assert {n: float(p) for n, p in plain.parts.items()} == pytest.approx(
        {n: v for n, v in terms.items() if n != "total"}, rel=1e-5
    )
    assert_alike(found, gradients(vlm, align))


def test_both_passes_of_the_gradient_cache_drop_out_the_same_places(rows: list[Any]) -> None:
    """Against graphs that are all kept: the same passes in the same order, one backward pass at the end."""
    vlm = toy(dropout=0.4)
    align = objective()
    rounds = micros(vlm, rows, [3, 3, 2])
    torch.manual_seed(7)
    terms, found = learn(vlm, align, rounds)

    vlm.model.zero_grad()
    torch.manual_seed(7)
    _all_graphs_kept(vlm, align, rounds).backward()
    assert_alike(found, gradients(vlm, align))

    torch.manual_seed(8)
    other, _ = learn(vlm, align, rounds)
    assert other["total"] != pytest.approx(terms["total"], rel=1e-4), "there is dropout at all"


def _all_graphs_kept(vlm: Vlm, align: Align, rounds: Sequence[Micro]) -> Tensor:
    from fgvr_kit.training.objectives.contrast import plan_contrast
    from fgvr_kit.training.objectives.gradient_cache import embed
    from fgvr_kit.training.objectives.learning import tokens_of

    plan = plan_contrast([[micro.batch.words for micro in rounds]])
    passes = [embed(vlm, m.batch, share) for m, share in zip(rounds, plan.shares[0], strict=True)]
    total = align._compare(torch.cat([found.vectors for found in passes]), plan.places).total
    n_tokens = tokens_of(rounds)
    for micro, found in zip(rounds, passes, strict=True):
        states = vlm.embed_step(micro.batch.inputs, found.features, labels=micro.batch.labels, objects=False)
        total = total + answer_loss(vlm.logits(states.answers), states.targets, n_tokens=n_tokens)
    return total


def test_a_contrast_within_micro_batches_weighs_them_by_their_samples_and_tokens(
    vlm: Vlm, rows: list[Any]
) -> None:
    align = objective(contrast="micro")
    rounds = micros(vlm, rows, [5, 3])
    terms, found = learn(vlm, align, rounds)
    n_tokens = [supervised_tokens(micro.batch.labels) for micro in rounds]
    vlm.model.zero_grad()
    total = torch.tensor(0.0)
    for micro, n in zip(rounds, n_tokens, strict=True):
        generation = instruct(vlm, micro.batch).total
        aligned = align(vlm, micro.batch).total - generation
        total = total + aligned * micro.n / 8 + generation * n / sum(n_tokens)
    total.backward()
    assert terms["total"] == pytest.approx(total.item(), rel=1e-5)
    assert_alike(found, gradients(vlm, align))
    whole_terms, _ = learn(vlm, objective(), rounds)
    assert whole_terms["object_attribute"] > terms["object_attribute"], "more keys are harder"


def test_answers_in_unequal_micro_batches_are_one_mean_over_tokens(vlm: Vlm, rows: list[Any]) -> None:
    questions = instruct_rows(rows)
    terms, found = learn(vlm, instruct, micros(vlm, questions, [7, 1], InstructCollator))
    whole_terms, wanted = learn(vlm, instruct, micros(vlm, questions, [8], InstructCollator))
    assert terms == pytest.approx(whole_terms, rel=1e-5)
    assert_alike(found, wanted)


def test_a_plain_objective_is_weighed_by_samples(vlm: Vlm) -> None:
    class Batch:
        def __init__(self, value: float) -> None:
            self.value = value

        def to(self, _: Any) -> Batch:
            return self

    def mean(_: Vlm, batch: Batch) -> Terms:
        total = torch.tensor(batch.value, requires_grad=True)
        return Terms(total, {"part": total.detach()})

    terms, _ = learn(vlm, EachAlone(mean), [Micro(Batch(2.0), 3), Micro(Batch(6.0), 1), Micro()])
    assert terms == {"part": 3.0, "total": 3.0}


def test_without_their_gradient_negatives_push_only_what_they_are_compared_with(
    vlm: Vlm, rows: list[Any]
) -> None:
    """The loss is the same; its gradient is that of the loss with detached negatives."""
    plain_terms, plain = learn(vlm, objective(), micros(vlm, rows, [8]))
    align = objective(negative_gradient=False)
    terms, found = learn(vlm, align, micros(vlm, rows, [4, 4]))
    assert terms == pytest.approx(plain_terms, rel=1e-5)
    with pytest.raises(AssertionError, match="gradients differ"):
        assert_alike(found, plain, 1e-2)

    (micro,) = micros(vlm, rows, [8])
    words = micro.batch.words
    vlm.model.zero_grad()
    features = vlm.image_features(micro.batch.inputs)
    texts = F.normalize(vlm.embed_texts(words.texts), dim=-1)
    loss = alignment_loss(
        F.normalize(vlm.embed_objects(micro.batch.inputs, features), dim=-1),
        texts[words.attributes],
        texts[words.categories],
        texts.detach()[words.hard_attributes],
        texts.detach()[words.hard_categories],
        attribute_temperature=0.07,
        category_temperature=0.1,
        class_ids=words.class_ids,
        hard_class_ids=words.hard_class_ids,
    ).total
    hidden = vlm.hidden_states(micro.batch.inputs, features)
    supervised = micro.batch.labels[:, 1:] != -100
    generation = F.cross_entropy(
        vlm.logits(hidden[:, :-1][supervised]), micro.batch.labels[:, 1:][supervised]
    )
    (loss + generation).backward()
    assert_alike(found, gradients(vlm, align), 1e-4)


def test_a_bank_of_one_step_is_no_bank(vlm: Vlm, rows: list[Any]) -> None:
    banked, plain = objective(negative_gradient=False, bank_steps=1), objective(negative_gradient=False)
    for sizes in ([4, 4], [3, 5]):
        terms, found = learn(vlm, banked, micros(vlm, rows, sizes))
        wanted_terms, wanted = learn(vlm, plain, micros(vlm, rows, sizes))
        assert terms == wanted_terms
        assert_alike(found, wanted)


def test_a_bank_serves_its_steps_and_is_then_refreshed(rows: list[Any]) -> None:
    vlm = toy()
    align = objective(negative_gradient=False, bank_steps=2)
    rounds = micros(vlm, rows, [4, 4])
    asked: list[int] = []
    inner = vlm.embed_texts
    vlm.embed_texts = lambda texts, *a: asked.append(len(texts)) or inner(texts, *a)  # type: ignore[method-assign]

    def embedded() -> int:
        """How many texts a step embeds without a gradient."""
        asked.clear()
        learn(vlm, align, rounds)
        return sum(asked)

    first = embedded()
    assert first > 0
    before = align.bank.rows(list(align.bank._entries), torch.zeros(1))
    for p in vlm.model.parameters():
        p.data = p.data * 1.01
    assert embedded() == 0
    assert torch.equal(align.bank.rows(list(align.bank._entries), torch.zeros(1)), before)
    assert embedded() == first
    assert not torch.equal(align.bank.rows(list(align.bank._entries), torch.zeros(1)), before)


def test_every_text_of_a_step_is_embedded_once_and_every_image_seen_once(
    vlm: Vlm, rows: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = micros(vlm, rows, [3, 3, 2])
    asked: list[str] = []
    inner = Vlm.embed_step
    monkeypatch.setattr(
        Vlm,
        "embed_step",
        lambda self, inputs, features, texts=(), **kw: (
            asked.extend(texts if torch.is_grad_enabled() else ())
            or inner(self, inputs, features, texts, **kw)
        ),
    )
    seen: list[int] = []
    tower = vlm.base_model.get_submodule(vlm.family.vision)
    inside = next(module for module in tower.modules() if isinstance(module, torch.nn.Conv2d))
    handle = inside.register_forward_hook(lambda _, args, __: seen.append(len(args[0])))
    learn(vlm, objective(), rounds)
    handle.remove()
    assert sorted(asked) == sorted({text for micro in rounds for text in micro.batch.words.texts})
    assert seen == [3, 3, 2]
    assert "forward" not in vars(tower)


def test_in_mixed_precision_the_gradient_cache_keeps_its_gradients(vlm: Vlm, rows: list[Any]) -> None:
    """A weight that is first cast without a graph, and remembered so, would get none in the second pass."""

    def autocast() -> Any:
        return torch.autocast("cpu", torch.bfloat16, cache_enabled=False)

    _, found = learn(vlm, objective(), micros(vlm, rows, [4, 4]), Engine(autocast))
    _, wanted = learn(vlm, objective(), micros(vlm, rows, [8]))
    assert found.keys() == wanted.keys()
    flat, other = (torch.cat([g.flatten() for _, g in sorted(d.items())]) for d in (found, wanted))
    assert float(F.cosine_similarity(flat, other, dim=0)) > 0.98


def test_micro_batches_without_samples_change_nothing(vlm: Vlm, rows: list[Any]) -> None:
    rounds = micros(vlm, rows, [4, 4])
    terms, found = learn(vlm, objective(), [*rounds, Micro()])
    wanted_terms, wanted = learn(vlm, objective(), rounds)
    assert terms == wanted_terms
    assert_alike(found, wanted)
    _, found = learn(vlm, objective(contrast="micro"), [*rounds, Micro()])
    assert found


def test_a_number_that_is_not_finite_names_its_images(vlm: Vlm, rows: list[Any]) -> None:
    rounds = micros(vlm, rows, [3, 3, 2])
    rounds[1].batch.inputs["pixel_values"] = rounds[1].batch.inputs["pixel_values"] * float("nan")
    tally = objective().learn(vlm, rounds, Engine())
    assert not bool(tally.terms["total"].isfinite())
    assert tally.suspects() == ["3.png", "4.png", "5.png"]
    vlm.model.zero_grad()
