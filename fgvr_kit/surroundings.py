"""What this machine offers: GPUs, a running Ollama, an API key. Asks the system, never torch.

No network but the Ollama host. What cannot be found out counts as not there.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

_QUERY = "name,memory.total,memory.free,driver_version"
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Gpu:
    """An NVIDIA GPU. memory, free: bytes; 0 where the driver does not tell. driver: its version."""

    name: str
    memory: int
    free: int
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Driver:
    """What nvidia-smi says. problem: why it could not say it; None too where there is no nvidia-smi."""

    gpus: tuple[Gpu, ...] = ()
    problem: str | None = None


def gpus() -> list[Gpu]:
    """The NVIDIA GPUs of this machine; none also where nvidia-smi fails, which is logged.

    $CUDA_VISIBLE_DEVICES hides GPUs from programs, not from nvidia-smi: this lists them all.
    """
    return list(ask_driver().gpus)


def ask_driver(seconds: float = 10.0) -> Driver:
    """One call of nvidia-smi. seconds: how long it may take; a driver that must wake up takes a few."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return Driver()
    argv = [command, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return _broken(f"no answer within {seconds:g} s")
    except OSError as error:
        return _broken(str(error))
    if said.returncode != 0:
        return _broken(" ".join((said.stderr or said.stdout).split())[:300] or f"exit {said.returncode}")
    found = [_gpu(line) for line in said.stdout.splitlines() if line.strip()]
    if None in found:
        return _broken(f"unknown answer: {said.stdout.strip()[:100]!r}")
    return Driver(tuple(gpu for gpu in found if gpu is not None))


def _broken(problem: str) -> Driver:
    log.warning("nvidia-smi: %s", problem)
    return Driver(problem=problem)


def _gpu(line: str) -> Gpu | None:
    """ "NVIDIA L4, 23034, 22563, 580.65.06"; memory in MiB, "[N/A]" where it is shared with the CPU."""
    cells = [cell.strip() for cell in line.rsplit(",", 3)]
    if len(cells) != 4 or not cells[0]:
        return None
    name, memory, free, driver = cells
    return Gpu(name, _mib(memory), _mib(free), driver)


def _mib(text: str) -> int:
    return int(text) * _MIB if text.isdigit() else 0


def ollama_models(host: str, seconds: float = 1.0) -> list[str] | None:
    """Names of the models of a running Ollama, None when none answers within `seconds`.

    host: as in [ollama] host; empty: $OLLAMA_HOST, or else http://127.0.0.1:11434.
    """
    import ollama  # before the clock starts

    found: list[list[str]] = []

    def ask() -> None:
        try:
            with ollama.Client(host=host or None, timeout=seconds) as client:
                found.append(sorted(model.model for model in client.list().models if model.model))
        except Exception as error:  # whatever is wrong with the address or with what answers there
            log.info("no Ollama at %s: %s", host or "its usual place", error)

    # A name that does not resolve, or a server that trickles, keeps a client longer than its timeout.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return found[0] if found else None


def has_openai_key(environ: Mapping[str, str], name: str = "OPENAI_API_KEY") -> bool:
    """Whether the backend openai would find a key. name: its [openai] api_key_env. Only the environment is read,
    as the backend does."""
    return bool(environ.get(name, "").strip())
