"""What the toy models know: python -m examples.toy.measure OUT [--pictures N]. Asked as fgvr-kit asks any model.

Pictures are of worlds that were never trained on; the euro coins are photographs, which never are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fgvr_kit.toy.world.scenes import TRAINING_SEEDS

SEED = TRAINING_SEEDS.stop + 1


def main() -> None:
    """The command line: prints one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m examples.toy.measure", description=__doc__)
    parser.add_argument(
        "out", type=Path, help="the folder that examples.toy.build wrote: toy-vlm/, toy-clip/"
    )
    parser.add_argument("--pictures", type=int, default=500, help="synthetic pictures")
    parser.add_argument("--only", choices=["vlm", "clip", "coins"], help="one part of it")
    given = parser.parse_args()
    from examples.toy import measure_clip, measure_coins, measure_vlm

    found: dict[str, Any] = {}
    vlm, clip = given.out / "toy-vlm", given.out / "toy-clip"
    if given.only in (None, "vlm"):
        found["vlm"] = measure_vlm.measure(str(vlm), SEED, given.pictures)
    if given.only in (None, "clip") and clip.is_dir():
        found["clip"] = measure_clip.measure(f"local-dir:{clip}", SEED, given.pictures)
    if given.only in (None, "coins"):
        found["coins"] = measure_coins.measure(str(vlm))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
