"""Answers are true, and follow from what is asked."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from fgvr_kit.toy.world import facts, sentences, texts, turns, words
from fgvr_kit.toy.world.facts import HAS, Facts


def drawn(n: int = 60) -> list[tuple[Facts, np.random.Generator]]:
    rng = np.random.default_rng(1)
    return [(facts.draw(rng), np.random.default_rng([2, k])) for k in range(n)]


def offered(text: str) -> dict[str, str]:
    """Letter -> what stands beside it."""
    found = re.findall(r"(?:^|\s)([A-I])[.):] (.+?)(?=\s[A-I][.):] |\n|$|\s(?:Answer|Reply|Letter))", text)
    return dict(found)


@pytest.mark.parametrize("task", turns.ASKED)
def test_the_same_dice_make_the_same_turn_and_nothing_is_left_to_fill_in(task: str) -> None:
    make = turns.ASKED[task][1]
    for one, _ in drawn():
        made = make(one, np.random.default_rng(7))
        assert made == make(one, np.random.default_rng(7))
        assert "{thing}" not in made.text
        assert made.answer


def test_a_closed_question_is_answered_by_the_letter_of_the_value() -> None:
    for one, rng in drawn():
        made = turns.closed(one, rng)
        assert offered(made.text)[made.answer] == words.value(one, made.attribute)


def test_a_choice_is_answered_by_the_letter_of_the_only_true_phrase() -> None:
    for one, rng in drawn():
        made = turns.choice(one, rng)
        if made.task == "choice of names":
            assert made.answer in offered(made.text)
            continue
        true = {sentences.phrase(one, thing) for thing in (*words.CALLED[one.kind], one.kind)}
        true |= {words.article(phrase) for phrase in true}
        assert [letter for letter, phrase in offered(made.text).items() if phrase in true] == [made.answer]


def test_look_alikes_are_of_the_same_kind_and_differ() -> None:
    for one, rng in drawn():
        found = turns.look_alikes(one, rng, 4)
        assert {like.kind for like in found} == {one.kind}
        assert len({one.identity, *(like.identity for like in found)}) == 1 + len(found) > 1


def test_a_joint_answer_is_json_with_the_keys_that_were_asked_for() -> None:
    for one, rng in drawn():
        made = turns.joint(one, rng)
        said = json.loads(made.answer)
        assert said
        assert all(f'"{key}"' in made.text for key in said)


def test_every_attribute_of_every_kind_can_be_asked_for() -> None:
    for kind, names in HAS.items():
        for name in ("kind", *names):
            assert words.wordings(name, kind)


def test_what_follows_from_facts_is_said() -> None:
    two = Facts({"kind": "coin", "colour": "gold", "second": "silver", "marking": "20"})
    assert [words.value(two, name) for name in words.DERIVED] == ["yes", "20", "none"]
    bird = Facts({"kind": "coin", "colour": "gold", "second": "none", "marking": "bird"})
    assert [words.value(bird, name) for name in words.DERIVED] == ["no", "not visible", "bird"]
    assert words.value(bird, "petals") == "not visible"


def test_descriptions_say_what_is_true_and_nothing_else() -> None:
    for one, rng in drawn():
        said = turns.describe(one, rng).answer
        assert one["colour"] in said
        others = set(facts.VALUES["background"]) - {one["background"], one["material"]}
        assert not others & set(re.findall(r"[a-z]+", said))


@pytest.mark.parametrize("task", ["summary", "short"])
def test_a_summary_holds_words_of_its_notes_alone(task: str) -> None:
    glue = {"of", "this", "the", "is", "and", "nothing", "can", "be", "seen"}
    for k in range(40):
        made = texts.TOLD[task][1](np.random.default_rng(k))
        notes = set(re.findall(r"[a-z0-9]+", made.text.lower().replace("_", " ")))
        assert set(re.findall(r"[a-z0-9]+", made.answer.lower())) <= notes | glue


def test_an_attribute_list_is_as_long_as_asked_and_takes_the_seeds() -> None:
    for k in range(40):
        made = texts.attributes(np.random.default_rng(k))
        listed = json.loads(made.answer)["attributes"]
        assert f"Which {len(listed)} attributes" in made.text
        assert len({one["name"] for one in listed}) == len(listed)
        if seeds := re.search(r"often look at: (.*?)\. Take", made.text):
            wanted = [seed.replace(" ", "_") for seed in seeds[1].split("; ")]
            assert [one["name"] for one in listed][: len(wanted)] == wanted


def test_a_mended_reply_is_the_letter_of_what_was_said() -> None:
    for k in range(40):
        made = texts.mended(np.random.default_rng(k))
        assert offered(made.text)[made.answer] == made.before[0][0]
