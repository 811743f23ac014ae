"""Starting several processes of one command, each with a GPU, without knowing a launcher. No torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from fgvr_kit.errors import ModelError, SettingsError
from fgvr_kit.training import processes
from fgvr_kit.workspace import Workspace

WANTED = "FGVR_KIT_PROCESSES"
"""Environment variable: how many processes were asked for; they are counted when they have come."""


@dataclass(frozen=True, slots=True)
class Machines:
    """Machines that train together. this: which of them this one is, from 0.  address, port: of the one with 0."""

    n: int = 1
    this: int = 0
    address: str = ""
    port: int = 29500


ALONE = Machines()


def machines(n: int, this: int | None, main: str | None) -> Machines:
    """As the command line says it. Raises SettingsError "machines-incomplete"."""
    address, _, port = (main or "").rpartition(":") if ":" in (main or "") else (main or "", "", "29500")
    if n == 1 and this is None and main is None:
        return ALONE
    if n < 2:
        raise SettingsError(
            "--machine and --main are about several machines",
            code="machines-incomplete",
            where="--machines",
            hint="say how many there are: --machines 2 --machine 0 --main HOST:29500",
        )
    if this is None or not address or not this < n or not port.isdigit() or not 0 < int(port) < 65_536:
        raise SettingsError(
            f"{n} machines cannot meet",
            code="machines-incomplete",
            where="--machines",
            why="each must know its own number, and where the one with number 0 is",
            hint="on each of them the same command with its own number: --machines 2 --machine 0 --main HOST:29500",
        )
    return Machines(n, this, address, int(port))


def launch_line(n: int, own: Sequence[str], *, on_gpus: bool, among: Machines = ALONE) -> list[str]:
    """The command line that runs `fgvr-kit OWN...` in n processes of this machine.

    among: the machines that do so.
    on_gpus: through `accelerate launch`. On CPUs that would start one process only, without a word (`--cpu
    --num_processes 2`), so there it is torchrun.
    """
    if on_gpus:
        many = ["accelerate.commands.launch", "--multi_gpu"]
        many += ["--num_machines", str(among.n), "--num_processes", str(n * among.n)]
        many += ["--mixed_precision", "no", "--dynamo_backend", "no"]  # the trainer chooses both itself
        if among.n > 1:
            many += ["--machine_rank", str(among.this), "--main_process_ip", among.address]
            many += ["--main_process_port", str(among.port)]
    elif among.n > 1:
        many = ["torch.distributed.run", "--nnodes", str(among.n), "--node_rank", str(among.this)]
        many += ["--master_addr", among.address, "--master_port", str(among.port), "--nproc_per_node", str(n)]
    else:
        many = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(n)]
    return [sys.executable, "-m", *many, "-m", "fgvr_kit", *own]


def launch_environment(n: int, among: Machines = ALONE) -> dict[str, str]:
    """The environment of the processes: their number, and a fair share of the cores each."""
    threads = str(max(1, (os.cpu_count() or 1) // n))
    return {"OMP_NUM_THREADS": threads, **os.environ, WANTED: str(n * among.n)}


_FLAGS = ("--gpus", "--machines", "--machine", "--main")


def own_words(line: Sequence[str]) -> list[str]:
    """A command line without the flags that ask for processes, and their values."""
    kept: list[str] = []
    words = iter(line)
    for word in words:
        if word in _FLAGS:
            next(words, None)
        elif word.partition("=")[0] not in _FLAGS:
            kept.append(word)
    return kept


def refuse_too_many(workspace: Workspace, n: int) -> bool:
    """Whether the processes train on GPUs. Raises SettingsError "gpus-missing" for more than there are."""
    import torch

    device = workspace.settings.train.device
    there = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and not there):
        return False
    if n > there:
        raise SettingsError(
            f"{n} GPUs are asked for, and there {'is' if there == 1 else 'are'} {there}",
            code="gpus-missing",
            where="--gpus",
            hint=f"--gpus {there}" if there > 1 else "leave out --gpus",
        )
    return True


def refuse_fewer() -> None:
    """Raise ModelError "processes-missing" in a process that was to have companions and has fewer."""
    wanted = int(os.environ.get(WANTED, "1"))
    if processes.size() < wanted:
        raise ModelError(
            f"{wanted} processes were to train together, and {processes.size()} came",
            code="processes-missing",
            why="the launcher started fewer than it was told",
            hint="start them yourself: torchrun --nproc_per_node N -m fgvr_kit train",
        )
