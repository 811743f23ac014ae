from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from fgvr_kit.workspace import Workspace
from tests.cli.conftest import Result, Shell, python
from tests.training.conftest import build_workspace


@pytest.fixture
def work(shell: Shell, toy_vlm_path: Path) -> Workspace:
    """The current directory, made ready to train."""
    return build_workspace(shell.cwd)


def test_a_dry_run_tells_rows_and_steps_and_what_is_left_out(shell: Shell, work: Workspace) -> None:
    kept = [n for ns in work.store.negatives().values() for n in ns if n.image_id > 1]
    work.store.put_mined(kept, [])
    result = shell("train", "--dry-run", "--json", "--shots", "2", "--set", "finedefics.epochs=2")
    plan = result.json["data"]["plan"]
    assert result.code == 0
    assert plan["classes"] == dict.fromkeys(["bee", "black ant", "red ant", "wasp"], 2)
    align, instruct = plan["stages"]
    assert (align["stage"], align["batch"], align["micro_batch"], align["accumulation"]) == ("align", 4, 4, 1)
    assert align["steps"] == 2 * -(-align["examples"] // 4)
    assert ["training images", 4, "not one of the 2 shots of their class"] in instruct["dropped"]
    assert plan["settings"]["train"]["shots"] == 2
    assert plan["settings"]["finedefics"]["stages"] == ["align", "instruct"]
    assert "shots" not in (work.root / "fgvr.toml").read_text()


def test_a_dry_run_loads_no_torch(shell: Shell, work: Workspace) -> None:
    told = python(
        "import sys\nfrom fgvr_kit.cli.app import app\n"
        "try: app(['train', '--dry-run', '--json'])\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)), file=sys.stderr)",
        cwd=work.root,
    )
    assert told.stderr.strip() == "[]"
    assert json.loads(told.stdout)["ok"]


@pytest.mark.parametrize(
    ("break_", "code"),
    [
        (lambda w: w.store.put_descriptions([]), "no-descriptions"),
        (lambda w: w.store.put_mined([], []), "no-negatives"),
        (lambda w: (w.root / "fgvr.toml").write_text('[dataset]\npath = "images"\n'), "no-train-model"),
    ],
)
def test_a_dry_run_finds_what_training_would_stumble_over(
    shell: Shell,
    work: Workspace,
    break_,
    code: str,  # type: ignore[no-untyped-def]
) -> None:
    break_(work)
    result = shell("train", "--dry-run", "--json")
    assert (result.code, result.json["error"]["code"]) == (2, code)


def test_mirrors_are_refused_where_sides_or_writing_matter(shell: Shell, work: Workspace) -> None:
    flip = ("train", "--dry-run", "--json", "--augment", "flip")
    assert shell(*flip).code == 0
    notes = "the left wing is shown"
    result = shell(*flip, "--set", f"domain.notes='{notes}'")
    assert result.json["error"]["code"] == "flip-refused"
    assert shell("train", "--dry-run", "--augment", "crop", "--set", f"domain.notes='{notes}'").code == 0


def test_flags_that_ask_for_different_things_are_refused(shell: Shell, work: Workspace) -> None:
    result = shell("train", "--dry-run", "--preview", "--json")
    assert (result.code, result.json["error"]["code"]) == (2, "flags-mixed")


def test_a_choice_that_fgvr_toml_contradicts_is_told(shell: Shell, work: Workspace) -> None:
    """Else eval would score another model than the one just trained, and nobody would know."""
    one = ("--set", "finedefics.stages=['instruct']")
    assert "choice-not-kept" not in codes_of(shell("train", "--tune", "dora", "--json", *one))
    told = shell("train", "--tune", "lora", "--json", *one)
    assert "choice-not-kept" in codes_of(told)
    assert "is dora in fgvr.toml" in told.out


def codes_of(told: Result) -> set[str]:
    return {notice["code"] for notice in told.json["warnings"]}


def test_rows_are_a_choice_of_the_preview(shell: Shell, work: Workspace) -> None:
    assert shell("train", "--rows", "2", "--dry-run").code == 2


def test_a_job_for_the_cloud_is_printed_and_nothing_is_trained(shell: Shell, work: Workspace) -> None:
    (work.root / "fgvr.toml").write_text(
        (work.root / "fgvr.toml").read_text().replace('"toy-vlm"', '"HuggingFaceM4/idefics2-8b"')
    )
    told = shell("train", "--print-sky", "--gpus", "2", "--quant", "nf4", "--set", "finedefics.epochs=3")
    job = yaml.safe_load(told.out)
    assert told.code == 0
    assert set(job) == {"name", "resources", "workdir", "setup", "run"}
    assert job["resources"]["accelerators"]["L4"] == 2
    assert job["workdir"] == str(work.root)
    assert job["run"].splitlines()[-1] == (
        "fgvr-kit train --gpus 2 --set finedefics.epochs=3 --set 'train.quantize=\"nf4\"' --set train.device=cuda"
    )
    assert not (work.state / "runs").exists()


def test_the_preview_shows_pictures_and_which_tokens_are_trained(shell: Shell, work: Workspace) -> None:
    result = shell("train", "--preview", "--rows", "2", "--json")
    assert result.code == 0, result.err
    align, instruct = result.json["data"]["stages"]
    row = align["longest"]
    trained = "".join(piece["text"] for piece in row["pieces"] if piece["is_trained"])
    assert "seen from above" in trained
    assert "Describe what can be seen" not in trained
    assert row["image_tokens"] == 8
    assert row["tokens"] == sum(piece["n"] for piece in row["pieces"])
    assert {what for what, _ in row["texts"]} >= {"description", "class"}
    letters = [p["text"] for p in instruct["longest"]["pieces"] if p["is_trained"]]
    assert letters[0].strip()[:1] in "ABC"
    page = Path(result.json["data"]["page"]).read_text()
    assert "<mark>" in page
    assert page.count("data:image/png;base64,") == 6
    assert str(work.root) not in page


def test_the_preview_marks_trained_tokens_in_a_pipe_too(shell: Shell, work: Workspace) -> None:
    out = shell("train", "--preview", "--rows", "1", "--set", "finedefics.stages=['instruct']").out
    assert "[<image> x 8]" in out
    assert "\N{LEFT DOUBLE ANGLE BRACKET}" in out


def test_a_plan_measures_and_auto_adopts_it_and_trains(shell: Shell, work: Workspace) -> None:
    once = ("--set", "finedefics.stages=['instruct']", "--set", "finedefics.instruct_batch=2")
    planned = shell("train", "--plan", "--json", *once).json["data"]
    assert {(row["micro_batch"], row["checkpointing"]) for row in planned["measured"]} >= {
        (1, True), (2, True), (1, False), (2, False),
    }  # fmt: skip
    assert all(row["peak"] > 0 and row["seconds"] > 0 for row in planned["measured"])
    assert planned["best"]["finedefics.micro_batch"] in (1, 2)
    assert not (work.state / "runs").exists()
    (work.root / "fgvr.toml").write_text(
        (work.root / "fgvr.toml").read_text().replace("micro_batch = 4\n", "")
    )
    result = shell("train", "--auto", *once, "--set", "finedefics.epochs=0.1")
    assert result.code == 0, result.err
    assert "micro_batch = " in (work.root / "fgvr.toml").read_text()
    assert work.store.runs()[0]["status"] == "done"


def test_training_tells_where_the_curves_are(shell: Shell, work: Workspace) -> None:
    data = shell("train", "--json", "--set", "finedefics.stages=['instruct']").json["data"]
    assert Path(data["curves"]).read_bytes().startswith(b"\x89PNG")
    assert Path(data["adapter"]).is_dir()
