"""Starting several processes of one command, each with a GPU, without knowing a launcher. No torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fgvr_kit.errors import ModelError, SettingsError
from fgvr_kit.training import processes
from fgvr_kit.workspace import Workspace

WANTED = "FGVR_KIT_PROCESSES"
"""Environment variable: how many processes were asked for; they are counted when they have come."""


def launch_line(n: int, own: Sequence[str], *, on_gpus: bool) -> list[str]:
    """The command line that runs `fgvr-kit OWN...` in n processes of this machine.

    on_gpus: through `accelerate launch`. On CPUs it would start one process only, without a word
    (`accelerate launch --cpu --num_processes 2`), so there it is torchrun.
    """
    if on_gpus:
        many = ["accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--num_processes", str(n)]
        many += ["--mixed_precision", "no", "--dynamo_backend", "no"]  # the trainer chooses both itself
    else:
        many = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(n)]
    return [sys.executable, "-m", *many, "-m", "fgvr_kit", *own]


def launch_environment(n: int) -> dict[str, str]:
    """The environment of the processes: their number, and a fair share of the cores each."""
    threads = str(max(1, (os.cpu_count() or 1) // n))
    return {"OMP_NUM_THREADS": threads, **os.environ, WANTED: str(n)}


def own_words(line: Sequence[str]) -> list[str]:
    """A command line without --gpus and its value."""
    kept: list[str] = []
    words = iter(line)
    for word in words:
        if word == "--gpus":
            next(words, None)
        elif not word.startswith("--gpus="):
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
