"""doctor --models: does each backend that is named answer, and does it see the picture?"""

from __future__ import annotations

from fgvr_kit import plugins, toy
from fgvr_kit.doctor import child
from fgvr_kit.doctor.ask import COLOUR
from fgvr_kit.doctor.child import Said
from fgvr_kit.doctor.diagnosis import Diagnosis
from fgvr_kit.doctor.place import Place
from fgvr_kit.progress import SILENT, Progress


def ask_each(place: Place, *, seconds: float, progress: Progress = SILENT) -> list[Diagnosis]:
    """One call to each backend, however many settings name it. seconds: for one answer."""
    keys: dict[str, list[str]] = {}
    for key, spec in place.backends.items():
        keys.setdefault(spec, []).append(key)
    if not keys:
        hint = "[extract] backend in fgvr.toml, or --set extract.backend=ollama:MODEL"
        return [Diagnosis("answers", "warning", "no backend is named that could be asked", hint)]
    found = []
    with progress.task("asking each backend", len(keys)) as task:
        for spec, named_by in keys.items():
            found.append(_ask(place, spec, named_by, seconds))
            task.advance(1, spec)
    return found


def _ask(place: Place, spec: str, keys: list[str], seconds: float) -> Diagnosis:
    if plugins.normalise(spec.partition(":")[0]) == "replay":
        return Diagnosis("answers", "ok", f"{spec}: a recording, nobody is asked")
    said = child.run("ask", keys[0], spec, str(place.root), *place.overrides, seconds=seconds)
    return _told(spec, keys, said)


def _told(spec: str, keys: list[str], said: Said) -> Diagnosis:
    if not said.lines:
        return Diagnosis("answers", "problem", f"{spec}: asking it {said.died}", _WITHOUT_WORDS)
    line = said.lines[-1]
    if "error" in line:
        why = f": {line['why']}" if line["why"] else ""
        return Diagnosis("answers", "problem", f"{line['error']}{why}", line["hint"])
    note = f" ({line['note']})" if line["note"] else ""
    seen = f"{spec} answered in {line['seconds']:.1f} s: {_quoted(line['text'])}{note}"
    if line["finish"] == "refused":
        return Diagnosis("answers", "warning", f"{spec} refused: {_quoted(line['text'])}", _ANOTHER)
    if not line["text"]:
        return Diagnosis(
            "answers", "warning", f"{spec} answered nothing, after {line['seconds']:.1f} s",
            "does it think first? a larger [extract] max_tokens leaves room for that",
        )  # fmt: skip
    if COLOUR not in line["text"].casefold() and line["note"] != toy.NOTE:
        return Diagnosis(
            "answers", "warning", f"{seen}, to a {COLOUR} picture: does it see images?", _ANOTHER
        )
    return Diagnosis("answers", "ok", seen)


_ANOTHER = "name a model that takes images"
_WITHOUT_WORDS = "fgvr-kit attributes extract --limit 1 shows more"


def _quoted(text: str) -> str:
    return f'"{text[:80]}…"' if len(text) > 80 else f'"{text}"'
