"""Train the toy models from nothing: python -m examples.toy.build OUT [--steps N | --minutes N] [--device cuda].

Started again with the same OUT it goes on where it was. OUT/toy-vlm and OUT/toy-clip are the finished checkpoints.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from examples.toy.plan import Plan

if TYPE_CHECKING:
    from examples.toy.training import Training


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.toy.build", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for checkpoints and the finished models")
    parser.add_argument("--steps", type=int, help="steps of talking (default: the full build)")
    parser.add_argument(
        "--clip-steps", type=int, default=1500, help="of the CLIP, which starts from the VLM's eyes"
    )
    parser.add_argument("--minutes", type=float, help="stop after so long; start again to go on")
    parser.add_argument("--device", default="cpu", help='"cpu" (default) or "cuda"')
    parser.add_argument("--threads", type=int, default=1, help="of torch; part of what decides the bytes")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that draw ahead; they change no byte"
    )
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    until = None if given.minutes is None else time.monotonic() + 60 * given.minutes
    plan = Plan() if given.steps is None else replace(Plan(), talk_steps=given.steps)
    training = _vlm(given, plan, until)
    if training.step == plan.steps and (until is None or time.monotonic() < until):
        _clip(given, training, until)


def _vlm(given: argparse.Namespace, plan: Plan, until: float | None) -> Training:
    from examples.toy.export import export
    from examples.toy.training import Training

    training = Training(given.out / "vlm", plan, given.device, given.workers)
    training.run(until)
    export(
        training.model, training.tokenizer, given.out / "toy-vlm", f"{training.step} of {plan.steps} steps"
    )
    return training


def _clip(given: argparse.Namespace, vlm: Training, until: float | None) -> None:
    from examples.toy import clip_model, export
    from examples.toy.clip_training import ClipTraining

    eyes = vlm.model.state_dict()
    training = ClipTraining(given.out / "clip", vlm.tokenizer, eyes, given.clip_steps, given.device)
    training.run(until)
    card = export.card(f"{training.step} of {training.steps} steps")
    clip_model.save(training.clip, vlm.tokenizer, given.out / "toy-clip", card)


if __name__ == "__main__":
    main()
