"""Oxford Flowers-102: 102 classes, 1,020 training, 1,020 validation and 6,149 test images.

102flowers.tgz unpacks jpg/image_00001.jpg to image_08189.jpg; imagelabels.mat (labels: 1 x 8189, counted from 1)
and setid.mat (trnid, valid, tstid: numbers of images) are downloads of their own.
Known traps: the training images are ten a class, and some swap them with the test images; the archive does
not hold the names of the classes. Source: the site of the dataset (Nilsback and Zisserman, 2008).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fgvr_kit.layouts.archives import Named, home_of, listing_of, told_by
from fgvr_kit.layouts.base import Listing, Source
from fgvr_kit.layouts.lists import broken, class_at, variables_of, whole
from fgvr_kit.types import Entry, Notice, Split

ABOUT = "Flowers-102"
N_TEST = 6149

NAMES = (
    "pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea", "english marigold",
    "tiger lily", "moon orchid", "bird of paradise", "monkshood", "globe thistle", "snapdragon",
    "colt's foot", "king protea", "spear thistle", "yellow iris", "globe flower", "purple coneflower",
    "peruvian lily", "balloon flower", "giant white arum lily", "fire lily", "pincushion flower",
    "fritillary", "red ginger", "grape hyacinth", "corn poppy", "prince of wales feathers",
    "stemless gentian", "artichoke", "sweet william", "carnation", "garden phlox", "love in the mist",
    "mexican aster", "alpine sea holly", "ruby-lipped cattleya", "cape flower", "great masterwort",
    "siam tulip", "lenten rose", "barbeton daisy", "daffodil", "sword lily", "poinsettia",
    "bolero deep blue", "wallflower", "marigold", "buttercup", "oxeye daisy", "common dandelion", "petunia",
    "wild pansy", "primula", "sunflower", "pelargonium", "bishop of llandaff", "gaura", "geranium",
    "orange dahlia", "pink and yellow dahlia", "cautleya spicata", "japanese anemone", "black-eyed susan",
    "silverbush", "californian poppy", "osteospermum", "spring crocus", "bearded iris", "windflower",
    "tree poppy", "gazania", "azalea", "water lily", "rose", "thorn apple", "morning glory",
    "passion flower", "lotus", "toad lily", "anthurium", "frangipani", "clematis", "hibiscus", "columbine",
    "desert-rose", "tree mallow", "magnolia", "cyclamen", "watercress", "canna lily", "hippeastrum",
    "bee balm", "air plant", "foxglove", "bougainvillea", "camellia", "mallow", "mexican petunia",
    "bromelia", "blanket flower", "trumpet creeper", "blackberry lily",
)  # fmt: skip
"""English names in the order of the labels, spelled as the prompts of CLIP and the FOCI benchmark spell them.

The list of TensorFlow Datasets and the cat_to_name.json of many courses have the same order and spell four of
them otherwise: globe-flower (16), pink-yellow dahlia (60), lotus lotus (78, one of the two), ball moss (93).
"""

_LABELS, _SETS = "imagelabels.mat", "setid.mat"
_SPLITS: dict[str, Split] = {"trnid": "train", "valid": "val", "tstid": "test"}
_FEW = Notice(
    "Flowers-102 trains on ten images of each class, and tests on six times as many as it trains on",
    code="flowers-few-train", why="that is the official split; the papers train on train and val together, 2,040",
    hint="compare with numbers of the same split only",
)  # fmt: skip


def sign_of(place: Path) -> str | None:
    """jpg/ and one of its two .mat files, in the folder or in one folder of it."""
    return told_by(place, _signs)


def read(source: Source) -> Listing:
    """Every image that setid.mat names.

    Raises DatasetError: a list or the image folder is missing, a list is no MATLAB file, an image without a
    label, a label out of range.
    """
    home = home_of(source, _signs, ABOUT)
    named = list(_named(home.folder))
    return listing_of(home, named, {"jpg": "102flowers.tgz"}, about=ABOUT, n_test=N_TEST, notices=[_FEW])


def _signs(folder: Path) -> list[str]:
    found = [name for name in (_LABELS, _SETS) if (folder / name).is_file()]
    return ["jpg/", *found] if found and (folder / "jpg").is_dir() else []


def _named(folder: Path) -> Iterator[Named]:
    path, sets = folder / _LABELS, folder / _SETS
    labels = variables_of(path, ["labels"], "the class of each image", _LABELS)["labels"]
    found = variables_of(sets, list(_SPLITS), "the split of each image", _SETS)
    for variable, split in _SPLITS.items():
        for cell in found[variable]:
            number = whole(cell, sets)
            if not 1 <= number <= len(labels):
                raise broken(
                    f"{variable} in {_SETS} names image {number}, and {_LABELS} holds {len(labels):,} labels",
                    sets, code="lists-differ",
                )  # fmt: skip
            name = class_at(NAMES, whole(labels[number - 1], path), path)
            yield _SETS, Entry(f"jpg/image_{number:05d}.jpg", name, split)
