from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from fgvr_kit.training.losses import alignment_loss, answer_loss, info_nce, next_token_loss, supervised_tokens


def units(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator), dim=-1)


def embeddings(b: int = 3, k: int = 2, d: int = 8) -> list[torch.Tensor]:
    shapes = [(b, d)] * 3 + [(b, k, d)] * 2
    return [units(*shape, seed=n) for n, shape in enumerate(shapes)]


def test_info_nce_is_chance_when_all_keys_are_alike() -> None:
    same = units(1, 8).expand(5, 8)
    assert info_nce(same[:2], same, temperature=0.5).item() == pytest.approx(math.log(5))


def test_info_nce_refuses_fewer_keys_than_anchors() -> None:
    with pytest.raises(ValueError, match="3 anchors but only 2 keys"):
        info_nce(units(3, 4), units(2, 4), temperature=1.0)


def test_own_negatives_are_written_out_by_hand() -> None:
    """Equation (5a) of sample 0, B = 2 and K = 1: -s00 + log(e^s00 + e^s01 + e^h0), at temperature 1."""
    o, a, c, ha, hc = embeddings(b=2, k=1)
    loss = alignment_loss(
        o, a, c, ha, hc, attribute_temperature=1.0, category_temperature=1.0, negatives="own"
    )
    i2a = [
        -(o[i] @ a[i]) + torch.stack([o[i] @ a[0], o[i] @ a[1], o[i] @ ha[i, 0]]).logsumexp(0)
        for i in range(2)
    ]
    a2i = [-(a[i] @ o[i]) + torch.stack([a[i] @ o[0], a[i] @ o[1]]).logsumexp(0) for i in range(2)]
    assert loss.object_attribute.item() == pytest.approx((sum(i2a) + sum(a2i)).item() / 4, abs=1e-6)


def test_total_is_half_the_sum_of_the_terms() -> None:
    loss = alignment_loss(*embeddings())
    parts = loss.object_attribute + loss.attribute_category + loss.category_category
    assert loss.total.item() == pytest.approx(parts.item() / 2)


def test_columns_of_the_anchors_own_class_are_no_negatives() -> None:
    """Samples 0 and 1 share a class, and a hard negative of sample 2 has it too: for anchor 0 only its own
    key, key 2 and the other hard negatives remain."""
    o, a, c, ha, hc = embeddings(b=3, k=1)
    class_ids = torch.tensor([7, 7, 8])
    hard_class_ids = torch.tensor([[8], [9], [7]])
    loss = alignment_loss(
        o, a, c, ha, hc, attribute_temperature=1.0, class_ids=class_ids, hard_class_ids=hard_class_ids
    )
    keys = {
        0: [a[0], a[2], ha[0, 0], ha[1, 0]],
        1: [a[1], a[2], ha[0, 0], ha[1, 0]],
        2: [a[2], a[0], a[1], ha[1, 0], ha[2, 0]],
    }
    images = {0: [o[0], o[2]], 1: [o[1], o[2]], 2: [o[2], o[0], o[1]]}
    total = torch.tensor(0.0)
    for i in range(3):
        total += F.cross_entropy(torch.stack([o[i] @ key for key in keys[i]]), torch.tensor(0))
        total += F.cross_entropy(torch.stack([a[i] @ image for image in images[i]]), torch.tensor(0))
    assert loss.object_attribute.item() == pytest.approx(total.item() / 6, abs=1e-6)


def test_masking_is_without_effect_when_all_classes_differ() -> None:
    tensors = embeddings(b=3, k=1)
    masked = alignment_loss(*tensors, class_ids=torch.arange(3), hard_class_ids=torch.tensor([[3], [4], [5]]))
    assert masked.total.item() == alignment_loss(*tensors).total.item()


def test_one_sample_whose_negatives_are_all_its_own_class_gives_finite_gradients() -> None:
    tensors = [t.requires_grad_() for t in embeddings(b=2, k=1)]
    loss = alignment_loss(*tensors, class_ids=torch.tensor([1, 2]), hard_class_ids=torch.tensor([[1], [3]]))
    loss.total.backward()
    assert all(t.grad is not None and bool(t.grad.isfinite().all()) for t in tensors)


@pytest.mark.parametrize("negatives", ["shared", "own"])
@pytest.mark.parametrize("ccc", ["paper", "bounded", "off"])
@pytest.mark.parametrize(
    ("b", "k", "class_ids", "hard_class_ids"),
    [
        (1, 2, [0], [[1, 2]]),
        (1, 1, [0], [[0]]),  # its only negative is of its own class
        (2, 2, [3, 3], [[-1, -1], [3, -1]]),  # nobody may see anything but its own
        (3, 2, [0, 1, 2], [[1, -1], [-1, -1], [0, 1]]),  # ragged
        (2, 0, [0, 1], [[], []]),
    ],
)
def test_whatever_is_masked_loss_and_gradients_are_finite(
    b: int, k: int, class_ids: list[int], hard_class_ids: list[list[int]], negatives: str, ccc: str
) -> None:
    tensors = [t.requires_grad_() for t in embeddings(b=b, k=k)]
    t1, t2 = (torch.tensor(t, requires_grad=True) for t in (0.05, 0.07))
    loss = alignment_loss(
        *tensors, attribute_temperature=t1, category_temperature=t2, class_ids=torch.tensor(class_ids),
        hard_class_ids=torch.tensor(hard_class_ids, dtype=torch.long).reshape(b, k), negatives=negatives, ccc=ccc,
    )  # type: ignore[arg-type]  # fmt: skip
    loss.total.backward()
    assert bool(loss.total.isfinite())
    for t in (*tensors[:3], t1, t2):
        assert t.grad is not None
        assert bool(t.grad.isfinite().all())


def test_temperatures_may_be_tensors_that_learn() -> None:
    """The gradient is that of the numbers, by differences; the "paper" term gives none."""
    tensors = embeddings()

    def total(t1: float, t2: float, ccc: str) -> torch.Tensor:
        return alignment_loss(*tensors, attribute_temperature=t1, category_temperature=t2, ccc=ccc).total  # type: ignore[arg-type]

    for ccc in ("bounded", "off", "paper"):
        t1, t2 = (torch.tensor(t, requires_grad=True) for t in (0.5, 0.4))
        learned = total(t1, t2, ccc)  # type: ignore[arg-type]
        assert learned.item() == pytest.approx(total(0.5, 0.4, ccc).item(), abs=1e-6)
        learned.backward()
        given = "off" if ccc == "paper" else ccc
        for t, differences in (
            (t1, total(0.51, 0.4, given) - total(0.49, 0.4, given)),
            (t2, total(0.5, 0.41, given) - total(0.5, 0.39, given)),
        ):
            assert t.grad is not None
            assert t.grad.item() == pytest.approx(differences.item() / 0.02, rel=0.02), ccc


def test_the_weights_of_the_terms_are_halves_unless_told() -> None:
    tensors = embeddings()
    plain = alignment_loss(*tensors)
    weighed = alignment_loss(*tensors, weights=(1.0, 0.0, 2.0))
    wanted = plain.object_attribute + 2 * plain.category_category
    assert weighed.total.item() == pytest.approx(wanted.item())


def test_one_kind_of_ids_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="come together"):
        alignment_loss(*embeddings(), class_ids=torch.arange(3))


def test_category_term_table() -> None:
    """c = e1, negatives e1 and e2, t = 1: paper log(e + 1), bounded log((e + e + 1) / e), off 0."""
    e1, e2 = torch.eye(2)
    o, a, c = e1[None], e1[None], e1[None]
    hard = torch.stack([e1, e2])[None]
    for ccc, expected in [
        ("paper", math.log(math.e + 1)),
        ("bounded", math.log(2 + 1 / math.e)),
        ("off", 0.0),
    ]:
        loss = alignment_loss(o, a, c, hard, hard, category_temperature=1.0, ccc=ccc)  # type: ignore[arg-type]
        assert loss.category_category.item() == pytest.approx(expected, abs=1e-6), ccc


@pytest.mark.parametrize("ccc", ["paper", "bounded"])
def test_the_category_term_pushes_different_classes_apart_and_the_released_one_pulls(ccc: str) -> None:
    def cosine_after(kind: str) -> float:
        c = units(3, 8, seed=5).clone().requires_grad_()
        names = units(3, 1, 8, seed=6)
        optimizer = torch.optim.SGD([c], lr=0.05)
        for _ in range(20):
            rows = F.normalize(c, dim=1)
            # The negatives of each sample are the class names of the next one.
            loss = alignment_loss(
                rows.detach(),
                rows.detach(),
                rows,
                names,
                rows.roll(-1, 0)[:, None],
                ccc=kind,
                attribute_temperature=1,
                category_temperature=1,
            )  # type: ignore[arg-type]
            optimizer.zero_grad()
            loss.category_category.backward()
            optimizer.step()
        rows = F.normalize(c.detach(), dim=1)
        return float(rows[0] @ rows[1])

    start = float(units(3, 8, seed=5)[0] @ units(3, 8, seed=5)[1])
    assert cosine_after(ccc) < start < cosine_after("released")


def test_half_precision_rows_are_computed_in_float32() -> None:
    tensors = embeddings()
    half = alignment_loss(*[t.bfloat16() for t in tensors])
    full = alignment_loss(*[t.bfloat16().float() for t in tensors])
    assert half.total.dtype == torch.float32
    assert half.total.item() == full.total.item()


def test_mixed_precision_around_the_loss_does_not_reach_into_it() -> None:
    tensors = embeddings()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = alignment_loss(*tensors).total
    assert inside.item() == alignment_loss(*tensors).total.item()


def test_a_negative_that_is_not_there_counts_for_nobody() -> None:
    """Sample 0 has one negative less: its second column must not change anything."""
    o, a, c, ha, hc = embeddings(b=2, k=2)
    ids = {"class_ids": torch.tensor([0, 1]), "hard_class_ids": torch.tensor([[2, -1], [3, 4]])}
    for negatives in ("shared", "own"):
        first = alignment_loss(o, a, c, ha, hc, negatives=negatives, **ids)  # type: ignore[arg-type]
        ha2, hc2 = ha.clone(), hc.clone()
        ha2[0, 1], hc2[0, 1] = o[1], c[0]
        second = alignment_loss(o, a, c, ha2, hc2, negatives=negatives, **ids)  # type: ignore[arg-type]
        assert second.total.item() == first.total.item()


def test_next_token_loss_sees_only_supervised_rows_and_means_over_them() -> None:
    hidden = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    head = torch.nn.Linear(6, 5)
    labels = torch.tensor([[-100, -100, 3, 1], [-100, 2, -100, -100]])
    seen: list[int] = []

    def to_logits(rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows))
        return head(rows)

    loss = next_token_loss(to_logits, hidden, labels)
    rows = torch.stack([hidden[0, 1], hidden[0, 2], hidden[1, 0]])
    expected = F.cross_entropy(head(rows), torch.tensor([3, 1, 2]))
    assert loss.item() == pytest.approx(expected.item())
    assert seen == [3]


def test_answers_of_unequal_micro_batches_add_up_to_one_mean() -> None:
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    parts = answer_loss(logits[:6], targets[:6], n_tokens=7) + answer_loss(
        logits[6:], targets[6:], n_tokens=7
    )
    assert parts.item() == pytest.approx(F.cross_entropy(logits, targets).item())
    assert supervised_tokens(torch.tensor([[5, 1, -100], [-100, -100, 2]])) == 2, (
        "nothing foretells the first"
    )


def test_next_token_loss_refuses_a_batch_without_labels() -> None:
    with pytest.raises(ValueError, match="no position"):
        next_token_loss(lambda rows: rows, torch.zeros(1, 3, 2), torch.full((1, 3), -100))
