"""A vision-language model of any family: behaviour, written once.

All families are driven through public transformers methods that are alike everywhere (get_image_features,
get_decoder, get_input_embeddings), never through a patched copy. Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgvr_kit import toy
from fgvr_kit.errors import ModelError
from fgvr_kit.families import Family, sequences, turns, weights
from fgvr_kit.families.sequences import reading, step, writing
from fgvr_kit.families.sequences.grammar import Vocabulary
from fgvr_kit.families.sequences.reading import Reading, Sights
from fgvr_kit.families.turns import Ask, Encoded, Generated
from fgvr_kit.families.weights.bases import Base, merged_in
from fgvr_kit.families.weights.quantized import Quantize
from fgvr_kit.families.weights.tuned import Tuned

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Ask", "Encoded", "Family", "Generated", "Vlm"]


def _never() -> bool:
    return False


class Vlm(Tuned):
    """A loaded model with its processor. model: plain, or a PeftModel once it has an adapter."""

    def __init__(
        self, *, name: str, note: str | None, family: Family, model: Any, processor: Any, max_pixels: int,
        merged: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self.note = note
        self.family = family
        self.model = model
        self.processor = processor
        self.max_pixels = max_pixels
        self.sights = Sights()
        self._base = Base.of(model, name, merged)

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
        shown: str | None = None,
    ) -> Vlm:
        """Open a checkpoint: a hub id (with "@" and a revision, if need be), a folder, or "toy-vlm"; bf16 on CUDA,
        fp32 elsewhere.

        quantize: "nf4" and "int8" store the text model in 4 and 8 bit; "auto" is "nf4" on CUDA.
        max_pixels: larger images are shrunk to at most this many before the processor sees them.
        adapter: a folder written by save_adapter; it can be trained further (of full fine-tuning: unfreeze()).
        shown: what it is called, in place of name.
        guests: also open models of no known family, to answer only.
        Raises ModelError (not found, unknown family, adapter of another model), MissingExtra.
        """
        weights.let_go()
        place = str(toy.path_of(name)) if name in toy.NAMES else name
        family, model, processor = weights.load(
            place, shown=shown or name, device=device, quantize=quantize, guests=guests
        )
        note = toy.note_of(Path(place))
        vlm = cls(
            name=shown or name, note=note, family=family, model=model, processor=processor,
            max_pixels=max_pixels, merged=merged_in(Path(place)),
        )  # fmt: skip
        if adapter is not None:
            vlm.load_adapter(adapter)
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

    def logits_of(self, asks: Sequence[Ask]) -> list[Tensor]:
        """Of each ask, (T, V) float32 on the CPU: of all its tokens."""
        found: list[Tensor] = []
        with self._answering():
            for one in reading.read(self, asks):
                inputs, features = reading.batch(self, [one], "right")
                found.append(self.logits(self.hidden_states(inputs, features)[0]).float().cpu())
        return found

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
        prompt = self.image_prompt(inputs)
        hidden = self.hidden_states(prompt, features)  # (B, n + 1, H)
        return sequences.last_states(hidden, prompt["attention_mask"])

    def embed_texts(self, texts: Sequence[str], bucket: bool = True) -> Tensor:
        """(N, H): state at one end token after each text, whatever its companions in the batch.

        bucket: texts of like length share a forward pass; False makes one pass of all.
        """
        rows = self.text_ids(texts)
        return sequences.embed_rows(
            self.base_model, self.family, rows, turns.pad_id(self.tokenizer), bucket=bucket
        )

    def embed_step(
        self,
        inputs: Mapping[str, Any],
        features: Sequence[Tensor],
        texts: Sequence[str] = (),
        *,
        labels: Tensor | None = None,
        objects: bool = True,
    ) -> step.States:
        """What a training step needs of the text model, in as few passes as the family allows.

        The same numbers as hidden_states at the supervised positions, embed_objects and embed_texts give.
        features: image_features(inputs), computed once.  labels: (B, T), -100 where nothing is to be
        learned; without them the main sequences are left out.  objects: False leaves out the objects.
        texts: different ones, `Words.texts`.
        """
        return step.embed(self, inputs, features, texts, labels, objects=objects)

    def image_prompt(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs of embed_objects: of each row its image, with what must stand around it, and an end token."""
        marks = self.tokenizer.convert_tokens_to_ids(list(self.family.image_marks))
        return sequences.image_prompt(
            self.base_model, self._on_device(inputs), [int(mark) for mark in marks], self._eos_id
        )

    def text_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of embed_texts: each text between the start token, if there is one, and one end token."""
        start = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        plain = (turns.plain(self.tokenizer, text) for text in texts)
        return [
            [*start, *self.tokenizer(p, add_special_tokens=False)["input_ids"], self._eos_id] for p in plain
        ]

    @property
    def _eos_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    def _on_device(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        device = self.device
        return {name: value.to(device) for name, value in inputs.items()}
