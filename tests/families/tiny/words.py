"""Models that read words only."""

from __future__ import annotations

from pathlib import Path

from tests.families.tiny.parts import TEXT, ids, make_tokenizer, save


def qwen2(folder: Path) -> Path:
    """A model of words, with a template that takes a system turn."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_tokenizer(["<|im_start|>"], bos=None, eos="<|im_end|>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    config = Qwen2Config(**TEXT, **ids(tokenizer))
    config.vocab_size += 8  # as in the real one, the table has more rows than there are tokens
    return save(folder, Qwen2ForCausalLM, config, tokenizer)


def llama(folder: Path) -> Path:
    """A model of words whose template refuses a system turn, as Gemma's does."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer([], bos="<s>", eos="</s>", add_bos=True)
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}"
        "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{{ '[' + m.role + '] ' + m.content + ' ' }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    return save(folder, LlamaForCausalLM, LlamaConfig(**TEXT, **ids(tokenizer)), tokenizer)
