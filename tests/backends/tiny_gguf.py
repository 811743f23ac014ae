"""A tiny Llama with random weights as a GGUF file: `python -m tests.backends.tiny_gguf FILE`.

For llama.cpp's server. Every byte is a token, so it can write anything, and means nothing by it.
"""

from __future__ import annotations

import sys
from pathlib import Path

SEED = 20250131
HIDDEN, HEADS, BLOCKS, FFN, CONTEXT = 64, 4, 2, 128, 2048
SPECIAL = ("<s>", "</s>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant: "
)


def byte_letters() -> list[str]:
    """GPT-2's alphabet: a printable letter for each of the 256 bytes, those that have one keep it."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    letters = {byte: chr(byte) for byte in kept} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


def write(path: Path) -> None:
    import gguf
    import numpy as np

    tokens = [*SPECIAL, *byte_letters(), "th"]  # one merge: the format wants a list that is not empty
    types = [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIAL))
    out = gguf.GGUFWriter(str(path), "llama")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(HIDDEN)
    out.add_block_count(BLOCKS)
    out.add_feed_forward_length(FFN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(HIDDEN // HEADS)
    out.add_rope_freq_base(10_000.0)
    out.add_vocab_size(len(tokens))
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokens)
    out.add_token_types(types)
    out.add_token_merges(["t h"])
    out.add_bos_token_id(0)
    out.add_eos_token_id(1)
    out.add_pad_token_id(1)
    out.add_add_bos_token(False)
    out.add_chat_template(CHAT_TEMPLATE)
    random = np.random.default_rng(SEED)
    for name, shape in _shapes(len(tokens)).items():
        ones = name.endswith("norm.weight")
        data = np.ones(shape) if ones else random.normal(0.0, 0.1, shape)
        out.add_tensor(name, data.astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _shapes(n_tokens: int) -> dict[str, tuple[int, ...]]:
    square = (HIDDEN, HIDDEN)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (n_tokens, HIDDEN), "output_norm.weight": (HIDDEN,),
        "output.weight": (n_tokens, HIDDEN),
    }  # fmt: skip
    for block in range(BLOCKS):
        of_block: dict[str, tuple[int, ...]] = {
            "attn_norm": (HIDDEN,), "attn_q": square, "attn_k": square, "attn_v": square,
            "attn_output": square, "ffn_norm": (HIDDEN,), "ffn_gate": (FFN, HIDDEN),
            "ffn_up": (FFN, HIDDEN), "ffn_down": (HIDDEN, FFN),
        }  # fmt: skip
        shapes |= {f"blk.{block}.{name}.weight": shape for name, shape in of_block.items()}
    return shapes


if __name__ == "__main__":
    write(Path(sys.argv[1]))
