"""A tiny CLIP with random weights that open_clip opens as `local-dir:FOLDER`.

Its tokenizer is open_clip's own, whose word list comes with the package: nothing is downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fgvr_kit.toy import write_note

SEED = 20250131
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}


def build_clip(folder: Path) -> Path:
    """Write open_clip_config.json, the weights and the card into folder, and return folder.

    The caller's random state is left as it was.
    """
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = CLIP(**CONFIG["model_cfg"])
    weights = {name: value.contiguous() for name, value in sorted(model.state_dict().items())}
    save_file(weights, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")
    write_note(folder)
    return folder
