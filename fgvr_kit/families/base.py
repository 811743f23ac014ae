"""A vision-language model of any family: what is data (Family), and what is behaviour (Vlm, written once).

A file in this room is a family: it holds one `FAMILY`. All of them are driven through public transformers
methods that are alike everywhere (get_image_features, get_decoder, get_input_embeddings), never through a
patched copy. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fgvr_kit import toy
from fgvr_kit.errors import ModelError
from fgvr_kit.families import sequences, turns, weights
from fgvr_kit.families.sequences import reading, writing
from fgvr_kit.families.sequences.grammar import Vocabulary
from fgvr_kit.families.sequences.reading import Reading, Sights

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

Quantize = Literal["auto", "nf4", "none"]


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Family:
    """How one base architecture is put together; module paths are those of its transformers class."""

    model_types: tuple[str, ...]
    """`model_type` of the checkpoints' config.json."""
    vision: str
    """Path of the vision tower: never quantised, never trained."""
    connector: str
    """Path of what turns vision features into text-sized vectors: never quantised."""
    lora_targets: str
    """Regular expression (the whole path must match): Linear layers of text model and connector."""
    plain_positions: bool = True
    """Whether the text model numbers image tokens like words; False for M-RoPE."""
    image_marks: tuple[str, ...] = ()
    """Tokens around an image without which the text model never sees one."""
    processor_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What the processor is loaded with, beyond its own settings."""
    notes: str = ""
    by_parts: bool = True
    """Whether the parts can be driven one by one. False for guests: stock transformers does all of it."""
    sees: bool = True
    """False for models that read words only."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One user turn. images: RGB; they stand before the text.

    turns: (said, told) pairs that follow it.  schema: the answer is JSON of this schema.  among: it is one of
    these words.  temperature: 0 is greedy; otherwise seed decides the sample.
    """

    text: str
    images: tuple[Image, ...] = ()
    system: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    among: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Generated:
    """output_tokens counts the end token; "length": max_new_tokens came first.

    note: why a schema could not be enforced.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    input_tokens: int
    output_tokens: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """inputs: what the processor returned, whole, on the CPU.  labels: (B, T) int64, -100 but at answers."""

    inputs: dict[str, Any]
    labels: Tensor


class Vlm:
    """A loaded model with its processor. model: plain, or a PeftModel once it has an adapter."""

    def __init__(
        self, *, name: str, note: str | None, family: Family, model: Any, processor: Any, max_pixels: int
    ) -> None:
        self.name = name
        self.note = note
        self.family = family
        self.model = model
        self.processor = processor
        self.max_pixels = max_pixels
        self.sights = Sights()

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: str = "auto",
        quantize: Quantize = "auto",
        max_pixels: int = 980 * 980,
        adapter: Path | None = None,
        guests: bool = False,
    ) -> Vlm:
        """Open a checkpoint: a hub id, a folder, or "toy-vlm"; bf16 on CUDA, fp32 elsewhere.

        quantize: "nf4" stores the text model in 4 bit; "auto" does so on CUDA.
        max_pixels: larger images are shrunk to at most this many before the processor sees them.
        adapter: a folder written by save_adapter; it can be trained further.
        guests: also open models of no known family, to answer only.
        Raises ModelError (not found, unknown family, adapter of another model), MissingExtra.
        """
        weights.let_go()
        place = str(toy.path_of(name)) if name in toy.NAMES else name
        family, model, processor = weights.load(
            place, shown=name, device=device, quantize=quantize, guests=guests
        )
        note = toy.note_of(Path(place))
        vlm = cls(
            name=name, note=note, family=family, model=model, processor=processor, max_pixels=max_pixels
        )
        if adapter is not None:
            vlm.model = weights.load_adapter(model, adapter)
        vlm.model.eval()
        return vlm

    # --- what it is -----------------------------------------------------------------------------------------

    @property
    def device(self) -> Any:
        """torch.device of the weights; follows when a trainer moves them."""
        return next(self.model.parameters()).device

    @property
    def base_model(self) -> Any:
        """The transformers model; with the adapter's layers in it when there is one."""
        return self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer

    @cached_property
    def end_of_turn(self) -> str:
        """The token that ends an answer."""
        return turns.end_of_turn(self.processor)

    @property
    def stop(self) -> set[int]:
        """The tokens that end an answer."""
        try:
            end = self.end_of_turn
        except ModelError:
            if self.family.by_parts:
                raise
            end = str(self.tokenizer.eos_token)
        return weights.stop_ids(self.base_model, self.tokenizer, end)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens as schemas are enforced with."""
        return Vocabulary(self)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """No gradients and no dropout, whatever training set before; afterwards as it was."""
        import torch

        was_training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train(was_training)

    # --- answering ------------------------------------------------------------------------------------------

    def read(self, asks: Sequence[Ask | Reading]) -> list[Reading]:
        """Asks as token ids and image features. Images that stand there more than once are looked at once."""
        with self._answering():
            return reading.read(self, asks)

    def generate(
        self,
        asks: Sequence[Ask | Reading],
        *,
        max_new_tokens: int | Sequence[int],
        halt: Callable[[], bool] = _never,
    ) -> list[Generated]:
        """The model's own words; asks with and without images may stand together.

        max_new_tokens: of all answers, or of each.  halt: asked at every token; True ends it all (Halted).
        """
        if not asks:
            return []
        limits = [max_new_tokens] * len(asks) if isinstance(max_new_tokens, int) else max_new_tokens
        with self._answering():
            return writing.write(self, reading.read(self, asks), limits, halt)

    def choose(self, asks: Sequence[Ask | Reading], labels: Sequence[str]) -> Tensor:
        """(N, K) float32 on the CPU: log-probability of each label as the answer; each row sums to one.

        One forward pass, nothing generated. Raises ModelError when a label is not one token of its own.
        """
        import torch

        if not asks:
            return torch.zeros(0, len(labels))
        with self._answering():
            readings = reading.read(self, asks)
            ids = turns.label_ids(self.processor, readings[0].ask, labels, self.end_of_turn)
            logits = writing.weigh(self, readings, ids)
        return logits.float().log_softmax(dim=-1).cpu()

    def encode(self, asks: Sequence[Ask], answers: Sequence[str]) -> Encoded:
        """Turns with their answers, right-padded, for training.

        Labels: the answer and the token that ends it; never the prompt, image placeholders or padding.
        Raises ModelError when the chat template does not keep the prompt in front of the answer.
        """
        import torch

        prompts = [turns.prompt(self.processor, ask) for ask in asks]
        full = [
            turns.with_answer(self.processor, ask, turns.plain(self.tokenizer, answer), self.end_of_turn)
            for ask, answer in zip(asks, answers, strict=True)
        ]
        inputs = turns.process(self.processor, full, asks, side="right", max_pixels=self.max_pixels)
        labels = torch.full_like(inputs["input_ids"], -100)
        for row, length in enumerate(inputs["attention_mask"].sum(dim=1).tolist()):
            wanted = turns.answer_ids(self.tokenizer, prompts[row], full[row])
            found = inputs["input_ids"][row, length - len(wanted) : length]
            assert found.tolist() == wanted, "the processor must leave the end of the text as it is"
            labels[row, length - len(wanted) : length] = found
        return Encoded(inputs, labels)

    # --- vectors, with gradients ----------------------------------------------------------------------------

    def image_features(self, inputs: Mapping[str, Any]) -> list[Tensor]:
        """One (n_i, H) tensor for each row: what the connector made of its images; n_i = 0 without one."""
        return sequences.image_features(self.base_model, self._on_device(inputs))

    def hidden_states(self, inputs: Mapping[str, Any], features: Sequence[Tensor]) -> Tensor:
        """(B, T, H): last hidden state after the final norm; the vision tower is not run again."""
        return sequences.hidden_states(self.base_model, self.family, self._on_device(inputs), features)

    def logits(self, hidden_rows: Tensor) -> Tensor:
        """(N, H) -> (N, V)."""
        logits: Tensor = self.base_model.get_output_embeddings()(hidden_rows)
        return logits

    def embed_objects(self, inputs: Mapping[str, Any], features: Sequence[Tensor]) -> Tensor:
        """(B, H): state at an end token that follows the row's image alone (Finedefics, section 3.2)."""
        marks = self.tokenizer.convert_tokens_to_ids(list(self.family.image_marks))
        prompt = sequences.image_prompt(
            self.base_model, self._on_device(inputs), [int(mark) for mark in marks], self._eos_id
        )
        hidden = self.hidden_states(prompt, features)  # (B, n + 1, H)
        return sequences.last_states(hidden, prompt["attention_mask"])

    def embed_texts(self, texts: Sequence[str], bucket: bool = True) -> Tensor:
        """(N, H): state at one end token after each text, whatever its companions in the batch.

        bucket: texts of like length share a forward pass; False makes one pass of all.
        """
        start = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        rows = [
            [*start, *self.tokenizer(plain, add_special_tokens=False)["input_ids"], self._eos_id]
            for plain in (turns.plain(self.tokenizer, text) for text in texts)
        ]
        return sequences.embed_rows(self.base_model, rows, turns.pad_id(self.tokenizer), bucket=bucket)

    @property
    def _eos_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    def _on_device(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        device = self.device
        return {name: value.to(device) for name, value in inputs.items()}

    # --- adapter --------------------------------------------------------------------------------------------

    def attach_lora(self, *, r: int, alpha: int, dropout: float, seed: int) -> None:
        """Freeze the model and add a fresh adapter to text model and connector.

        Raises ModelError when it has one already.
        """
        if hasattr(self.model, "peft_config"):
            raise ModelError(
                f"{self.name} has an adapter already",
                code="adapter-present",
                hint="train that one further, or load the model without it",
            )
        self.model = weights.attach_lora(
            self.model, self.family.lora_targets, r=r, alpha=alpha, dropout=dropout, seed=seed
        )

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter (not the base model) so that load(adapter=folder) finds it."""
        weights.save_adapter(self.model, folder, base_name=self.name)

    def trainable_parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)
