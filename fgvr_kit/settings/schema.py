"""Every section of fgvr.toml, each option described under its field."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fgvr_kit import shipped
from fgvr_kit.languages import language_name
from fgvr_kit.settings.section import Section
from fgvr_kit.settings.training import TrainSettings


class DatasetSettings(Section):
    path: str = ""
    """The image folder, a table of images (.csv, .tsv, .jsonl), a COCO file (.json) or "hf:org/name@revision";
    relative to this file, or absolute. Never written to."""
    layout: str = "auto"
    """How the images lie in it; "auto" finds out. `fgvr-kit init --help` names the layouts."""
    root: str = ""
    """Folder that the paths in a table or COCO file start from; "": the folder that file lies in."""
    path_col: str = ""
    """Column of a table that names the image files; "": the first of path, file_name, file, image, ..."""
    label_col: str = ""
    """Column that names the class; "": the first of label, class, species, category, ..."""
    split_col: str = ""
    """Column that names the split; "": split, if there is one. "none": not even then."""
    group_col: str = ""
    """Column of what must stay on one side of the split; "": group, if there is one. "none": not even then."""
    margin: float = Field(0.1, ge=0, le=2)
    """What is left around a box (COCO, Camtrap DP) on each side, as a share of its width and height."""
    group_by: list[str] = Field(["duplicate", "burst"])
    """Images that must stay on one side of the split, besides those of one group: "duplicate" (the same
    picture, or nearly), "burst" (one camera within burst_seconds), the name of any column, or
    "name:REGEX" (the same first bracket in the file name, such as "name:^(plant[0-9]+)_")."""
    burst_seconds: float = Field(2.0, ge=0, le=86_400)
    """Photographs of one camera and class that follow each other this closely are one burst."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share of each class held out as test images, when the dataset brings no split of its own."""
    val: float = Field(0.0, ge=0, lt=1)
    """Share of each class held out as validation images, when the dataset brings no split of its own."""
    only_licence: list[str] = Field([])
    """Use only images of these licences (["cc0", "cc-by"]); the others are set aside. "none": those whose licence
    is not stated. []: every image."""
    shots: int = Field(0, ge=0)
    """Train on this many images of each class only; 0: on all of them. The others are set aside."""
    seed: int = 0
    """Seed of the split and of the shots."""

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> DatasetSettings:
        if self.test + self.val >= 1:
            raise ValueError(f"test {self.test} and val {self.val} leave nothing to train on")
        return self


class DomainSettings(Section):
    superclass: str = "object"
    """What all classes have in common, in the singular: "beetle", "euro coin", "mushroom"."""
    unit: str = "class"
    """What one class is called: "species", "denomination", "breed"."""
    notes: str = ""
    """Anything a model should know about the photographs: "macro photos on leaves, mostly adults"."""
    language: str = "en"
    """Language that attributes, answers and descriptions are written in: "en", "de", "pt-BR", "Swahili".
    Class names stay as classes.csv has them."""
    template: str = ""
    """Template whose prompts stand in for the shipped ones; "": none. `init --template` writes it here."""

    @field_validator("language")
    @classmethod
    def _language_is_known(cls, said: str) -> str:
        try:
            language_name(said)
        except ValueError as error:
            raise PydanticCustomError("language", "{why}", {"why": str(error)}) from error
        return said

    @field_validator("template")
    @classmethod
    def _template_is_there(cls, name: str) -> str:
        known = sorted(
            file.parent.name for file in shipped.folder("templates").glob("domains/*/template.toml")
        )
        if name and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            told = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
            raise PydanticCustomError("template", "{why}", {"why": f"there is no such template; {told}"})
        return name

    def words(self) -> dict[str, str]:
        """What every prompt is given. language: its name, "German"; "" for English, which needs no telling."""
        language = language_name(self.language)
        return {
            "superclass": self.superclass,
            "unit": self.unit,
            "notes": self.notes,
            "language": "" if language == "English" else language,
        }


class CheckSettings(Section):
    fail_on: list[str] = Field(["leak", "conflict", "no-test"])
    """Kinds of findings with which `check` ends in exit code 3. `fgvr-kit check --kinds` names them all."""
    quarantine: list[str] = Field(["suspicious", "damaged", "conflict"])
    """Kinds of findings whose images `check --quarantine` sets aside."""
    model: str = ""
    """open_clip model that looks for wrong labels and for look-alikes of test images in training, as in [mine];
    "": that of [mine]."""
    small_class: int = Field(10, ge=1)
    """Classes of fewer training images are pointed out."""
    imbalance: float = Field(10.0, gt=1)
    """The largest class may have this many times the images of the smallest before it is pointed out."""
    margin: float = Field(0.1, gt=0, lt=1)
    """A shortcut is told when size, brightness, border, camera or file name alone guess the class this much
    better than chance (0.1: ten points)."""
    disagreement: float = Field(0.2, gt=0, lt=1)
    """Share of test images on which two models that one compares answer differently; decides which difference
    the test set can show."""
    thumbnails: int = Field(12, ge=0)
    """Pictures of each class on the page."""


class DiscoverSettings(Section):
    backend: str = ""
    """Who proposes attributes: "openai:MODEL", "ollama:MODEL", "transformers:PATH", "replay:FILE"."""
    n_attributes: int = Field(12, ge=1, le=100)
    """How many attributes to ask for."""
    seeds: list[str] = Field([])
    """Attributes worth considering, as the experts of the domain name them; the model may take, change or
    leave them."""
    samples: int = Field(3, ge=1, le=10)
    """How many lists are asked for and pooled; what more of them name stands first. A recording is asked once."""
    temperature: float = Field(0.7, gt=0, le=2)
    """Of the second and further lists; the first one is greedy."""
    max_tokens: int = Field(0, ge=0)
    """Most tokens of one list; 0: what n_attributes take, and 2048 at least, since thinking models spend most of them
    before the list begins. A model of a short context needs fewer."""
    merge: Literal["words", "model"] = "words"
    """How attributes that ask for the same are found: "words" by their words ("colour of the wing" is "wing
    colours"); "model" asks the backend once more, about what is left."""
    per_parent: Literal["auto", "yes", "no"] = "auto"
    """A list for each parent in classes.csv (cats and dogs). "auto": where every class has one, and there are two
    to four of them."""


class AskSettings(Section):
    max_calls: int = Field(0, ge=0)
    """Most new replies that one step asks a model for; 0: no limit. Where it is reached the step ends partly done
    (exit code 4), and the same command asks for as many again."""
    budget: float = Field(0.0, ge=0)
    """Most USD that one command spends on calls, those in flight included; 0: no limit. Needs a known price."""


class ExtractSettings(Section):
    backend: str = ""
    """Who looks at the images and answers; as in [discover]."""
    closed_by: str = ""
    """Who answers attributes that have a list of options, where another is cheaper or better at weighing them:
    "transformers:PATH", "clip:ARCHITECTURE:PRETRAINED"; "": the backend above."""
    ask: Literal["single", "joint"] = "single"
    """"single": one call for each image and attribute (the papers' way, works with every VQA model).
    "joint": one call for each image, answered as JSON (many times fewer calls, needs a model that
    follows a schema)."""
    max_tokens: int = Field(64, ge=1)
    """Most tokens of one answer; the free description and "joint" get four times as many."""
    samples: int = Field(1, ge=1, le=5)
    """How often everything is asked. The first replies are the answers; the others tell how far one can rely on
    them (`fgvr-kit attributes report`), and are sampled at `temperature`."""
    temperature: float = Field(0.7, gt=0, le=2)
    """Of the second and further samples; the first ones are greedy."""
    hinted: bool = False
    """Tell the model the class when it describes an image freely. Every number made of such answers says so."""


class DescribeSettings(Section):
    backend: str = ""
    """Who writes each image's summary out of its answers; as in [discover]. Not used by "template"."""
    by: Literal["model", "short", "template"] = "model"
    """"model": the backend writes it. "short": it writes one sentence of what is most telling. "template":
    prompts/describe/template.md composes the answers, no model is asked."""
    sentences: int = Field(5, ge=1)
    """Length that "model" asks for (Finedefics: five sentences)."""
    leaks: Literal["re-ask", "redact", "drop", "keep"] = "re-ask"
    """What becomes of a description that names its own class: "re-ask" tells the model which words must go, and
    redacts what still names it; "redact" writes the superclass in place of the name; "drop" leaves the image
    without a description; "keep" only counts it."""
    max_tokens: int = Field(256, ge=16)
    """Most tokens of one description."""


class MineSettings(Section):
    model: str = ""
    """open_clip model, "ARCHITECTURE:PRETRAINED" ("ViT-L-14:laion2b_s32b_b82k" is what FOCI used),
    or "ARCHITECTURE:FILE"."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Numbers that the CLIP model computes with; "bf16" is about twice as fast on a GPU."""
    prompt: str = "mine/class"
    """Prompt that tells CLIP of a class. One line is one text; of several lines the vectors are averaged
    ("mine/ensemble")."""
    kind: Literal["hard", "random"] = "hard"
    """Negatives: look-alikes, or images drawn at random out of classes drawn at random (the ablation of Finedefics,
    for which `by` and `pick` do not count)."""
    n_negatives: int = Field(3, ge=1)
    """Images for each training image, one from each of so many wrong classes (Finedefics: 3)."""
    by: Literal["text", "centroid", "image"] = "text"
    """How a class is compared with an image: by its prompt (as FOCI ranks options), by the mean of its training
    images, or by the one of them that is most similar."""
    pick: Literal["nearest", "random"] = "nearest"
    """Which image of a look-alike class: the one most similar to the anchor, or one drawn at random."""
    near_copy: float = Field(0.95, gt=0, le=1)
    """An image with at least this cosine to the anchor, after the mean of all vectors is taken away, shows the same
    thing and is no negative. 1: only identical pictures, and what `init` found to be copies."""
    options: Literal["hard", "random", "mixed"] = "hard"
    """Wrong choices of the multiple-choice questions: the most similar classes (FOCI), random ones, or half and
    half."""
    n_options: int = Field(4, ge=2, le=26)
    """Choices of a multiple-choice question, the true one included (FOCI: 4)."""
    options_file: str = ""
    """A FOCI option file, as seen from the workspace: its choices are taken as they are; "": they are made here."""
    seed: int = 0
    """Seed of what is drawn, and of the places in which options are shown."""
    batch_size: int = Field(64, ge=1)
    """Images embedded at once."""
    workers: int = Field(0, ge=0)
    """Processes or threads that open pictures beside the model; 0: as many as the machine has cores."""


class EvaluateSettings(Section):
    seed: int = 0
    """Seed of what is drawn: shots of the baselines, resamples of intervals."""
    batch_size: int = Field(8, ge=1)
    """Questions answered at once."""
    shots: list[Annotated[int, Field(ge=1)]] = Field([])
    """Train the baselines also on this many images of each class ([1, 4, 16]), five times drawn; [] is all of them
    only."""
    resamples: int = Field(2_000, ge=200)
    """Draws of the bootstrap behind every interval; whole groups are drawn, not images."""
    enough: float = Field(0.0, ge=0, le=1)
    """Accuracy over all classes that you need (0.9). A baseline that surely reaches it is told: nothing need be
    trained then. 0: not said."""


class Settings(Section):
    dataset: DatasetSettings = DatasetSettings()
    domain: DomainSettings = DomainSettings()
    check: CheckSettings = CheckSettings()
    ask: AskSettings = AskSettings()
    discover: DiscoverSettings = DiscoverSettings()
    extract: ExtractSettings = ExtractSettings()
    describe: DescribeSettings = DescribeSettings()
    mine: MineSettings = MineSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict, exclude=True)
    """Sections owned by plug-ins, as they stand in the file; read through `plugin_section`."""
