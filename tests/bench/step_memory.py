"""Two steps of stage align in a process of its own: prints its peak memory in bytes. Run as a process, on Linux.

Arguments: the model's folder, a photograph, "released" or "ours", samples.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from fgvr_kit.dataset.images import open_image, pixel_sha256
from fgvr_kit.training.data.batch import AlignCollator
from fgvr_kit.types import ImageRef
from tests.bench import six_passes


def main(folder: str, photograph: str, which: str, n: int) -> None:
    torch.set_num_threads(2)
    vlm = six_passes.opened(Path(folder))
    image = ImageRef(Path(photograph), pixel_sha256(open_image(Path(photograph))))
    for seed in range(2):
        rows = six_passes.examples(vlm, [image] * n, seed=seed)
        batch = AlignCollator(vlm)(rows)["batch"]
        loss = six_passes.LOSSES[which](vlm, batch, rows)
        loss.backward()
    print(peak())


def peak() -> int:
    """Of this process alone: what getrusage says begins with the peak of whoever started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
