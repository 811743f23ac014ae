"""The obvious mistakes: each gets its code, two to four lines, the right exit code, and nothing is lost."""

from __future__ import annotations

import builtins
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Result, Shell
from tests.ejected import ejected
from tests.photographs import class_folders


def check(shell: Shell, args: list[str | Path], code: str, exit_code: int, in_hint: str) -> Result:
    """Run twice: for a program (code and hint in the envelope) and for a person (two to four lines)."""
    as_json = shell(*args, "--json")
    assert as_json.code == exit_code
    assert as_json.json["ok"] is False
    error = as_json.json["error"]
    assert error["code"] == code
    assert in_hint in error["hint"]
    told = shell(*args)
    assert told.code == exit_code
    lines = [line for line in told.err.splitlines() if line.strip()]
    words = [line.split(":")[0] for line in lines]
    assert words[0] == "error"
    assert words[-1] == "hint"
    assert set(words) <= {"error", "where", "why", "hint"}
    assert 2 <= len(lines) <= 4
    assert told.out == ""
    return told


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.name.endswith(("-wal", "-shm"))
    }


def test_no_such_folder(shell: Shell) -> None:
    check(shell, ["init", "nowhere"], "dataset-not-found", 2, "one folder for each class")


def test_a_file_instead_of_a_folder(shell: Shell) -> None:
    (shell.cwd / "a.zip").write_bytes(b"x")
    check(shell, ["init", "a.zip"], "dataset-is-archive", 2, "unpack it")
    (shell.cwd / "a.jpg").write_bytes(b"x")
    check(shell, ["init", "a.jpg"], "dataset-is-file", 2, "columns path and label")


def test_a_folder_without_images(shell: Shell) -> None:
    (shell.cwd / "pests" / "bee").mkdir(parents=True)
    (shell.cwd / "pests" / "bee" / "notes.txt").write_text("x")
    told = check(shell, ["init", "pests"], "dataset-no-images", 2, "beetle/1.jpg")
    assert "a text file, not an image" in told.err
    assert not (shell.cwd / "fgvr.toml").exists()


def test_one_class_only(shell: Shell) -> None:
    class_folders(shell.cwd / "pests", {"bee": 3})
    check(shell, ["init", "pests"], "dataset-one-class", 2, "holds all class folders")


def test_a_class_with_one_image_is_a_warning(shell: Shell) -> None:
    class_folders(shell.cwd / "pests", {"bee": 3, "wasp": 1})
    result = shell("init", "pests", "--json")
    assert result.code == 0
    assert [(w["code"], w["hint"]) for w in result.json["warnings"]] == [
        ("class-one-image", "add images, or remove the class, and run init again")
    ]
    assert "warning: class 'wasp' has only one image" in shell("init", "pests").err


def test_unreadable_files_are_named_and_the_rest_is_used(shell: Shell, pests: Path) -> None:
    (pests / "bee" / "broken.jpg").write_bytes(b"x")
    (pests / "bee" / "empty.jpg").write_bytes(b"")
    result = shell("init", "pests")
    assert result.code == 0
    assert "bee/broken.jpg  1         not an image" in result.out
    assert "bee/empty.jpg" in result.out
    listed = shell("status", "--skipped", "--json").json["data"]["skipped"]
    assert [(row["path"], row["reason"], row["class_name"]) for row in listed] == [
        ("bee/broken.jpg", "not an image", "bee"),
        ("bee/empty.jpg", "the file is empty", "bee"),
    ]
    assert all(row["code"] for row in listed)


def test_a_workspace_that_exists_for_another_folder(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    class_folders(shell.cwd / "coins", {"cent": 2, "euro": 2})
    before = snapshot(shell.cwd)
    check(shell, ["init", "coins"], "workspace-exists", 2, "-w DIR")
    assert snapshot(shell.cwd) == before


def test_the_workspace_inside_the_image_folder(shell: Shell, pests: Path) -> None:
    check(shell, ["init", "pests", "-w", "pests/work"], "workspace-in-dataset", 2, "-w DIR")


def test_no_workspace_here(shell: Shell) -> None:
    check(shell, ["mine"], "no-workspace", 2, "fgvr-kit init")
    check(shell, ["status", "-w", "elsewhere"], "no-workspace", 2, "fgvr-kit init IMAGES -w elsewhere")


def test_the_image_folder_is_gone(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    pests.rename(shell.cwd / "moved")
    check(shell, ["mine", "--model", "toy-clip"], "dataset-not-found", 2, "[dataset] path")


def test_an_unknown_key_in_fgvr_toml(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    file = shell.cwd / "fgvr.toml"
    file.write_text(file.read_text().replace("\nsuperclass = ", "\nsuper_class = "))
    told = check(shell, ["status"], "settings-unknown", 2, "did you mean 'superclass'?")
    assert "fgvr.toml" in told.err


def test_fgvr_toml_that_is_no_toml(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    (shell.cwd / "fgvr.toml").write_text("[dataset\n")
    check(shell, ["status"], "settings-toml", 2, "quotes")


def test_an_unknown_backend(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    check(
        shell,
        ["attributes", "discover", "--backend", "opnai:gpt-x"],
        "unknown-backend",
        2,
        "did you mean 'openai'?",
    )


def test_a_backend_without_a_model(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    check(shell, ["attributes", "discover", "--backend", "openai"], "backend-spec", 2, "openai:")


def test_no_backend_at_all(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    check(shell, ["attributes", "discover"], "no-backend", 2, "--backend")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("room", ["openai", "ollama"])
def test_an_unreachable_server(shell: Shell, pests: Path, room: str) -> None:
    shell("init", "pests")
    key = {"openai": "openai.base_url", "ollama": "ollama.host"}[room]
    address = f"http://127.0.0.1:{free_port()}" + ("/v1" if room == "openai" else "")
    args: list[str | Path] = [
        "attributes",
        "discover",
        "--backend",
        f"{room}:some-model",
        "--set",
        f"{key}={address}",
    ]
    told = check(shell, args, "backend-unreachable", 1, "")
    assert "127.0.0.1" in told.err


def test_a_missing_extra(shell: Shell, pests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("init", "pests")
    real = builtins.__import__

    def without_open_clip(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "open_clip":
            raise ModuleNotFoundError("No module named 'open_clip'", name="open_clip")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(
        "importlib.import_module",
        lambda name, *a: (
            without_open_clip(name)
            if name == "open_clip"
            else __import__("sys").modules.get(name) or real(name)
        ),
    )
    check(shell, ["mine", "--model", "ViT-B-32:openai"], "missing-extra", 2, "pip install 'fgvr-kit[local]'")


def test_steps_in_the_wrong_order_name_the_one_before(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    check(
        shell,
        ["attributes", "extract", "--backend", "replay:x.jsonl"],
        "no-attributes",
        2,
        "attributes discover",
    )
    check(shell, ["eval", "--model", "toy-vlm"], "no-options", 2, "fgvr-kit mine")
    assert shell("train", "--model", "toy-vlm", "--json").json["error"]["code"] in (
        "no-descriptions",
        "no-negatives",
    )


def test_no_model_chosen(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    check(shell, ["mine"], "no-mine-model", 2, "ViT-L-14:laion2b_s32b_b82k")
    check(shell, ["eval"], "no-train-model", 2, "--model")
    check(shell, ["train"], "no-train-model", 2, "--model")


def test_a_database_of_a_newer_version(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    from fgvr_kit.store import Store

    with Store(shell.cwd / ".fgvr" / "fgvr.db") as store:
        store.db["_sqlite_migrations"].insert(
            {"migration_set": "fgvr_kit", "name": "m999", "applied_at": "2099"}
        )
    check(shell, ["status"], "store-newer", 1, "pip install --upgrade fgvr-kit")


def test_classes_csv_that_was_edited_wrongly(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    (shell.cwd / "classes.csv").write_text("name,display\nbee,Bee\n")
    check(shell, ["mine", "--model", "toy-clip"], "csv-columns", 2, "class,display_name")
    (shell.cwd / "classes.csv").write_text("class,display_name\nbee,Bee\n")
    check(shell, ["mine", "--model", "toy-clip"], "classes-missing", 2, "fgvr-kit init")


def test_a_word_that_is_no_command(shell: Shell) -> None:
    result = shell("trian")
    assert result.code == 2
    assert "train" in result.err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_classes_csv_saved_by_a_spreadsheet_is_read(shell: Shell, pests: Path, encoding: str) -> None:
    shell("init", "pests")
    text = "class;display_name;synonyms;note\r\nbee;Große Biene;Apis;\r\nwasp;Wespe;;\r\n"
    (shell.cwd / "classes.csv").write_bytes(text.encode(encoding))
    assert shell("init", "pests").code == 0  # adds the row that is missing
    from fgvr_kit.workspace import Workspace

    with Workspace(shell.cwd) as workspace:
        shown = {name: c.display_name for name, c in workspace.classes().items()}
    assert shown == {"ant": "ant", "bee": "Große Biene", "wasp": "Wespe"}


def test_classes_csv_in_another_encoding(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    (shell.cwd / "classes.csv").write_bytes("class,display_name\nbee,Große Biene\n".encode("cp1252"))
    check(shell, ["mine", "--model", "toy-clip"], "csv-encoding", 2, "CSV UTF-8")
    check(shell, ["init", "pests"], "csv-encoding", 2, "CSV UTF-8")


def test_two_classes_shown_under_one_name(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    (shell.cwd / "classes.csv").write_text("class,display_name\nbee,Insect\nwasp,insect\nant,ant\n")
    check(shell, ["mine", "--model", "toy-clip"], "classes-same-name", 2, "another display_name")


def test_a_place_that_cannot_be_written_to(
    shell: Shell, pests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "fgvr.toml")

    monkeypatch.setattr("fgvr_kit.pipeline.init.fresh.write_text", full)
    check(shell, ["init", "pests"], "disk", 1, "the same command goes on")


def test_options_before_a_sub_command_of_attributes_are_not_lost_silently(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    args: list[str | Path] = ["attributes", "--backend", "ollama:x", "extract"]
    result = shell(*args)
    assert result.code == 2
    assert "fgvr-kit attributes extract OPTIONS" in result.err


def test_a_database_that_fails_is_told(shell: Shell, pests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    shell("init", "pests")
    monkeypatch.setattr("fgvr_kit.store.Store.put_images", full)
    check(shell, ["init", "pests"], "store-failed", 1, "is the disk full?")


def test_a_superclass_that_looks_like_a_number_is_a_word(shell: Shell, pests: Path) -> None:
    assert shell("init", "pests", "--superclass", "911").code == 0
    assert 'superclass = "911"' in (shell.cwd / "fgvr.toml").read_text()


def test_a_prompt_and_settings_saved_by_notepad_are_read(shell: Shell, pests: Path) -> None:
    shell("init", "pests")
    ejected(shell.cwd, "mine/class")
    for name in ("fgvr.toml", "prompts/mine/class.md"):
        file = shell.cwd / name
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert shell("mine", "--model", "toy-clip").code == 0
    (shell.cwd / "prompts/mine/class.md").write_bytes("+++\nabout = 'größer'\n+++\nx".encode("cp1252"))
    check(shell, ["mine"], "prompt-encoding", 2, "UTF-8")


def test_replies_that_did_not_come_are_exit_4_and_what_came_is_kept(shell: Shell, pests: Path) -> None:
    import json

    shell("init", "pests")
    (shell.cwd / "list.txt").write_text("colour\n")
    shell("attributes", "discover", "--from", "list.txt")
    from fgvr_kit.workspace import Workspace

    with Workspace(shell.cwd) as workspace:
        images = workspace.store.images()
    lines = [
        {"image": image.sha256, "answers": {"general": "A bee.", "colour": "red"}} for image in images[:5]
    ]
    (shell.cwd / "some.jsonl").write_text(
        "".join(json.dumps(line | {"purpose": "extract"}) + "\n" for line in lines)
    )
    result = shell("attributes", "extract", "--backend", "replay:some.jsonl", "--json")
    assert result.code == 4
    assert result.json["error"]["code"] == "partly-done"
    states = {s["name"]: s["state"] for s in shell("status", "--json").json["data"]["steps"]}
    assert states["extract"] != "done"
    with Workspace(shell.cwd) as workspace:
        assert workspace.store.count("answers") == 10
