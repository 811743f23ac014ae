from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fgvr_kit.evaluation.evaluate import evaluate, fingerprint_of
from fgvr_kit.evaluation.language_model import LanguageModel
from fgvr_kit.evaluation.protocols import LETTERS, choice_questions, protocol_of
from fgvr_kit.pipeline.init import init
from fgvr_kit.pipeline.mine import mine
from fgvr_kit.types import Score
from fgvr_kit.workspace import Workspace
from tests.ejected import ejected
from tests.photographs import class_folders

ZERO_SHOT = LanguageModel("zero-shot", "toy", note="toy-vlm: untrained toy model")


@pytest.fixture
def workspace(tmp_path: Path, toy_vlm_path: Path) -> Iterator[Workspace]:
    counts = {
        f"{split}/{name}": n for split, n in (("train", 3), ("test", 4)) for name in ("a", "b", "c", "d", "e")
    }
    init(class_folders(tmp_path / "things", counts), tmp_path)
    with Workspace(
        tmp_path, ["mine.model=toy-clip", "train.model=toy-vlm", "evaluate.batch_size=3", "train.device=cpu"]
    ) as opened:
        mine(opened)
        yield opened


def other(workspace: Workspace, *overrides: str) -> Workspace:
    return Workspace(workspace.root, ["mine.model=toy-clip", "train.model=toy-vlm", *overrides])


def of(scores: Sequence[Score], model: str, metric: str = "accuracy") -> Score:
    return next(s for s in scores if (s.model, s.metric, s.class_name) == (model, metric, ""))


def test_every_test_image_is_asked_about_once_with_its_own_options(workspace: Workspace) -> None:
    options = workspace.store.options()
    questions = choice_questions(workspace)
    assert [q.image.id for q in questions] == [image.id for image in workspace.store.images("test")]
    for question in questions:
        assert sorted(question.options) == sorted(o.class_name for o in options[question.image.id])
        assert question.image.class_name in question.options
        for letter, name in zip(LETTERS, question.options, strict=False):
            assert f"{letter}. {name}\n" in question.text


def test_the_truth_stands_equally_often_at_every_place_and_the_seed_of_mining_decides_where(
    workspace: Workspace,
) -> None:
    places = [q.options.index(q.image.class_name) for q in choice_questions(workspace)]
    assert sorted(places) == sorted([0, 1, 2, 3] * 5)
    stored = workspace.store.options()
    assert places == [stored[image.id][0].position for image in workspace.store.images("test")]
    mine(other(workspace, "mine.seed=1"))
    assert places != [q.options.index(q.image.class_name) for q in choice_questions(workspace)]


def test_the_protocol_names_the_questions(workspace: Workspace) -> None:
    questions = choice_questions(workspace)
    name = protocol_of(questions, 1000)
    assert name.startswith("choice4-")
    assert name == protocol_of(questions, 1000)
    assert name != protocol_of(questions, 2000)
    assert name != protocol_of(questions[1:], 1000)
    assert name != protocol_of(choice_questions(other(workspace, "domain.unit=breed")), 1000)


def test_predictions_and_scores_are_rows_that_say_what_they_rest_on(workspace: Workspace) -> None:
    summary, scores = evaluate(workspace, [ZERO_SHOT])
    score = of(scores, "zero-shot")
    predictions = workspace.store.predictions("toy", score.protocol)
    assert len(predictions) == 20
    for prediction in predictions.values():
        best = max(range(4), key=prediction.scores.__getitem__)
        assert prediction.predicted == prediction.options[best]
    n_correct = sum(p.is_correct for p in predictions.values())
    assert (score.value, score.n, score.note) == (n_correct / 20, 20, "toy-vlm: untrained toy model")
    assert {s.protocol for s in scores} == {score.protocol}  # nobody with eyes was asked about all classes
    assert workspace.store.scores() == scores
    assert summary.notes == ("toy-vlm: untrained toy model",)
    assert [notice.code for notice in summary.notices] == ["no-tuned-model"]
    assert workspace.store.walk()["eval"]["fingerprint"] == fingerprint_of(workspace, [ZERO_SHOT])


def test_a_killed_evaluation_asks_only_what_is_missing_and_ends_alike(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fgvr_kit.evaluation import language_model as module

    _, whole = evaluate(workspace, [ZERO_SHOT])
    protocol = of(whole, "zero-shot").protocol
    before = workspace.store.predictions("toy", protocol)
    for image_id in list(before)[9:]:  # three batches of three were committed when it was killed
        workspace.store.db["predictions"].delete_where("image_id = ?", [image_id])
    asked: list[int] = []
    real = module.answer_choices

    def counting(vlm, opened, questions):  # type: ignore[no-untyped-def]
        asked.extend(question.image.id for question in questions)
        return real(vlm, opened, questions)

    monkeypatch.setattr(module, "answer_choices", counting)
    _, again = evaluate(workspace, [ZERO_SHOT])
    assert asked == [image_id for image_id in before if image_id in set(list(before)[9:])]
    assert workspace.store.predictions("toy", protocol) == before
    assert again == whole

    asked.clear()
    evaluate(workspace, [ZERO_SHOT])
    assert asked == []


DIFFERENCE = "difference from zero-shot"


def test_both_models_answer_the_same_questions_and_are_compared_pairwise(workspace: Workspace) -> None:
    _, scores = evaluate(
        workspace, [ZERO_SHOT, LanguageModel("tuned", "toy + x", note="untrained toy model")]
    )
    whole = [(s.model, s.metric) for s in scores if not s.class_name and s.metric in ("accuracy", DIFFERENCE)]
    assert whole == [
        ("chance", "accuracy"),
        ("most frequent class", "accuracy"),
        ("zero-shot", "accuracy"),
        ("tuned", "accuracy"),
        ("tuned", DIFFERENCE),
    ]
    assert (of(scores, "chance").value, of(scores, "tuned", DIFFERENCE).value) == (0.25, 0.0)


def tuned_adapter(folder: Path) -> Path:
    """An adapter that is not at its start: it changes what the toy answers."""
    import torch

    from fgvr_kit.families.base import Vlm

    vlm = Vlm.load("toy-vlm", device="cpu", quantize="none")
    vlm.attach_lora(r=4, alpha=32, dropout=0.0, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, weight in vlm.model.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator)
    vlm.save_adapter(folder)
    return folder


def test_the_tuned_model_answers_with_its_adapter(workspace: Workspace, tmp_path: Path) -> None:
    from fgvr_kit.evaluation.protocols import answer_choices
    from fgvr_kit.families.base import Vlm

    adapter = tuned_adapter(tmp_path / "adapter")
    _, scores = evaluate(workspace, [ZERO_SHOT, LanguageModel("tuned", "toy + adapter", adapter)])
    first = workspace.store.predictions("toy", scores[0].protocol)
    second = workspace.store.predictions("toy + adapter", scores[0].protocol)
    assert any(first[image_id].scores != second[image_id].scores for image_id in first)
    questions = choice_questions(workspace)[:3]
    alone = answer_choices(
        Vlm.load("toy-vlm", device="cpu", quantize="none", adapter=adapter), workspace, questions
    )
    assert alone == [second[question.image.id] for question in questions]


def test_the_difference_is_tuned_minus_zero_shot(workspace: Workspace) -> None:
    from fgvr_kit.types import Prediction

    questions = choice_questions(workspace)
    protocol = protocol_of(questions, workspace.settings.train.max_pixels)
    for key, n_right in (("toy", 5), ("toy + x", 15)):
        workspace.store.put_predictions(
            key,
            protocol,
            [
                Prediction(
                    q.image.id,
                    q.options,
                    q.image.class_name
                    if n < n_right
                    else next(name for name in q.options if name != q.image.class_name),
                    q.image.class_name,
                    (0.0,) * len(q.options),
                )
                for n, q in enumerate(questions)
            ],
        )
    _, scores = evaluate(workspace, [ZERO_SHOT, LanguageModel("tuned", "toy + x")])
    assert (of(scores, "zero-shot").value, of(scores, "tuned").value) == (0.25, 0.75)
    assert of(scores, "tuned", DIFFERENCE).value == 0.5
    assert of(scores, "tuned", "p of " + DIFFERENCE).value == pytest.approx(2**-9)  # ten of ten the same way


def test_the_system_message_of_the_prompt_is_sent_and_belongs_to_the_protocol(workspace: Workspace) -> None:
    before = choice_questions(workspace)
    prompt = ejected(workspace.root, "ask/choice")
    prompt.write_text(prompt.read_text().replace("+++", '+++\nsystem = "You know {{ superclass }}s."', 1))
    after = choice_questions(workspace)
    assert {question.system for question in after} == {"You know objects."}
    assert protocol_of(after, 1000) != protocol_of(before, 1000)
    evaluate(workspace, [ZERO_SHOT])
    evaluate(other(workspace, "train.device=cpu"), [ZERO_SHOT])
    prompt.write_text(prompt.read_text().replace("You know", "You are"))
    _, scores = evaluate(workspace, [ZERO_SHOT])
    assert len(workspace.store.predictions("toy", scores[0].protocol)) == 20


def test_a_picture_that_changed_since_init_is_not_asked_about(workspace: Workspace) -> None:
    from fgvr_kit.errors import ImageError
    from tests.photographs import picture

    picture("another").save(workspace.ref_of(workspace.store.images("test")[0]).path)
    with pytest.raises(ImageError) as caught:
        evaluate(workspace, [ZERO_SHOT])
    assert caught.value.code == "image-changed"


def test_probabilities_that_are_not_numbers_are_an_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from fgvr_kit.errors import ModelError
    from fgvr_kit.families.base import Vlm

    monkeypatch.setattr(
        Vlm, "choose", lambda self, asks, labels: torch.full((len(asks), len(labels)), float("nan"))
    )
    with pytest.raises(ModelError) as caught:
        evaluate(workspace, [ZERO_SHOT])
    assert caught.value.code == "scores-not-finite"
    assert workspace.store.scores() == []
