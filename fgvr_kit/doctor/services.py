"""Who is there to answer and to deliver: Hugging Face, Ollama, OpenAI. Only Ollama is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from fgvr_kit.doctor.diagnosis import Diagnosis
from fgvr_kit.doctor.hardware import hugging_face_home
from fgvr_kit.surroundings import has_openai_key, ollama_models

_YES = {"1", "on", "yes", "true"}


def hugging_face(environ: Mapping[str, str]) -> Diagnosis:
    """Whether there is a token. It is never shown."""
    file = Path(environ.get("HF_TOKEN_PATH") or hugging_face_home(environ) / "token")
    name = next((n for n in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if environ.get(n, "").strip()), None)
    if name:
        return Diagnosis("hf-token", "ok", f"there is one in ${name}")
    if file.is_file() and file.read_text(errors="replace").strip():
        return Diagnosis("hf-token", "ok", f"there is one in {file}")
    return Diagnosis("hf-token", "ok", "none; models that are open to all need none")


def offline(environ: Mapping[str, str]) -> list[Diagnosis]:
    """Whether downloads are switched off: nothing is said when they are not."""
    name = next(
        (n for n in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if environ.get(n, "").lower() in _YES), None
    )
    if name is None:
        return []
    return [
        Diagnosis(
            "hf-offline", "warning", f"{name} is set: no model is downloaded, only those in the cache are there",
            f"unset {name}, if that is not what you want",
        )
    ]  # fmt: skip


def ollama(host: str, wanted: Mapping[str, str]) -> list[Diagnosis]:
    """host: [ollama] host.  wanted: setting -> model, of the backends ollama: of this workspace."""
    shown = _shown(host or os.environ.get("OLLAMA_HOST", "") or "127.0.0.1:11434")
    models = ollama_models(host)
    if models is None:
        seen = f"none answers at {shown}"
        if wanted:
            fix = "ollama serve; [ollama] host names another address, with its port"
            return [Diagnosis("ollama", "problem", f"{seen}, and {_keys(wanted)} asks it", fix)]
        return [Diagnosis("ollama", "ok", f"{seen}; needed for ollama:MODEL alone")]
    found = [Diagnosis("ollama", "ok", f"answers at {shown}; models: {', '.join(models) or 'none yet'}")]
    for key, model in wanted.items():
        if not {model, f"{model}:latest"} & set(models):
            seen = f"it does not have {model!r}, which {key} names"
            found.append(Diagnosis("ollama-model", "problem", seen, f"ollama pull {model}"))
    return found


def openai_key(name: str, base_url: str, wanted: Mapping[str, str], environ: Mapping[str, str]) -> Diagnosis:
    """name: [openai] api_key_env.  wanted: setting -> model, of the backends openai: of this workspace."""
    url = base_url or environ.get("OPENAI_BASE_URL", "")
    is_elsewhere = bool(url) and urlsplit(url).hostname != "api.openai.com"
    if has_openai_key(environ, name):
        return Diagnosis("openai-key", "ok", f"${name} is set")
    if wanted and not is_elsewhere:
        fix = f"export {name}=..., or set [openai] base_url to a server of your own"
        return Diagnosis("openai-key", "problem", f"${name} is not set, and {_keys(wanted)} needs it", fix)
    where = f"{_shown(url)} may need none" if is_elsewhere else "needed for openai:MODEL alone"
    return Diagnosis("openai-key", "ok", f"${name} is not set; {where}")


def _keys(wanted: Mapping[str, str]) -> str:
    return ", ".join(wanted)


def _shown(url: str) -> str:
    from fgvr_kit.backends.base import shown_host

    try:
        return shown_host(url)
    except ValueError:  # no address at all, such as a port that is no number
        return url.rpartition("@")[2]
