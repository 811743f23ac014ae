from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from fgvr_kit import keys
from fgvr_kit.errors import FgvrError

AZURE = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(keys, "_found", set())
    return


def git(folder: Path, *args: str) -> None:
    subprocess.run(["git", "-C", str(folder), *args], check=True, capture_output=True)


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A_KEY=of-the-file\n")
    first = keys.find("A_KEY", tmp_path, {"A_KEY": " of-the-shell\n"})
    assert first is not None
    assert (first.value, first.source) == ("of-the-shell", "the environment")
    assert keys.source("A_KEY", tmp_path, {"A_KEY": ""}) == str(tmp_path / ".env")
    assert keys.find("OTHER_KEY", tmp_path, {}) is None
    assert keys.find("A_KEY", tmp_path / "nowhere", {}) is None


@pytest.mark.parametrize(
    "content",
    [
        b"A_KEY=sk-a$b#c\n",
        b"export A_KEY='sk-a$b#c'\r\n",
        b'\xef\xbb\xbfA_KEY = "sk-a$b#c"',
        b"# x\n\nB=1\nA_KEY=sk-a$b#c",
    ],
)
def test_a_file_as_people_write_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(content)
    key = keys.find("A_KEY", tmp_path, {"b": "no"})
    assert key is not None
    assert key.value == "sk-a$b#c"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("A_KEY='sk-0123 456'", "key-malformed"),
        ("A_KEY=“sk-0123”", "key-malformed"),
        ("\xff", "env-unreadable"),
    ],
)
def test_what_is_no_key_is_told_without_showing_it(content: str, code: str, tmp_path: Path) -> None:
    encoding = "latin-1" if code == "env-unreadable" else "utf-8"
    (tmp_path / ".env").write_text(content, encoding=encoding)
    with pytest.raises(FgvrError) as caught:
        keys.find("A_KEY", tmp_path, {})
    assert caught.value.code == code
    assert str(tmp_path / ".env") in repr(caught.value.lines())
    assert "0123" not in repr(caught.value.lines())


def test_a_key_is_not_in_its_repr(tmp_path: Path) -> None:
    assert AZURE not in repr(keys.find("A_KEY", tmp_path, {"A_KEY": AZURE}))


@pytest.mark.parametrize(
    "secret",
    [
        "sk-0123456789abcdef", "sk-proj-Ab_1-cdefghij", "sk-abc***********wxyz", "hf_abcdefghijklmnop",
        "AIzaSyA0123456789_-abcdefghijklmnopqrst", "gsk_0123456789ab", "ghp_0123456789abcdefghij",
    ],
)  # fmt: skip
def test_what_looks_like_a_key_is_hidden(secret: str) -> None:
    assert keys.hide(f"Incorrect API key provided: {secret}. See ...") == (
        "Incorrect API key provided: [key]. See ..."
    )


def test_what_is_called_a_key_is_hidden() -> None:
    assert keys.hide("Authorization: Bearer abcdef0123456789") == "Authorization: Bearer [key]"
    assert keys.hide(f'{{"api-key": "{AZURE}"}}') == '{"api-key": "[key]"}'
    # Words are no keys.
    for text in (
        "the bearer of news",
        "a risk-free sketch",
        "task-oriented",
        "no api key: none",
        "hf_hub_download",
    ):
        assert keys.hide(text) == text


def test_a_key_that_was_found_is_hidden_everywhere(tmp_path: Path) -> None:
    assert AZURE in keys.hide(f"sent {AZURE}")
    keys.find("A_KEY", tmp_path, {"A_KEY": AZURE})
    assert keys.hide(f"sent {AZURE}") == "sent [key]"
    assert keys.hide("sent my-other-one", ["my-other-one"]) == "sent [key]"


def test_the_word_given_to_a_server_without_keys_stays_a_word(tmp_path: Path) -> None:
    keys.find("A_KEY", tmp_path, {"A_KEY": "none"})
    assert keys.hide("The value is none.", ["none"]) == "The value is none."


def test_logs_show_no_keys(tmp_path: Path) -> None:
    keys.find("A_KEY", tmp_path, {"A_KEY": AZURE})
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(keys.HidesKeys())
    log = logging.getLogger("test_keys")
    log.addHandler(handler)
    try:
        log.warning("sent %s to %s", AZURE, {"key": "sk-0123456789abcdef"})
        try:
            raise ValueError(AZURE)
        except ValueError:
            log.exception("broke")
    finally:
        log.removeHandler(handler)
    assert AZURE not in out.getvalue()
    assert out.getvalue().startswith("sent [key] to {'key': '[key]'}\nbroke\nTraceback")
    assert "ValueError: [key]" in out.getvalue()


def test_a_kept_key_is_found_again_and_private(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nB=2\nA_KEY=old-old-old\nC='x y'")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        assert keys.keep("A_KEY", "sk-a$b'c\\d", tmp_path) == path
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = keys.find("A_KEY", tmp_path, {})
    assert key is not None
    assert key.value == "sk-a$b'c\\d"
    assert [line for line in path.read_text().splitlines() if "KEY" not in line] == [
        "# mine",
        "B=2",
        "C='x y'",
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == [".env"]


def test_git_is_told_to_leave_it_alone(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    folder = tmp_path / "coins"
    folder.mkdir()
    (folder / ".gitignore").write_text("store/")
    keys.keep("A_KEY", "sk-0123456789", folder)
    assert (folder / ".gitignore").read_text() == "store/\n/.env\n"
    keys.keep("B_KEY", "sk-0123456789", folder)
    assert (folder / ".gitignore").read_text() == "store/\n/.env\n"
    git(tmp_path, "add", "--all")
    listed = subprocess.run(
        ["git", "-C", str(tmp_path), "ls-files"], capture_output=True, text=True, check=True
    ).stdout
    assert listed.split() == ["coins/.gitignore"]


def test_a_file_that_git_has_is_not_written(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".env").write_text("B=2\n")
    git(tmp_path, "add", ".env")
    with pytest.raises(FgvrError) as caught:
        keys.keep("A_KEY", "sk-0123456789", tmp_path)
    assert caught.value.code == "env-tracked"
    assert (tmp_path / ".env").read_text() == "B=2\n"


def test_a_git_that_cannot_say_is_no_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "--quiet")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FgvrError) as caught:
        keys.keep("A_KEY", "sk-0123456789", tmp_path)
    assert caught.value.code == "env-git"
    assert not (tmp_path / ".env").exists()


def test_nobody_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("sk-0123456789\n"))
    with pytest.raises(FgvrError) as caught:
        keys.prompt("A_KEY")
    assert caught.value.code == "no-terminal"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_what_is_typed_is_not_shown() -> None:
    import pty

    code = "from fgvr_kit import keys; print('typed', len(keys.prompt('A_KEY')), keys.hide('secret-key-1'))"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(Path(__file__).parents[1])
        os.execv(sys.executable, [sys.executable, "-c", code])
    shown = b""
    while b"A_KEY (not shown): " not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, b" secret-key-1 \n")
    try:
        while part := os.read(terminal, 1000):
            shown += part
    except OSError:  # Linux ends a terminal so
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"secret" not in shown
    assert b"typed 12 [key]" in shown
