"""What a stage is trained on, out of the workspace's tables. No torch: `fgvr-kit status` reads these too.

An example is one row of a stage: paths and words, nothing encoded. Digests are over what the rows are made
of (pixel hashes, not paths), so that a stage is trained again exactly when its data changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from fgvr_kit.errors import WorkspaceError
from fgvr_kit.fingerprint import digest_rows
from fgvr_kit.training.data.material import Material, descriptions_for
from fgvr_kit.training.data.questions import InstructExample, InstructRows, Shown, shuffled_options
from fgvr_kit.training.data.selection import Chosen, Dropped, chosen_images, negatives_among
from fgvr_kit.types import Image, ImageClass, ImageRef, Negative
from fgvr_kit.workspace import Workspace

__all__ = [
    "AlignExample", "BothExample", "ExampleT", "Examples", "InstructExample", "NegativeText", "align_digest",
    "align_examples", "both_digest", "both_examples", "instruct_digest", "instruct_examples", "shuffled_options",
]  # fmt: skip

PAPERS = Material()


@dataclass(frozen=True, slots=True)
class NegativeText:
    """A hard negative as stage align sees it: no image, its words only."""

    class_id: int
    class_text: str
    description: str


@dataclass(frozen=True, slots=True)
class AlignExample:
    """image, the user's turn, and what it is aligned with. class_id: a row of classes.csv, sorted by name.

    Without attributes the description is the class's display name.
    """

    image: ImageRef
    question: str
    system: str
    description: str
    class_id: int
    class_text: str
    negatives: tuple[NegativeText, ...]


@dataclass(frozen=True, slots=True)
class BothExample:
    """One image with what both stages ask of it, for training in one stage."""

    align: AlignExample
    questions: tuple[InstructExample, ...]

    @property
    def image(self) -> ImageRef:
        return self.align.image


class _BothRows(Sequence[BothExample]):
    """Rows of stage align with their questions, whose options stand in another order in each epoch."""

    def __init__(self, aligned: Sequence[AlignExample], asked: Sequence[InstructExample]) -> None:
        self._aligned, self._asked = aligned, asked
        seen: dict[str, dict[InstructExample, int]] = defaultdict(dict)
        for place, question in enumerate(
            asked
        ):  # a balanced sample holds an image's questions more than once
            seen[question.image.sha256].setdefault(question, place)
        self._places = [tuple(seen[row.image.sha256].values()) for row in aligned]

    def set_epoch(self, epoch: int) -> None:
        """As InstructRows.set_epoch."""
        if isinstance(self._asked, InstructRows):
            self._asked.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._aligned)

    @overload
    def __getitem__(self, place: int) -> BothExample: ...
    @overload
    def __getitem__(self, place: slice) -> list[BothExample]: ...
    def __getitem__(self, place: int | slice) -> BothExample | list[BothExample]:
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(len(self)))]
        return BothExample(self._aligned[place], tuple(self._asked[n] for n in self._places[place]))


ExampleT = TypeVar("ExampleT", AlignExample, InstructExample, BothExample)


@dataclass(frozen=True, slots=True)
class Examples(Generic[ExampleT]):
    """The rows of a stage, and (what, how many, why) of what was left out."""

    rows: Sequence[ExampleT]
    dropped: Dropped = ()


def align_examples(workspace: Workspace, material: Material = PAPERS) -> Examples[AlignExample]:
    """One row for each training image that has a description and at least one described negative.

    Raises WorkspaceError when no image has a description, or none has a negative.
    """
    classes = workspace.classes()
    class_ids = {name: n for n, name in enumerate(classes)}
    prompt = workspace.prompts.render(material.align_prompts()[0])
    dropped: Counter[tuple[str, str]] = Counter()
    chosen = chosen_images(workspace, material.seed)
    rows = []
    for image, description, negatives in _described(workspace, chosen, material, dropped):
        rows.append(
            AlignExample(
                image=workspace.ref_of(image),
                question=prompt.text,
                system=prompt.system,
                description=description,
                class_id=class_ids[image.class_name],
                class_text=classes[image.class_name].display_name,
                negatives=tuple(
                    NegativeText(class_ids[n.class_name], classes[n.class_name].display_name, text)
                    for n, text in negatives
                ),
            )
        )
    return Examples(rows, (*chosen.dropped, *_counted(dropped)))


def instruct_examples(workspace: Workspace, material: Material = PAPERS) -> Examples[InstructExample]:
    """Two rows for each training image: an open question, and a multiple-choice one if it has negatives.

    The choices are the true class and the classes of the image's negatives, shuffled by (seed, epoch, image).
    Two rows an image is what the authors of Finedefics confirmed (issue 6 of their repository).
    Raises WorkspaceError when multiple choice is asked for and no image has a negative.
    """
    classes = workspace.classes()
    chosen = chosen_images(workspace, material.seed)
    negatives, without = negatives_among(
        workspace, chosen.train, random_ones=material.negatives_from == "random", seed=material.seed
    )
    if "choice" in material.questions and not negatives:
        raise _no_negatives(workspace)
    dropped = Counter(without)
    shown = []
    for image in chosen.train:
        truth = classes[image.class_name].display_name
        if "open" in material.questions:
            shown.append(Shown(workspace.ref_of(image), truth))
        if "choice" in material.questions and image.id in negatives:
            shown.append(Shown(workspace.ref_of(image), truth, _names(image, negatives[image.id], classes)))
        elif "choice" in material.questions:
            dropped["multiple-choice rows", "the image has no negatives"] += 1
    rows = InstructRows(workspace.prompts, shown, seed=material.seed)
    return Examples(rows, (*chosen.dropped, *_counted(dropped)))


def both_examples(workspace: Workspace, material: Material = PAPERS) -> Examples[BothExample]:
    """The rows of stage align, each with the questions of stage instruct about its image."""
    aligned, asked = align_examples(workspace, material), instruct_examples(workspace, material)
    dropped = tuple(dict.fromkeys((*aligned.dropped, *asked.dropped)))
    return Examples(_BothRows(aligned.rows, asked.rows), dropped)


def align_digest(workspace: Workspace, material: Material = PAPERS) -> str:
    """16 hex digits over all that stage align reads, in its order; also where there is nothing yet."""
    names = {name: c.display_name for name, c in workspace.classes().items()}
    chosen = chosen_images(workspace, material.seed)
    try:
        described = list(_described(workspace, chosen, material, Counter()))
    except WorkspaceError:
        described = []
    return digest_rows(
        (
            image.sha256,
            names[image.class_name],
            text,
            [(names[n.class_name], words) for n, words in negatives],
        )
        for image, text, negatives in described
    )


def instruct_digest(workspace: Workspace, material: Material = PAPERS) -> str:
    """16 hex digits over all that stage instruct reads, in its order; also where there is nothing yet."""
    names = {name: c.display_name for name, c in workspace.classes().items()}
    chosen = chosen_images(workspace, material.seed)
    negatives, _ = negatives_among(
        workspace, chosen.train, random_ones=material.negatives_from == "random", seed=material.seed
    )
    return digest_rows(
        (image.sha256, names[image.class_name], [names[n.class_name] for n in negatives.get(image.id, ())])
        for image in chosen.train
    )


def both_digest(workspace: Workspace, material: Material = PAPERS) -> str:
    """16 hex digits over all that both stages read."""
    return digest_rows([(align_digest(workspace, material), instruct_digest(workspace, material))])


def _described(
    workspace: Workspace, chosen: Chosen, material: Material, dropped: Counter[tuple[str, str]]
) -> Iterator[tuple[Image, str, list[tuple[Negative, str]]]]:
    """Training images with their description and their described negatives; the others are counted."""
    negatives, without = negatives_among(
        workspace, chosen.train, random_ones=material.negatives_from == "random", seed=material.seed
    )
    dropped.update(without)
    texts = descriptions_for(workspace, chosen.train, material)
    if material.attributes == "none":
        names = {name: c.display_name for name, c in workspace.classes().items()}
        texts = {image.id: names[image.class_name] for image in chosen.train}
    if not texts:
        raise _no_descriptions(workspace)
    if not negatives:
        raise _no_negatives(workspace)
    for image in chosen.train:
        mine = negatives.get(image.id, [])
        described = [(n, texts[n.negative_id]) for n in mine if n.negative_id in texts]
        if reason := _why_not(image, texts, mine, described):
            dropped["training images", reason] += 1
            continue
        if len(described) < len(mine):
            dropped["negatives", "no description"] += len(mine) - len(described)
        yield image, texts[image.id], described


def _why_not(
    image: Image, texts: dict[int, str], negatives: Sequence[Negative], described: Sequence[object]
) -> str | None:
    if image.id not in texts:
        return "no description"
    if not negatives:
        return "no negatives"
    return None if described else "none of its negatives has a description"


def _names(image: Image, negatives: Sequence[Negative], classes: dict[str, ImageClass]) -> tuple[str, ...]:
    """Display names of the choices: the true one first."""
    names = dict.fromkeys([image.class_name, *(n.class_name for n in negatives)])
    return tuple(classes[name].display_name for name in names)


def _no_descriptions(workspace: Workspace) -> WorkspaceError:
    return WorkspaceError(
        "no training image has a description yet",
        code="no-descriptions",
        where=str(workspace.root),
        hint="fgvr-kit attributes",
    )


def _no_negatives(workspace: Workspace) -> WorkspaceError:
    return WorkspaceError(
        "no training image has negatives yet",
        code="no-negatives",
        where=str(workspace.root),
        hint="fgvr-kit mine",
    )


def _counted(dropped: Counter[tuple[str, str]]) -> Dropped:
    return tuple((what, n, why) for (what, why), n in sorted(dropped.items()))
