"""What a family is trained on: labels, losses and vectors, held against the stock forward of the same rows."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from fgvr_kit.families import sequences
from fgvr_kit.families.base import Ask, Vlm
from tests.families.contract.scene import ANSWERS, ASKS, photo

SHAPES = [(300, 24), (24, 300), (8, 8), (260, 180), (150, 150)]


def answer_loss(vlm: Vlm, inputs: dict[str, Any], labels: torch.Tensor) -> torch.Tensor:
    """Next-token loss from the parts."""
    hidden = vlm.hidden_states(inputs, vlm.image_features(inputs))
    kept = labels[:, 1:] != -100
    return cross_entropy(vlm.logits(hidden[:, :-1][kept]), labels[:, 1:][kept])


class Vectors:
    def test_only_the_answer_and_its_end_are_supervised(self, vlm: Vlm) -> None:
        encoded = vlm.encode(ASKS, ANSWERS)
        supervised = [vlm.tokenizer.decode(row[row != -100]).strip() for row in encoded.labels]
        assert supervised == [answer + vlm.end_of_turn for answer in ANSWERS]
        kept = encoded.labels != -100
        assert torch.equal(encoded.labels[kept], encoded.inputs["input_ids"][kept])
        assert encoded.inputs["attention_mask"][kept].all()

    def test_merged_hidden_states_are_the_stock_forward(self, vlm: Vlm) -> None:
        inputs = vlm.encode(ASKS, ANSWERS).inputs
        with torch.no_grad():
            hidden = vlm.hidden_states(inputs, vlm.image_features(inputs))
            stock = vlm.base_model(**inputs).logits
            real = inputs["attention_mask"].bool()
            torch.testing.assert_close(vlm.logits(hidden)[real], stock[real], atol=1e-4, rtol=1e-4)

    def test_image_features_come_one_tensor_a_row(self, vlm: Vlm) -> None:
        two = Ask("Compare.", (photo(6), photo(7, 80, 80)))
        inputs = vlm.encode([ASKS[0], Ask("No image."), two], ["A", "B", "C"]).inputs
        with torch.no_grad():
            sizes = [len(rows) for rows in vlm.image_features(inputs)]
            alone = vlm.image_features(vlm.encode([two], ["C"]).inputs)[0]
            torch.testing.assert_close(vlm.image_features(inputs)[2], alone, atol=1e-4, rtol=1e-4)
        assert sizes[0] > 0
        assert sizes[1] == 0
        assert sizes[2] == len(alone)

    def test_a_text_vector_does_not_depend_on_its_companions(self, vlm: Vlm) -> None:
        texts = [f"a wing with {n} spots " * (1 + n % 7) for n in range(40)]
        with torch.no_grad():
            alone = vlm.embed_texts(["a coin"])
            among = vlm.embed_texts([*texts[:20], "a coin", *texts[20:]])
            unsorted = vlm.embed_texts([*texts[:20], "a coin", *texts[20:]], bucket=False)
        torch.testing.assert_close(among[20:21], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(unsorted, among, atol=1e-5, rtol=1e-4)
        assert among.shape[0] == 41

    def test_a_text_vector_is_the_state_at_one_end_token(self, vlm: Vlm) -> None:
        tokenizer = vlm.tokenizer
        ids = tokenizer("a coin", add_special_tokens=False)["input_ids"]
        start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        row = torch.tensor([[*start, *ids, tokenizer.eos_token_id]])
        with torch.no_grad():
            expected = vlm.base_model.get_decoder()(input_ids=row).last_hidden_state[:, -1]
            torch.testing.assert_close(vlm.embed_texts(["a coin"]), expected, atol=1e-5, rtol=1e-4)

    def test_an_object_vector_is_the_state_after_the_image_alone(self, vlm: Vlm) -> None:
        """Against the stock forward of the same short prompt, which finds positions and features itself."""
        inputs = vlm.encode([ASKS[0]], ["A"]).inputs
        image = sequences.image_token_id(vlm.base_model)
        kept = [image, *vlm.tokenizer.convert_tokens_to_ids(list(vlm.family.image_marks))]
        ids = [i for i in inputs["input_ids"][0].tolist() if i in kept]
        prompt: dict[str, Any] = {"input_ids": torch.tensor([[*ids, vlm.tokenizer.eos_token_id]])}
        of_tokens = {"mm_token_type_ids", "token_type_ids"} & set(inputs)
        text_sized = {"input_ids", "attention_mask", *of_tokens}
        prompt |= {name: value for name, value in inputs.items() if name not in text_sized}
        prompt |= dict.fromkeys(of_tokens, (prompt["input_ids"] == image).int())
        with torch.no_grad():
            expected = vlm.base_model(**prompt).logits[:, -1]
            got = vlm.logits(vlm.embed_objects(inputs, vlm.image_features(inputs)))
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)

    def test_an_object_vector_does_not_depend_on_its_companions(self, vlm: Vlm) -> None:
        inputs, alone = vlm.encode(ASKS, ANSWERS).inputs, vlm.encode(ASKS[1:2], ANSWERS[1:2]).inputs
        with torch.no_grad():
            among = vlm.embed_objects(inputs, vlm.image_features(inputs))[1:2]
            one = vlm.embed_objects(alone, vlm.image_features(alone))
        torch.testing.assert_close(among, one, atol=1e-4, rtol=1e-3)

    def test_the_loss_is_the_one_of_the_stock_forward(self, vlm: Vlm) -> None:
        asks = [*ASKS, Ask("No image at all?"), Ask("Which of the two?", (photo(4), photo(5, 70, 140)))]
        encoded = vlm.encode(asks, [*ANSWERS, "None", "The second"])
        with torch.no_grad():
            stock = vlm.base_model(**encoded.inputs, labels=encoded.labels).loss
            ours = answer_loss(vlm, encoded.inputs, encoded.labels)
        torch.testing.assert_close(ours, stock, atol=1e-5, rtol=0)

    def test_photographs_of_every_shape_stand_in_one_batch(self, vlm: Vlm) -> None:
        asks = [Ask("Which?", (photo(n, *shape),)) for n, shape in enumerate(SHAPES)]
        inputs = vlm.encode(asks, ["A"] * len(asks)).inputs
        with torch.no_grad():
            together = vlm.image_features(inputs)
            alone = [vlm.image_features(vlm.encode([ask], ["A"]).inputs)[0] for ask in asks]
            objects = vlm.embed_objects(inputs, together)
        assert [len(one) for one in together] == [len(one) for one in alone]
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
        assert torch.isfinite(objects).all()
        assert (objects[:, None] - objects).abs().amax(-1)[
            ~torch.eye(len(asks), dtype=torch.bool)
        ].min() > 1e-3

    def test_a_step_runs_the_vision_tower_once(self, vlm: Vlm) -> None:
        looks: list[int] = []
        eye = vlm.base_model.get_submodule(vlm.family.vision)
        hook = eye.register_forward_hook(lambda *_: looks.append(1))
        try:
            with torch.no_grad():
                encoded = vlm.encode(ASKS, ANSWERS)
                features = vlm.image_features(encoded.inputs)
                vlm.hidden_states(encoded.inputs, features)
                vlm.embed_objects(encoded.inputs, features)
                vlm.embed_texts(ANSWERS)
        finally:
            hook.remove()
        assert len(looks) == 1

    def test_positions_in_a_picture_go_across_and_down_where_the_family_says_so(self, vlm: Vlm) -> None:
        inputs = vlm.encode([Ask("Which?", (photo(1, 160, 90),))], ["A"]).inputs
        if vlm.family.plain_positions:
            assert not hasattr(vlm.base_model.model, "get_rope_index")
            return
        time, down, across = sequences.grid_positions(vlm.base_model, inputs)[:, 0]
        seen = inputs["input_ids"][0] == sequences.image_token_id(vlm.base_model)
        assert len(time[seen].unique()) == 1
        assert 1 < len(down[seen].unique()) < len(across[seen].unique())
        words = ~seen
        assert torch.equal(down[words], across[words])
        assert not torch.equal(time[words], torch.arange(len(time))[words])
