"""fgvr-kit doctor: is this machine fit for the walk? Every check is a diagnosis; none of them ends doctor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from fgvr_kit.doctor import child, hardware, imports, packages, place, services
from fgvr_kit.doctor.child import Said
from fgvr_kit.doctor.diagnosis import Diagnosis
from fgvr_kit.progress import SILENT, Progress
from fgvr_kit.settings import FILE_NAME, Settings, plugin_section
from fgvr_kit.surroundings import Driver, ask_driver

IMPORT_SECONDS = 180.0
"""A cold disk takes a minute to read torch and what it stands on."""
ANSWER_SECONDS = 900.0
"""For one answer, weights read from the disk included."""

# Nothing is fetched while packages are only tried: bitsandbytes looks for kernels on the hub.
_TRYING = {"HF_HUB_OFFLINE": "1"}


def examine(
    start: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    deep: bool = False,
    models: bool = False,
    progress: Progress = SILENT,
) -> list[Diagnosis]:
    """Every diagnosis, in the order in which they are shown.

    start: the workspace's folder, None: found from here upwards.  deep: import transformers and peft too.
    models: send one picture and one question to each backend that is named. Never raises FgvrError.
    """
    chains = [] if not packages.has_torch() else ["torch", "training"] if deep else ["torch"]
    with ThreadPoolExecutor(max(1, len(chains))) as pool:
        trying = {name: pool.submit(_try, name) for name in chains}
        driver = ask_driver()
        seen = place.look(start, overrides)
        installed = _safely("packages", packages.examine)
        around = [
            *_safely("memory", hardware.memory),
            *_safely("disk", lambda: _disks(seen)),
            *_safely("services", lambda: _services(seen)),
        ]
        with progress.task("importing torch and what stands on it", None):
            machine = _safely("gpu", lambda: _machine(driver, trying))
    asked = _safely("models", lambda: _ask_models(seen, progress)) if models else []
    return [*installed, *machine, *around, *seen.diagnoses, *asked]


def _try(chain: str) -> Said:
    return child.run("probe", chain, seconds=IMPORT_SECONDS, environ=_TRYING)


def _safely(name: str, check: Callable[[], Iterable[Diagnosis]]) -> list[Diagnosis]:
    """What a check finds; if it fails itself, that is a diagnosis too."""
    try:
        return list(check())
    except Exception as error:
        told = f"this could not be looked at: {type(error).__name__}: {error}"
        return [Diagnosis(name, "warning", told, "please report it, with fgvr-kit doctor --json")]


def _machine(driver: Driver, trying: dict[str, Future[Said]]) -> list[Diagnosis]:
    """GPU, torch and what stands on it."""
    if "torch" not in trying:
        return hardware.gpu(driver, None)
    said = trying["torch"].result()
    facts = imports.step(said, "gpu")
    found = [imports.pair(said), *hardware.gpu(driver, facts)]
    if imports.died_at(said) == "gpu":
        found.append(Diagnosis("torch-gpu", "problem", f"looking for the GPU {said.died}", hardware.BUILD))
    if found[0].state == "ok":
        found += hardware.torch_on_gpu(driver, facts, imports.step(said, "torch") or {}, os.environ)
        found += imports.bitsandbytes(said)
        found += _libraries(said, trying.get("training"))
    return found


def _libraries(said: Said, training: Future[Said] | None) -> list[Diagnosis]:
    """What stands on torch: faults, or one line for all that was imported."""
    found = imports.libraries(said, ["open_clip"])
    if training is None:
        return found or [
            Diagnosis("libraries", "ok", "open_clip loads; --deep imports transformers and peft too")
        ]
    found += imports.libraries(training.result(), ["transformers", "peft"])
    return found or [Diagnosis("libraries", "ok", "open_clip, transformers and peft load")]


def _disks(seen: place.Place) -> list[Diagnosis]:
    is_workspace = (seen.root / FILE_NAME).is_file()
    return [
        hardware.disk("disk", seen.root, "a workspace", is_needed=is_workspace),
        hardware.disk("cache", hardware.model_cache(os.environ), "downloaded models", is_needed=False),
    ]


def _services(seen: place.Place) -> list[Diagnosis]:
    ollama, openai = _sections(seen.settings)
    return [
        services.hugging_face(os.environ),
        *services.offline(os.environ),
        *services.ollama(ollama, seen.wanted("ollama")),
        services.openai_key(*openai, seen.wanted("openai"), os.environ),
    ]


def _sections(settings: Settings) -> tuple[str, tuple[str, str]]:
    """([ollama] host, ([openai] api_key_env, [openai] base_url))."""
    from fgvr_kit.backends import ollama, openai

    of_openai = plugin_section(settings, "openai", openai.Settings)
    return plugin_section(settings, "ollama", ollama.Settings).host, (
        of_openai.api_key_env,
        of_openai.base_url,
    )


def _ask_models(seen: place.Place, progress: Progress) -> list[Diagnosis]:
    from fgvr_kit.doctor import backends

    return backends.ask_each(seen, seconds=ANSWER_SECONDS, progress=progress)
