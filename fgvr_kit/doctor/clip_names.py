"""Run as a process of its own: what open_clip calls its models and weights. It imports torch, which may crash."""

from __future__ import annotations

import difflib
import sys

from fgvr_kit.doctor.child import say


def main(name: str, tag: str) -> None:
    try:
        import open_clip
        from open_clip.pretrained import get_pretrained_cfg

        names = open_clip.list_models()
        tags = open_clip.list_pretrained_tags_by_model(name)
        source = get_pretrained_cfg(name, tag) or {}
    except Exception as error:  # whatever an import may throw is the answer
        say(error=f"{type(error).__name__}: {error}")
        return
    hub = str(source.get("hf_hub") or "").strip("/")
    say(
        is_known=name in names, has_tag=bool(source), close=difflib.get_close_matches(name, names, n=1), tags=tags,
        hub="/".join(hub.split("/")[:2]), url=str(source.get("url") or ""),
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
