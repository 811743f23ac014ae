"""How good the model is at the task while it is trained: measured on images that it does not learn from.

A loss that falls says little: a model can get better at the words and not at telling classes apart.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from fgvr_kit.dataset.images import open_known
from fgvr_kit.errors import SettingsError
from fgvr_kit.fingerprint import digest_rows
from fgvr_kit.training.data.questions import LETTERS, shuffled
from fgvr_kit.training.data.selection import chosen_images
from fgvr_kit.types import Image
from fgvr_kit.workspace import Workspace

if TYPE_CHECKING:
    from fgvr_kit.families.base import Vlm

MOST_IMAGES = 512
"""More are not asked about: with so many an accuracy is known to about four points."""

Measure = Callable[["Vlm", Workspace, Sequence[Image]], float]
"""An accuracy in 0..1."""

T = TypeVar("T")


def choice_accuracy(vlm: Vlm, workspace: Workspace, images: Sequence[Image]) -> float:
    """Share of multiple-choice questions answered with the right letter, asked as evaluation asks them."""
    from fgvr_kit.families.base import Ask

    template = workspace.prompts.get("ask/choice")
    classes = workspace.classes()
    n_right = 0
    asked = sorted(_options(workspace, images).items(), key=lambda item: (len(item[1]), item[0].path))
    for n, alike in groupby(asked, key=lambda item: len(item[1])):
        for batch in _batches(list(alike), workspace.settings.evaluate.batch_size):
            asks = []
            for image, names in batch:
                prompt = template.render(options=list(zip(LETTERS, names, strict=False)))
                picture = open_known(workspace.ref_of(image))
                asks.append(Ask(prompt.text, (picture,), system=prompt.system))
            best = vlm.choose(asks, list(LETTERS[:n])).argmax(dim=1).tolist()
            truths = [classes[image.class_name].display_name for image, _ in batch]
            shown = [names for _, names in batch]
            n_right += sum(
                names[place] == truth for names, place, truth in zip(shown, best, truths, strict=True)
            )
    return n_right / len(images)


def nearest_class_accuracy(vlm: Vlm, workspace: Workspace, images: Sequence[Image]) -> float:
    """Share of images whose vector is nearest to that of their own class's name, among all classes."""
    import torch
    from torch.nn import functional as F

    from fgvr_kit.families.base import Ask

    classes = workspace.classes()
    rows = {name: n for n, name in enumerate(classes)}
    prompt = workspace.prompts.render("ask/open")
    n_right = 0
    with _answering(vlm):
        names = F.normalize(vlm.embed_texts([c.display_name for c in classes.values()]).float(), dim=-1)
        for batch in _batches(images, workspace.settings.evaluate.batch_size):
            asks = [Ask(prompt.text, (open_known(workspace.ref_of(i)),), system=prompt.system) for i in batch]
            inputs = vlm.encode(asks, [classes[i.class_name].display_name for i in batch]).inputs
            objects = F.normalize(vlm.embed_objects(inputs, vlm.image_features(inputs)).float(), dim=-1)
            nearest = (objects @ names.T).argmax(dim=1)  # (B,)
            truth = torch.tensor([rows[i.class_name] for i in batch], device=nearest.device)
            n_right += int((nearest == truth).sum())
    return n_right / len(images)


def validated_with(images: Sequence[Image]) -> list[Image]:
    """All of the images, or MOST_IMAGES of them, the same ones every time."""
    ranked = sorted(images, key=lambda image: hashlib.sha256(image.sha256.encode()).digest())
    return sorted(ranked[:MOST_IMAGES], key=lambda image: image.path)


def read_by_validation(workspace: Workspace, save_steps: int, *, by_choice: bool) -> dict[str, Any]:
    """What decides which weights are kept, as data for a fingerprint; {} where nothing is held out.

    save_steps: between validations where [train] val_steps is 0.  by_choice: by choice_accuracy, else by
    nearest_class_accuracy.
    """
    train = workspace.settings.train
    images = validated_with(chosen_images(workspace, 0).val)
    if not images:
        return {}
    names = {name: c.display_name for name, c in workspace.classes().items()}
    shown = _options(workspace, images) if by_choice else {image: sorted(names.values()) for image in images}
    prompts = workspace.prompts.hashes(["ask/choice" if by_choice else "ask/open"])
    rows = digest_rows((image.sha256, names[image.class_name], shown[image]) for image in images)
    return {"val": [rows, prompts], "val_steps": train.val_steps or save_steps, "patience": train.patience}


def refuse_unvalidated(workspace: Workspace) -> None:
    """Raise SettingsError "nothing-to-validate" when settings rest on validation images and there are none."""
    train = workspace.settings.train
    if not (train.patience or train.val_share) or chosen_images(workspace, 0).val:
        return
    asked = f"patience = {train.patience}" if train.patience else f"val_share = {train.val_share:g}"
    raise SettingsError(
        f"there is nothing to validate with, and train.{asked} asks for it",
        code="nothing-to-validate",
        why=f"val_share = {train.val_share:g} holds out no image: a class keeps one group at least to be trained on"
        if train.val_share
        else "the dataset has no validation images, and val_share is 0",
        hint="--val-share 0.1 holds out a tenth of the training images",
    )


def told_of_share(workspace: Workspace) -> list[str]:
    """A note where val_share is set and holds out nothing, since the dataset brings validation images."""
    share = workspace.settings.train.val_share
    if not share or not workspace.store.images("val"):
        return []
    return [f"validated with the dataset's own validation images; train.val_share = {share:g} is not used"]


def _options(workspace: Workspace, images: Sequence[Image]) -> dict[Image, list[str]]:
    """Image -> display names in the order shown: its mined options, else its class and those of its negatives,
    else its class and others at random."""
    classes, mine = workspace.classes(), workspace.settings.mine
    options, negatives = workspace.store.options(), workspace.store.negatives()
    seed = workspace.settings.evaluate.seed
    found = {}
    for image in images:
        wrong = [option.class_name for option in options.get(image.id, ())]
        wrong = wrong or [negative.class_name for negative in negatives.get(image.id, ())]
        wrong = [name for name in dict.fromkeys(wrong) if name in classes and name != image.class_name]
        if not wrong:
            others = sorted(name for name in classes if name != image.class_name)
            draw = random.Random(f"{seed} {image.sha256}")
            wrong = draw.sample(others, min(mine.n_options - 1, len(others)))
        names = [classes[name].display_name for name in (image.class_name, *wrong[: mine.n_options - 1])]
        found[image] = shuffled(names, image.sha256, seed=seed)
    return found


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


@contextmanager
def _answering(vlm: Vlm) -> Iterator[None]:
    """No gradients and no dropout; afterwards as it was."""
    import torch

    was_training = vlm.model.training
    vlm.model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        vlm.model.train(was_training)
