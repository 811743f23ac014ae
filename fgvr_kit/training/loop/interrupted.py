"""What may end training before its time, and how: Ctrl-C after the step under way, a full disk with the last good
checkpoint left as it is."""

from __future__ import annotations

import errno
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from fgvr_kit.errors import FgvrError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_ALMOST_FULL = 1 << 20  # bytes


@contextmanager
def on_ctrl_c(first: Callable[[], None]) -> Iterator[None]:
    """Call `first` at the first Ctrl-C; the second one interrupts at once. Without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def pressed(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        first()

    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def telling_of_full_disk(folder: Path) -> Iterator[None]:
    """Raise FgvrError "disk-full" in place of what torch, safetensors and Python say when nothing can be written.

    What was half-written below folder is removed: it is of no use, and its room is needed.
    """
    try:
        yield
    except Exception as error:
        if not _is_full(error, folder):
            raise
        remove_half_written(folder)
        raise FgvrError(
            "the disk is full: training stopped while it was saving",
            code="disk-full",
            where=str(folder),
            why="; ".join(str(error).split("\n")[:1]),
            hint="make room; the same command goes on from the last whole checkpoint",
        ) from error


def remove_half_written(folder: Path) -> None:
    """Remove checkpoints of a run's folder that are not whole, and parts that wait for their rename."""
    from fgvr_kit.training.checkpoints.checkpoint import last_complete

    last_complete(folder / "checkpoints")
    for part in folder.glob("*.part"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _is_full(error: BaseException, folder: Path) -> bool:
    """torch raises a RuntimeError of its zip writer, safetensors its own error: neither has an errno."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    if isinstance(error, FgvrError):
        return False
    text = str(error)
    if "No space left" in text or "os error 28" in text or "disk is full" in text:
        return True
    wrote = "PytorchStreamWriter" in text or "inline_container" in text
    return wrote and _free(folder) < _ALMOST_FULL


def _free(folder: Path) -> int:
    standing = next((place for place in (folder, *folder.parents) if place.is_dir()), Path("/"))
    return shutil.disk_usage(standing).free
