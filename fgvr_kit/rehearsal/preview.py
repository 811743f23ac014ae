"""A prompt rendered for one real image as its step would, and what of it would be sent to whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fgvr_kit import plugins
from fgvr_kit.asking.image_tokens import image_tokens, sent_size
from fgvr_kit.asking.ranges import NOTHING, Range, Total
from fgvr_kit.asking.text_tokens import CHAT_OVERHEAD, SYSTEM_OVERHEAD, text_tokens
from fgvr_kit.dataset.images import open_known
from fgvr_kit.errors import PluginError
from fgvr_kit.pipeline.describe import TEMPLATE
from fgvr_kit.pipeline.extract.questions import CLOSED_PROMPT
from fgvr_kit.prompts import Prompt
from fgvr_kit.rehearsal.scene import Scene
from fgvr_kit.settings import plugin_section
from fgvr_kit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent. backend: who would be asked, "" where nobody is named yet or nobody is asked.

    image: the path of the one that the prompt was rendered for, None where it depends on none.
    attribute: likewise.  sizes: (width, height) in pixels of each picture as it would be sent.
    tokens: of text and pictures together; the schema of an answer in JSON is not counted.
    is_sent: to a model that talks; CLIP and describe/template take the words for themselves.
    """

    prompt: Prompt
    path: Path
    backend: str
    image: str | None
    attribute: str | None
    sizes: tuple[tuple[int, int], ...]
    tokens: Range
    is_sent: bool = True


def preview(
    workspace: Workspace, name: str, *, image: str | None = None, attribute: str | None = None
) -> Preview:
    """Render a prompt (by name or path) without asking anybody.

    image: as its path in the dataset, on disk, or a part of it that only one image has; default: the first that
    has what the prompt needs.  attribute: default: the first.
    Raises UsageError "unknown-image", "unknown-attribute", and PromptError "prompt-lacks" where a step before has
    not made yet what the prompt is rendered of.
    """
    template = workspace.prompts.get(name)
    scene = Scene(workspace, template, image, attribute)
    prompt = template.render(**scene.variables())
    backend, max_pixels = _asked(workspace, scene.verb, template.name)
    sizes = tuple(
        sent_size(*open_known(workspace.ref_of(shown)).size, max_pixels) for shown in scene.pictures()
    )
    return Preview(
        prompt=prompt,
        path=template.path,
        backend=backend,
        image=scene.image.path if scene.needs_image else None,
        attribute=scene.attribute.name if scene.needs_attribute else None,
        sizes=sizes,
        tokens=_tokens(prompt, backend, sizes) if scene.is_sent else NOTHING,
        is_sent=scene.is_sent,
    )


def _asked(workspace: Workspace, verb: str, name: str) -> tuple[str, int | None]:
    """(who is asked, most pixels of a picture that it gets)."""
    settings = workspace.settings
    if verb in ("ask", "align"):
        return settings.train.model, settings.train.max_pixels
    if verb == "mine" or name == TEMPLATE:
        return (settings.mine.model if verb == "mine" else ""), None
    section = getattr(settings, "extract" if verb in ("guess", "mend") else verb)
    backend = (settings.extract.closed_by if name == CLOSED_PROMPT else "") or section.backend
    return backend, _max_pixels(workspace, backend)


def _max_pixels(workspace: Workspace, spec: str) -> int | None:
    room = spec.partition(":")[0].strip()
    try:
        model = plugins.load("backends", room).Settings if room else None
    except PluginError:  # told when it is asked
        return None
    section = plugin_section(workspace.settings, plugins.normalise(room), model) if model else None
    return getattr(section, "max_pixels", None)


def _tokens(prompt: Prompt, backend: str, sizes: tuple[tuple[int, int], ...]) -> Range:
    room, colon, model = backend.partition(":")
    total = Total(*CHAT_OVERHEAD)
    total.add(text_tokens(prompt.text))
    if prompt.system:
        total.add(text_tokens(prompt.system).plus(SYSTEM_OVERHEAD))
    for width, height in sizes:
        in_process = not colon or room == "transformers"
        total.add(image_tokens(model or backend, width, height, in_process=in_process))
    return total.range().rounded()
