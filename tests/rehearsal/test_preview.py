from __future__ import annotations

import json
from pathlib import Path

import pytest

from fgvr_kit.errors import PromptError, UsageError
from fgvr_kit.pipeline.called import image_called
from fgvr_kit.pipeline.describe import describe
from fgvr_kit.pipeline.discover import discover
from fgvr_kit.pipeline.extract import extract
from fgvr_kit.rehearsal.preview import preview
from fgvr_kit.store import Store
from fgvr_kit.types import Option
from fgvr_kit.workspace import Workspace
from tests.photographs import picture
from tests.pipeline.coins import opened


def walk(root: Path, *overrides: str) -> None:
    with opened(root, *overrides) as workspace:
        extract(workspace)
        describe(workspace)


def sent(root: Path, name: str) -> list[dict[str, object]]:
    with Store(root / ".fgvr" / "fgvr.db") as store:
        return [row for row in store.all_replies() if row["prompt_name"] == name]


@pytest.mark.parametrize("name", ["extract/general", "extract/question", "describe/summary"])
def test_what_is_shown_is_what_is_sent(root: Path, name: str) -> None:
    words = ('domain.notes="Some are worn."', "domain.language=de")
    walk(root, *words)
    rows = sent(root, name)
    assert rows
    with opened(root, *words) as workspace:
        paths = {image.sha256: image.path for image in workspace.store.images()}
        for row in rows[::5]:
            attribute = row["attribute"] if name == "extract/question" else None
            found = preview(workspace, name, image=paths[row["subject"]], attribute=attribute)
            assert (found.prompt.text, found.prompt.system) == (row["prompt"], row["system"] or "")
            assert found.prompt.template_hash == row["template_hash"]


def test_the_joint_question_is_shown_as_it_is_sent(root: Path, tmp_path: Path) -> None:
    from fgvr_kit.pipeline.extract.questions import JOINT_PROMPT, Questions

    with opened(root, "extract.ask=joint") as workspace:
        image = workspace.store.images()[0]
        asked = [r.prompt for r in Questions(workspace, workspace.attributes()).about([image])]
        assert preview(workspace, JOINT_PROMPT, image=image.path).prompt in asked


def test_discover_is_shown_as_it_is_sent(root: Path, tmp_path: Path) -> None:
    replay = tmp_path / "said.jsonl"
    replay.write_text(json.dumps({"purpose": "discover", "text": '["rim"]'}) + "\n")
    choices = (f'discover.backend="replay:{replay}"', 'discover.seeds=["rim width", "looks like 1 euro"]')
    with opened(root, *choices) as workspace:
        discover(workspace, replace=True)
        (row,) = sent(root, "discover/attributes")
        assert preview(workspace, "discover/attributes").prompt.text == row["prompt"]


def test_the_picture_is_told_as_the_backend_gets_it(root: Path) -> None:
    with opened(root, "extract.backend=ollama:llava:7b", "ollama.max_pixels=4000") as workspace:
        found = preview(workspace, "extract/general")
        ((width, height),) = found.sizes
        assert 3000 < width * height <= 4000
        assert found.backend == "ollama:llava:7b"
        small = preview(workspace, "discover/attributes").tokens
    assert found.tokens.low <= found.tokens.likely <= found.tokens.high
    assert small.low > 50


def test_without_a_backend_it_is_shown_all_the_same(root: Path) -> None:
    with Workspace(root) as workspace:
        found = preview(workspace, "extract/general")
    assert found.backend == ""
    assert found.tokens.likely > 0


@pytest.mark.parametrize(
    ("name", "hint"), [("describe/summary", "extract"), ("ask/choice", "mine"), ("extract/closed", "options")]
)
def test_what_a_step_before_has_not_made_is_named(root: Path, name: str, hint: str) -> None:
    with Workspace(root) as workspace, pytest.raises(PromptError) as caught:
        preview(workspace, name)
    assert caught.value.code == "prompt-lacks"
    assert hint in caught.value.hint


def test_the_first_image_that_has_what_is_needed_is_taken(root: Path) -> None:
    with Workspace(root) as workspace:
        last = workspace.store.images()[-1]
        workspace.store.put_mined(
            [], [Option(last.id, n, c, 0.5, n) for n, c in enumerate(("1_euro", "20_cent"))]
        )
        found = preview(workspace, "ask/choice")
        assert found.image == last.path
        assert "A. " in found.prompt.text


def test_an_image_is_found_however_it_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace(root) as workspace:
        image = workspace.store.images()[0]
        monkeypatch.chdir(root)
        for text in (
            image.path,
            str(root / "coins" / image.path),
            f"coins/{image.path}",
            Path(image.path).name,
        ):
            assert image_called(workspace, text) == image


@pytest.mark.parametrize("text", ["nothing.jpg", "", "1_euro"])
def test_an_image_that_is_none_is_refused_with_one_that_is(root: Path, text: str) -> None:
    with Workspace(root) as workspace, pytest.raises(UsageError) as caught:
        image_called(workspace, text)
    assert caught.value.code == "unknown-image"
    assert ".jpg" in caught.value.hint


def test_a_name_that_two_images_have_is_refused(root: Path) -> None:
    from fgvr_kit.pipeline.init import init

    for name in ("1_euro", "20_cent"):
        picture(name).save(root / "coins" / name / "same.png")
    init(root / "coins", root)
    with Workspace(root) as workspace, pytest.raises(UsageError, match="2 images") as caught:
        image_called(workspace, "same.png")
    assert "20_cent/same.png" in caught.value.hint


def test_an_unknown_attribute_offers_those_that_hold_the_word(root: Path) -> None:
    with Workspace(root) as workspace, pytest.raises(UsageError) as caught:
        preview(workspace, "extract/question", attribute="rim")
    assert caught.value.code == "unknown-attribute"
    assert "'rim_edge'" in caught.value.hint


def test_a_file_is_shown_as_if_it_were_one_of_extract(root: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.md"
    draft.write_text('+++\nneeds = ["superclass", "question"]\n+++\nOf the {{ superclass }}: {{ question }}')
    with Workspace(root) as workspace:
        found = preview(workspace, str(draft), attribute="rim_edge")
    assert found.prompt.text.startswith("Of the euro coin: ")
    assert len(found.sizes) == 1
