from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from fgvr_kit.errors import SettingsError
from fgvr_kit.recipes import finedefics
from fgvr_kit.types import Description
from fgvr_kit.workspace import Workspace


def test_defaults_are_the_papers() -> None:
    settings = finedefics.Settings()
    assert settings.model_dump(
        include={"learning_rate", "epochs", "align_batch", "instruct_batch", "rank"}
    ) == {
        "learning_rate": 2e-4,
        "epochs": 1.0,
        "align_batch": 64,
        "instruct_batch": 128,
        "rank": 8,
    }
    assert (settings.alpha, settings.dropout, settings.weight_decay, settings.ccc) == (8, 0.2, 0.01, "paper")
    assert (settings.attribute_temperature, settings.category_temperature) == (0.07, 0.07)


def test_every_setting_is_described() -> None:
    assert [n for n, f in finedefics.Settings.model_fields.items() if not f.description] == []


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("finedefics.seed=1", {"align", "instruct"}),
        ("finedefics.rank=4", {"align", "instruct"}),
        ("finedefics.micro_batch=2", set()),  # contrast = "step": what is learned does not hang on it
        ("finedefics.ccc='off'", {"align", "instruct"}),
        ("finedefics.temperature='learned'", {"align", "instruct"}),
        ("finedefics.contrast='micro'", {"align", "instruct"}),
        ("finedefics.negative_gradient=false", {"align", "instruct"}),
        ("finedefics.instruct_batch=4", {"instruct"}),
        ("finedefics.save_steps=1", set()),
        ("finedefics.temperature_learning_rate=0.1", set()),  # they are fixed
        ("finedefics.gradient_checkpointing=true", set()),
        ("train.model='other/model'", {"align", "instruct"}),
        ("train.max_pixels=10000", {"align", "instruct"}),
        ("train.device='cuda'", {"align", "instruct"}),  # quantize = "auto" is 4 bit there
        ("domain.superclass='animal'", {"align", "instruct"}),
        ("evaluate.seed=3", set()),
    ],
)
def test_a_setting_changes_the_stages_that_rest_on_it(
    workspace: Workspace, reopen: Callable[..., Workspace], override: str, changed: set[str]
) -> None:
    before = finedefics.stage_fingerprints(workspace)
    after = finedefics.stage_fingerprints(reopen(override))
    assert {stage for stage in finedefics.STAGES if before[stage] != after[stage]} == changed


def test_an_edited_prompt_changes_its_stage(workspace: Workspace, reopen: Callable[..., Workspace]) -> None:
    before = finedefics.stage_fingerprints(workspace)
    own = workspace.root / "prompts" / "ask" / "open.md"
    own.parent.mkdir(parents=True)
    own.write_text('+++\nneeds = ["unit"]\n+++\nWhich {{ unit }} is it?\n')
    after = finedefics.stage_fingerprints(reopen())
    assert after["align"] == before["align"]
    assert after["instruct"] != before["instruct"]


def test_new_descriptions_change_both_stages(workspace: Workspace) -> None:
    before = finedefics.stage_fingerprints(workspace)
    images = workspace.store.images("train")
    workspace.store.put_descriptions([Description(i.id, "Other words.", "model") for i in images])
    after = finedefics.stage_fingerprints(workspace)
    assert after["align"] != before["align"]
    assert after["instruct"] != before["instruct"]  # it starts from stage align


def test_a_folder_model_is_known_by_its_files_not_by_its_place(
    workspace: Workspace, reopen: Callable[..., Workspace]
) -> None:
    prints = []
    for place, words in [("a", "{}"), ("b", "{}"), ("c", "{ }")]:
        folder = workspace.root / place
        folder.mkdir()
        (folder / "config.json").write_text(words)
        prints.append(finedefics.stage_fingerprints(reopen(f"train.model='{folder}'"))["align"])
    assert prints[0] == prints[1] != prints[2]


def test_fingerprints_need_no_torch(workspace: Workspace) -> None:
    code = (
        "import sys; from pathlib import Path; from fgvr_kit.workspace import Workspace\n"
        "from fgvr_kit.training.checkpoints.checkpoint import final_checkpoint\n"
        f"assert final_checkpoint(Workspace(Path({str(workspace.root)!r}))) is None\n"
        "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "[]\n"


def test_a_misspelt_setting_is_refused(reopen: Callable[..., Workspace]) -> None:
    with pytest.raises(SettingsError) as caught:
        reopen("finedefics.drop_out=0.1")
    assert (caught.value.code, caught.value.hint) == ("settings-unknown", "did you mean 'dropout'?")


@pytest.mark.parametrize(
    "overrides",
    [
        ["finedefics.bank_steps=5"],  # a bank has no gradient
        ["finedefics.temperature='learned'", "finedefics.category_temperature=1.0"],  # out of its range
    ],
)
def test_settings_that_cannot_be_had_together_are_refused(
    reopen: Callable[..., Workspace], overrides: list[str]
) -> None:
    with pytest.raises(SettingsError):
        finedefics.stage_fingerprints(reopen(*overrides))
