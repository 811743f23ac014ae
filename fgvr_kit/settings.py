"""fgvr.toml: every option described once, under its field.

Precedence: --set section.key=value, then FGVR_SECTION__KEY, then fgvr.toml, then the default.
A plug-in owns a section of its own name ([openai], [finedefics]): its module has a class `Settings`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fgvr_kit import plugins, shipped
from fgvr_kit.errors import SettingsError
from fgvr_kit.languages import language_name

FILE_NAME = "fgvr.toml"
HUB = "hf:"  # how a dataset path on the Hugging Face hub begins
_PLUGIN_ROOMS: tuple[plugins.Room, ...] = ("backends", "recipes")


class Section(BaseModel):
    """Base of every section: unknown keys are errors, docstrings under the fields describe them."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, frozen=True)


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
    group_by: list[str] = ["duplicate", "burst"]
    """Images that must stay on one side of the split, besides those of one group: "duplicate" (the same
    picture, or nearly), "burst" (one camera within burst_seconds), the name of any column, or
    "name:REGEX" (the same first bracket in the file name, such as "name:^(plant[0-9]+)_")."""
    burst_seconds: float = Field(2.0, ge=0, le=86_400)
    """Photographs of one camera and class that follow each other this closely are one burst."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share of each class held out as test images, when the dataset brings no split of its own."""
    val: float = Field(0.0, ge=0, lt=1)
    """Share of each class held out as validation images, when the dataset brings no split of its own."""
    only_licence: list[str] = []
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
    fail_on: list[str] = ["leak", "conflict", "no-test"]
    """Kinds of findings with which `check` ends in exit code 3. `fgvr-kit check --kinds` names them all."""
    quarantine: list[str] = ["suspicious", "damaged", "conflict"]
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
    seeds: list[str] = []
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
    n_negatives: int = Field(3, ge=1)
    """Look-alike images for each training image, one from each of the most similar wrong classes
    (Finedefics: 3)."""
    n_options: int = Field(4, ge=2, le=26)
    """Choices of a multiple-choice question, the true one included (FOCI: 4)."""
    batch_size: int = Field(64, ge=1)
    """Images embedded at once."""


class TrainSettings(Section):
    model: str = ""
    """Base model: a hub id or a folder ("HuggingFaceM4/idefics2-8b", "Qwen/Qwen2.5-VL-7B-Instruct")."""
    recipe: str = "finedefics"
    """What to train: a paper's recipe. Its own settings stand in the section of that name."""
    device: str = "auto"
    """"auto" (a GPU if there is one), "cpu", "cuda", "mps"."""
    quantize: Literal["auto", "nf4", "none"] = "auto"
    """Weights of the base model: "nf4" is QLoRA (4 bit), "none" keeps them whole; "auto" is "nf4" on a
    CUDA GPU and "none" elsewhere."""
    max_pixels: int = Field(980 * 980, ge=56 * 56)
    """Larger photographs are shrunk to at most this many pixels before the model sees them, in training,
    evaluation and prediction alike."""


class EvaluateSettings(Section):
    seed: int = 0
    """Seed of the order in which options are shown."""
    batch_size: int = Field(8, ge=1)
    """Questions answered at once."""


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


SectionT = TypeVar("SectionT", bound=Section)


def load(
    file: Path | None, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings in force. Raises SettingsError naming the key, where it was set and the closest known key."""
    return resolve(file, overrides, environ)[0]


def resolve(
    file: Path | None, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> tuple[Settings, dict[str, str]]:
    """The settings in force, and for each "section.key" that is not a default, where its value came from."""
    merged: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    for origin, key, value in _values(file, overrides, os.environ if environ is None else environ):
        section, _, name = key.partition(".")
        merged.setdefault(section, {})[name] = value
        origins[key] = origin
    own = {name: values for name, values in merged.items() if name in _own_sections()}
    foreign = {name: values for name, values in merged.items() if name not in own}
    for name in foreign:
        _check_plugin_section(name, foreign[name], origins)
    try:
        return Settings.model_validate({**own, "plugins": foreign}), origins
    except ValidationError as error:
        raise _explain(error, Settings, origins) from error


def chosen(overrides: Sequence[str]) -> dict[str, Any]:
    """ "section.key" -> value of `--set section.key=value` texts. Raises SettingsError for one of another form."""
    return {key: value for _, key, value in _values(None, overrides, {})}


def plugin_section(settings: Settings, name: str, model: type[SectionT]) -> SectionT:
    """The section [name] of a plug-in, validated by its own model."""
    try:
        return model.model_validate(settings.plugins.get(name, {}))
    except ValidationError as error:
        raise _explain(error, model, {}, prefix=name) from error


def describe_sections() -> list[tuple[str, type[Section]]]:
    """(section name, model) of every built-in section, in the order of fgvr.toml."""
    return [
        (name, field.annotation)
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    ]


def sections(settings: Settings) -> list[tuple[str, Section]]:
    """(name, section in force) of every section: the built-in ones, then those of the chosen plug-ins."""
    own = [(name, getattr(settings, name)) for name, _ in describe_sections()]
    foreign = []
    for room in _PLUGIN_ROOMS:
        for name in plugins.names(room):
            if name in settings.plugins or (room == "recipes" and name == settings.train.recipe):
                model = plugins.load(room, name).Settings
                foreign.append((name, plugin_section(settings, name, model)))
    return own + foreign


def _own_sections() -> set[str]:
    return {name for name, _ in describe_sections()}


def _values(
    file: Path | None, overrides: Sequence[str], environ: Mapping[str, str]
) -> Iterator[tuple[str, str, Any]]:
    """(origin, "section.key", value), weakest first."""
    if file is not None and file.is_file():
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{FILE_NAME} is not valid TOML: {error}",
                code="settings-toml",
                where=str(file),
                hint='text values need quotes, lists need brackets: superclass = "euro coin"',
            ) from error
        for section, values in document.items():
            if not isinstance(values, dict):
                raise SettingsError(
                    f"{section!r} stands outside any section of {FILE_NAME}",
                    code="settings-unknown",
                    where=str(file),
                    hint=f"put it below a line such as [{_closest_section_of(section)}]",
                )
            for key, value in values.items():
                yield file.name, f"{section}.{key}", value
    for name, text in sorted(environ.items()):
        if name.startswith("FGVR_") and "__" in name:
            section, _, key = name.removeprefix("FGVR_").lower().partition("__")
            yield f"environment {name}", f"{section}.{key}", _parse(text)
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals or "." not in key:
            raise SettingsError(
                f"--set {item!r} is not of the form section.key=value",
                code="settings-set",
                hint="for example --set domain.superclass='euro coin'",
            )
        yield "--set", key.strip(), _parse(text)


def _parse(text: str) -> Any:
    """A TOML value if it is one ("3", "true", "[1, 2]"), otherwise the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _plugin_room(name: str) -> plugins.Room | None:
    return next((room for room in _PLUGIN_ROOMS if name in plugins.names(room)), None)


def _check_plugin_section(name: str, values: dict[str, Any], origins: dict[str, str]) -> None:
    room = _plugin_room(name)
    if room is None:
        known = sorted(_own_sections() | {n for r in _PLUGIN_ROOMS for n in plugins.names(r)})
        close = difflib.get_close_matches(name, known, n=1)
        raise SettingsError(
            f"there is no section [{name}]",
            code="settings-unknown",
            where=next((o for key, o in origins.items() if key.startswith(f"{name}.")), None),
            hint=f"did you mean [{close[0]}]?" if close else f"sections: {', '.join(known)}",
        )
    model = getattr(plugins.load(room, name), "Settings", None)
    if model is None:
        raise SettingsError(
            f"{name} has no settings of its own", code="settings-unknown", hint=f"remove the section [{name}]"
        )
    try:
        model.model_validate(values)
    except ValidationError as error:
        raise _explain(error, model, origins, prefix=name) from error


def _closest_section_of(key: str) -> str:
    return next((name for name, model in describe_sections() if key in model.model_fields), "dataset")


def _explain(
    error: ValidationError, model: type[BaseModel], origins: Mapping[str, str], prefix: str = ""
) -> SettingsError:
    """The first problem of a pydantic error, in the user's words."""
    first = error.errors(include_url=False)[0]
    parts = [str(part) for part in first["loc"]]
    key = ".".join([prefix, *parts] if prefix else parts)
    where = origins.get(".".join(key.split(".")[:2]))
    if first["type"] == "extra_forbidden":
        fields = _fields_at(model, parts[:-1])
        close = difflib.get_close_matches(parts[-1], fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(fields)}"
        return SettingsError(f"unknown setting {key!r}", code="settings-unknown", where=where, hint=hint)
    return SettingsError(
        f"{key} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}",
        code="settings-value",
        where=where,
        hint="fgvr-kit settings shows every setting with its meaning",
    )


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    return [name for name in model.model_fields if name != "plugins"]
