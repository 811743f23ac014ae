from __future__ import annotations

import torch

from fgvr_kit.training.data.batch import Words, number_words
from fgvr_kit.training.objectives.contrast import Share, plan_contrast
from tests.training.data.test_batch import example


def words(*examples: tuple[int, ...]) -> Words:
    return number_words([example(*classes) for classes in examples])


def read(plan, field: str) -> list:  # type: ignore[no-untyped-def, type-arg]
    """The texts (or objects) that the places of a field stand for."""
    rows: list[str] = []
    for process, shares in enumerate(plan.shares):
        for n, share in enumerate(shares):
            rows += [f"object {process}.{n}.{i}" for i in range(share.n_objects)]
            rows += [*share.loud, *share.still]
    rows += plan.banked
    places = getattr(plan.places, field)
    return [[rows[i] for i in row] for row in places] if places.dim() == 2 else [rows[i] for i in places]


def test_places_lead_to_the_texts_of_each_sample_over_processes_and_micro_batches() -> None:
    first, second, third = words((0, 1, 2)), words((1, 0), (2, 0)), words((3, 1))
    plan = plan_contrast([[first, second], [third, None]])
    assert read(plan, "objects") == ["object 0.0.0", "object 0.1.0", "object 0.1.1", "object 1.0.0"]
    assert read(plan, "attributes") == [f"looks like {n}" for n in (0, 1, 2, 3)]
    assert read(plan, "categories") == [f"class {n}" for n in (0, 1, 2, 3)]
    hard = read(plan, "hard_categories")
    assert [row[0] for row in hard] == ["class 1", "class 0", "class 0", "class 1"]
    assert hard[0] == ["class 1", "class 2"]
    assert plan.places.class_ids.tolist() == [0, 1, 2, 3]
    assert plan.places.hard_class_ids.tolist() == [[1, 2], [0, -1], [0, -1], [1, -1]]


def test_every_text_is_embedded_once_by_whoever_needs_it_first() -> None:
    plan = plan_contrast([[words((0, 1)), words((1, 0))], [words((1, 2)), words((0, 1))]])
    assert plan.shares == (
        (Share(1, ("looks like 0", "class 0", "looks like 1", "class 1")), Share(1)),
        (Share(1, ("looks like 2", "class 2")), Share(1)),
    )


def test_texts_that_are_nobodys_own_are_still_and_may_come_from_a_bank() -> None:
    """Class 2 is a negative only; class 1 is sample 1's own, so its texts keep their gradient everywhere."""
    groups = [[words((0, 1, 2)), words((1, 3))]]
    plan = plan_contrast(groups, negative_gradient=False, bank={"class 2", "class 0"})
    assert plan.shares[0][0].loud == ("looks like 0", "class 0", "looks like 1", "class 1")
    assert plan.shares[0][0].still == ("looks like 2",)
    assert plan.shares[0][1].still == ("looks like 3", "class 3")
    assert plan.banked == ("class 2",)
    rows = dict(plan.still)
    assert torch.equal(plan.places.hard_attributes[0, 1], torch.tensor(rows["looks like 2"]))
    assert read(plan, "hard_categories")[0] == ["class 1", "class 2"]
